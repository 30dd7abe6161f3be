"""Finds the attention maps of a model: the softmax weights that it multiplies values with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ruled_model import Rules
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.decompositions import check_same, decomposed
from pnpxai.engine.seeing.operation_kinds import ATTENTION, ROUTES, SUMS
from pnpxai.engine.seeing.operations import Operation, Operations, operation_name
from pnpxai.engine.seeing.token_grid import Sides
from pnpxai.errors import UnsuitableError
from pnpxai.model_types import Keywords, Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, own

__all__ = ["AttentionPass", "attention_pass"]


@dataclass(frozen=True)
class AttentionPass:
    """What one forward pass gave, its graph attached.

    Attributes:
        scores: (examples,).
        maps: of each attention, in the order they ran.
        grids: sides of what convolutions gave.
        apart: whether the first axis of what is added holds the examples, so that they can be told apart.
    """

    scores: Tensor
    maps: Tensors
    grids: tuple[Sides, ...]
    apart: bool

    def gradients(self, maps: Tensors) -> Tensors:
        """Return gradients of the scores at some maps, by heads; under rules, how relevance of one is shared."""
        gradients = torch.autograd.grad(
            self.scores.sum(), maps, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.by_heads(gradients)

    def reaching(self) -> tuple[Tensors, Tensors]:
        """Return, by heads, the maps on which the scores depend, and gradients of the scores at them."""
        gradients = torch.autograd.grad(self.scores.sum(), self.maps, retain_graph=True, allow_unused=True)
        pairs = [(m, g) for m, g in zip(self.maps, gradients, strict=True) if g is not None]
        maps, slopes = zip(*pairs, strict=True)
        return self.by_heads(maps), self.by_heads(slopes)

    def by_heads(self, values: Tensors) -> Tensors:
        """Return values of the shapes of the maps as (examples, heads, tokens, tokens).

        Raises:
            UnsuitableError: the tokens of one attention are not those of another.
        """
        size, by_layer = self.scores.shape[0], []
        for value in values:
            shape, tokens = tuple(value.shape), value.shape[-1]
            if value.ndim == 3 and shape[0] % size == 0:
                value = value.reshape(size, -1, *shape[1:])
            if value.ndim != 4 or value.shape[0] != size or shape[-2:] != (tokens, tokens):
                raise UnsuitableError(
                    f"attention: expected maps (examples, heads, tokens, tokens) of the same tokens, got {shape} for "
                    f"{size} examples; attention in windows, across sequences or to a cache cannot be rolled out"
                )
            if by_layer and by_layer[0].shape[-1] != tokens:
                raise UnsuitableError(
                    f"attention: expected as many tokens in every layer, got {by_layer[0].shape[-1]} and {tokens}; "
                    "where tokens are merged, attention cannot be rolled out"
                )
            by_layer.append(value)
        return tuple(by_layer)


def attention_pass(score: Score, inputs: Tensors, rules: Rules | None = None) -> AttentionPass:
    """Run a model and keep its attention maps.

    Args:
        score: what is computed.
        inputs: of the model; ids too.
        rules: of relevance, under which the graph is built; without, it holds derivatives.

    Raises:
        UnsuitableError: the model computes no attention that can be seen.
    """
    watch = _Watch()
    if rules is None:
        watched = replace(score, forward=partial(_plain, watch, score.forward))
    else:
        watched = replace(rules, seen=watch.seen).score(score)
    leaves = tuple(own(x).requires_grad_(rules is not None and x.is_floating_point()) for x in inputs)
    with torch.enable_grad():
        scores = watched(leaves)
    maps = tuple(watch.candidates[k] for k in sorted(watch.used))
    if not maps:
        raise UnsuitableError(
            "attention: the model multiplies no values with softmax weights that could be seen; attention that is "
            "scripted, compiled or linear has none"
        )
    if not scores.requires_grad:
        raise UnsuitableError("attention: the score does not depend on the attention of the model")
    return AttentionPass(scores, maps, tuple(dict.fromkeys(watch.grids)), _apart(watch.sums, score.size))


@dataclass
class _Watch:
    """Notes softmax results over the last axis, and which of them a product takes up."""

    candidates: list[Tensor] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    grids: list[Sides] = field(default_factory=list)
    sums: set[torch.Size] = field(default_factory=set)
    origins: dict[int, tuple[Tensor, int]] = field(default_factory=dict)  # the tensor too: an id may be used again

    def seen(self, name: str, args: Positional, kwargs: Keywords, result: ModelOutput) -> ModelOutput:
        """Return what is handed on: results that the graph has to reach are made to require a gradient."""
        if not isinstance(result, Tensor) or not torch.is_grad_enabled():
            return result
        if name == "embedding" and not result.requires_grad:  # what ids mean carries relevance
            return own(result).requires_grad_()
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if name == "softmax" and result.ndim >= 3 and _axis(args, kwargs) in (-1, result.ndim - 1):
            result = result if result.requires_grad else own(result).requires_grad_()
            self._note(result, len(self.candidates))
            self.candidates.append(result)
        elif name in ROUTES and id(first) in self.origins and result.numel() == first.numel():  # type: ignore[union-attr]
            self._note(result, self.origins[id(first)][1])
        elif name in _PRODUCTS:
            self.used |= {self.origins[id(t)][1] for t in flat(args) if id(t) in self.origins}
        elif name in SUMS and result.is_floating_point():
            self.sums.add(result.shape)
        elif name.startswith("conv"):
            self.grids.append(tuple(result.shape[2:]))
        return result

    def _note(self, tensor: Tensor, k: int) -> None:
        self.origins[id(tensor)] = tensor, k


_PRODUCTS = {"matmul", "bmm", "einsum", "baddbmm"}


def _apart(sums: set[torch.Size], size: int) -> bool:
    """Tell whether none of these shapes could have the examples in the second place."""
    return size == 1 or all(s[0] in (1, size) and s[1:2] != (size,) for s in sums if s)


def _axis(args: Positional, kwargs: Keywords) -> object:
    """Return the axis that a softmax is taken over."""
    return kwargs.get("dim", args[1] if len(args) > 1 else None)


def _plain(watch: _Watch, forward: Model, *args: object) -> ModelOutput:
    """Run a model as it is, attention in elementary operations."""

    def step(function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        name = operation_name(function)
        if name in ("grad", "backward"):
            raise UnsuitableError(
                "attention: the model differentiates itself, so that attention runs for its own gradients, too"
            )
        if name not in ATTENTION:
            return watch.seen(name, args, kwargs, function(*args, **kwargs))
        with torch.no_grad():
            whole = function(*args, **kwargs)
        with Operations(step):
            parts = decomposed(name, function, lambda compute: compute(), *args, **kwargs)
        check_same(name, whole, parts)
        return parts

    with Operations(step):
        return forward(*args)
