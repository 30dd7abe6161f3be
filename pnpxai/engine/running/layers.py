"""Reads values and gradients at several places of a model in one forward and one backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.guard import eager, module_of
from pnpxai.engine.running.layer_blocks import Pace, in_parts
from pnpxai.engine.running.missing_gradients import naming_missing_gradients
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.site import AtSites, Call, Members, Place, Side, Site
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Keywords, Model
from pnpxai.tensors import Tensors, check_finite, map_tensors, own

__all__ = ["Slopes", "single_runs", "slopes", "value_and_gradient"]


class Slopes(NamedTuple):
    """Holds the values, gradients and scores of one pass.

    Attributes:
        values: the floating point tensors at the places, in their order.
        gradients: of the score, there.
        members: all that each place holds.
        scores: (examples,).
    """

    values: Tensors
    gradients: Tensors
    members: tuple[Members, ...]
    scores: Tensor


_Parts: TypeAlias = tuple[Tensors, Tensors, tuple[Members, ...], Tensor]
"""Members of ``Slopes``."""


def value_and_gradient(score: Score, inputs: Tensors, places: Sequence[Place], **grad_kwargs: bool) -> Slopes:
    """Return the values at ``places`` and the gradient of the score there.

    Raises:
        ArgumentError: a place has no influence on the score.
    """

    def explain(part: Score, rows: Tensors, pace: Pace) -> tuple[Tensor, _Parts]:
        values, gradients, members, scores = slopes(part, rows, places, **grad_kwargs)
        if part.size < score.size and any(value.shape[:1] != (part.size,) for value in values):
            raise ShapeError("layer: its rows are not the examples")
        return scores, (values, gradients, members, scores)

    limit = score.size if grad_kwargs else row_limit(inputs, score.extra)
    return Slopes(*in_parts(score, inputs, places, limit, explain))


def slopes(score: Score, inputs: Tensors, places: Sequence[Place], **grad_kwargs: bool) -> Slopes:
    """Return values, gradients and scores of one pass.

    Nothing before the places is differentiated, so no graph is built for it (but with ``create_graph``). Where a place
    depends on another, its part of the other's gradient is in there.

    Args:
        score: what is differentiated.
        inputs: what the model is run on.
        places: where.
        **grad_kwargs: passed on to ``torch.autograd.grad``.

    Raises:
        ArgumentError: a place has no influence on the score.
    """
    keep = bool(grad_kwargs.get("create_graph"))
    held: list[list[Tensor]] = [[] for _ in places]
    values: list[list[Tensor]] = [[] for _ in places]
    members: list[Members] = [()] * len(places)

    def watch(k: int, tensor: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        alone = not tensor.requires_grad
        leaf = own(tensor).requires_grad_() if alone else tensor
        held[k].append(leaf)
        values[k].append(leaf.clone() if keep else leaf.detach() if alone else own(leaf))
        return leaf.clone()

    at = AtSites(score.forward, places)
    with torch.set_grad_enabled(keep):
        watched = replace(score, forward=lambda *args: at.run(Call(args), watch, see=members.__setitem__))
        scores = watched(inputs)
    if not scores.requires_grad:
        raise ArgumentError(f"layer: the score does not depend on {places[0]} through differentiable operations")
    leaves = [leaf for group in held for leaf in group]
    settings: Keywords = {"grad_outputs": torch.ones_like(scores), "allow_unused": True, **grad_kwargs}
    with naming_missing_gradients():
        partials = list(torch.autograd.grad(scores, leaves, **settings))
    # the members of one place may be unused (an LSTM's last state); a place as a whole may not
    for k, place in enumerate(places):
        start = sum(map(len, held[:k]))
        if all(g is None for g in partials[start : start + len(held[k])]) and "allow_unused" not in grad_kwargs:
            raise ArgumentError(f"layer: {place} has no influence on the score")
    gradients = tuple(torch.zeros_like(leaf) if g is None else g for g, leaf in zip(partials, leaves, strict=True))
    check_finite("gradient", gradients)
    if not keep:
        gradients, scores = tuple(g.detach() for g in gradients), scores.detach()
    return Slopes(tuple(v for group in values for v in group), gradients, tuple(members), scores)


def single_runs(forward: Model, call: Call, side: Side) -> tuple[Site, ...]:
    """Return the layers without sublayers that run exactly once and return numbers, in the order of execution."""
    seen: list[nn.Module] = []

    def note(module: nn.Module, args: object, output: object) -> None:
        seen.append(module)

    inside = module_of(forward)
    modules = () if inside is None else inside.named_modules()
    leaves = {m: name for name, m in modules if not any(True for _ in m.children())}
    with contextlib.ExitStack() as stack, torch.no_grad():
        for module in leaves:
            stack.callback(module.register_forward_hook(note).remove)
        eager(forward)(*map_tensors(own, call.args), **map_tensors(own, call.kwargs))
    return tuple(Site(m, side, leaves[m]) for m in seen if seen.count(m) == 1)
