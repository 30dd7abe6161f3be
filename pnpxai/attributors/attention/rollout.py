"""Multiplies attention maps through the layers, alone or weighted by relevance and gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.attention.maps import AttentionPass, attention_pass
from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.cam.grad_cam import LayerAttribution
from pnpxai.attributors.padding import unseen, without
from pnpxai.attributors.propagation.composites import Composite, rule_named
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.ruled_model import Rules
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.row_order import refuse_moved_rows
from pnpxai.engine.running.score import Score, Target, select_output
from pnpxai.engine.seeing.token_grid import Sides, layout_of_tokens
from pnpxai.errors import UnsuitableError
from pnpxai.model_types import ForwardArgs, Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors

__all__ = ["AttentionRollout", "HeadFusion", "TransformerAttribution", "rolled_out"]

HeadFusion: TypeAlias = Literal["min", "max", "mean"]


class _OfAttention(Attributor):
    """A map of the tokens, read off the rows of those that the score depends on."""

    differentiates: ClassVar[bool]
    """True if the map is of the score; False if, without a target, it is of whatever any output depends on."""

    def __init__(
        self,
        forward_func: Model,
        head_fusion: HeadFusion,
        discard_ratio: float,
        interpolate_mode: str,
        channel_dim: int | None = None,
    ) -> None:
        super().__init__(forward_func)
        self.channel_dim = channel_dim
        self.head_fusion: HeadFusion = head_fusion
        self.discard_ratio = discard_ratio
        self.interpolate_mode = interpolate_mode

    @abstractmethod
    def _layers(
        self, attention: AttentionPass, score: Score, inputs: Tensors, seen: Tensor | None
    ) -> tuple[Tensors, Tensor]:
        """Return a matrix (examples, tokens, tokens) for each attention, and gradients of the score at the last one.

        Weights count where both tokens are ``seen``, (examples, tokens).
        """

    def attribute(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Tensor:
        """Return a map of the first input.

        Pictures and series: one channel on the axis ``channel_dim``, by default the second, or the third where the
        second holds as many entries as there are tokens; the tokens' grid resized to the positions, class and register
        tokens stand before it. Where each token is a channel of a series, it has its value at all times. Ids (examples,
        tokens): one value for each.

        Raises:
            UnsuitableError: no attention can be seen, its tokens differ from layer to layer, or they are no grid of the
                input.
        """
        parts: list[Tensor] = []
        with borrowed(self.forward_func):
            wanted = _of_all if target is None and not self.differentiates else target
            tensors, score = prepared(self.forward_func, inputs, wanted, additional_forward_args)
            refuse_moved_rows(score, tensors)

            def visit(block: Block) -> None:
                given = tuple(x[block.examples.start : block.examples.stop] for x in tensors)
                parts.append(self._map(score.take(block.rows), given))

            limit = row_limit(tensors, score.extra)
            in_blocks(score.size, 1, limit, visit, apart=partial(rows_are_apart, score, tensors, limit))
        return torch.cat(parts)

    def _map(self, score: Score, inputs: Tensors) -> Tensor:
        attention = attention_pass(score, inputs)
        if attention.scores.shape[0] != score.size:
            raise UnsuitableError("attention: the model gives one value for its whole batch")
        tokens = attention.by_heads(attention.maps)[0].shape[-1]
        place = _placing(inputs[0], tokens, attention.grids, self.interpolate_mode, self.channel_dim)
        hidden = unseen(score.forward, inputs, score.extra)[0]
        seen = ~hidden if hidden is not None and hidden.shape[1] == tokens else None
        layers, slope = self._layers(attention, score, inputs, seen)
        total = rolled_out(layers)
        # tokens that the score does not depend on after the last attention say nothing of it
        read = slope.abs().sum((1, 3))
        read = (read > 1e-9 * read.amax(-1, keepdim=True)).to(total)
        read = torch.where(read.sum(-1, keepdim=True) > 0, read, torch.ones_like(read))
        read = without(read, None if seen is None else ~seen)
        values = torch.einsum("bq,bqk->bk", read / read.sum(-1, keepdim=True).clamp_min(1), total)
        return place(values.detach()).to(attention.maps[0].dtype)


class AttentionRollout(_OfAttention):
    """Attention of the layers multiplied, residual connections included. Abnar and Zuidema, 2020 (arXiv:2005.00928)."""

    differentiates = False

    def _layers(
        self, attention: AttentionPass, score: Score, inputs: Tensors, seen: Tensor | None
    ) -> tuple[Tensors, Tensor]:
        maps, slopes = attention.reaching()
        kept = [discarded(fused(m.detach(), self.head_fusion), self.discard_ratio, seen) for m in maps]
        layers = [(k + torch.eye(k.shape[-1]).to(k)) / 2 for k in kept]
        return tuple(a / a.sum(-1, keepdim=True) for a in layers), slopes[-1]


class TransformerAttribution(_OfAttention):
    """Relevance of attention times its gradient, positive parts rolled out. Chefer et al., 2021 (arXiv:2012.09838)."""

    differentiates = True

    def __init__(
        self,
        forward_func: Model,
        head_fusion: HeadFusion = "mean",
        discard_ratio: float = 0.0,
        interpolate_mode: str = "bilinear",
        *,
        alpha: float = 2.0,
        stabilizer: float = 1e-6,
        channel_dim: int | None = None,
    ) -> None:
        super().__init__(forward_func, head_fusion, discard_ratio, interpolate_mode, channel_dim)
        rule = rule_named("alpha_beta", alpha=alpha, beta=alpha - 1.0, stabilizer=stabilizer, biases=False)
        composite = Composite(rule, rule, passing=_PASSING, sums="balanced", attention="taylor")
        self.rules = Rules(stabilizer, composite, checked=True)  # by the pass of gradients

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return two rows for each example: gradients and relevance."""
        return 2 * super().cost(inputs, **settings)

    def _layers(
        self, attention: AttentionPass, score: Score, inputs: Tensors, seen: Tensor | None
    ) -> tuple[Tensors, Tensor]:
        slopes = attention.gradients(attention.maps)
        # sums are shared example by example
        parts = [torch.arange(score.size)] if attention.apart else torch.arange(score.size).split(1)
        relevance = [self._relevance(score.take(rows), tuple(x[rows.to(x.device)] for x in inputs)) for rows in parts]
        layers = []
        for slope, *shares in zip(slopes, *relevance, strict=True):
            share = torch.cat(shares)
            kept = discarded(fused((slope * share).relu(), self.head_fusion), self.discard_ratio, seen)
            layers.append(kept + torch.eye(kept.shape[-1]).to(kept))
        return tuple(layers), slopes[-1]

    def _relevance(self, score: Score, inputs: Tensors) -> Tensors:
        """Return relevance of one (where the score is negative, its own would turn all signs) at the maps."""
        ruled = attention_pass(score, inputs, replace(self.rules, ledger=Ledger(score.size)))
        return ruled.gradients(ruled.maps)


_PASSING = frozenset({"softmax", "layer_norm", "rms_norm", "group_norm", "instance_norm"})


def _of_all(output: ModelOutput) -> Tensor:
    values = select_output(output)
    return values.reshape(values.shape[0], -1).square().sum(1)


def fused(heads: Tensor, how: HeadFusion) -> Tensor:
    """Return (examples, tokens, tokens): the mean, smallest or largest of the heads (dimension 1), at least float32."""
    heads = heads.to(torch.promote_types(heads.dtype, torch.float32))
    return heads.mean(1) if how == "mean" else heads.amin(1) if how == "min" else heads.amax(1)


def discarded(weights: Tensor, ratio: float, seen: Tensor | None = None) -> Tensor:
    """Return weights (examples, tokens, tokens) with the smallest ``ratio`` of each example's set to zero.

    Weights of and for tokens that are not ``seen``, (examples, tokens), are none of an example's. The first token's
    weight for itself is kept, as in the implementation that introduced discarding. Of weights that are closer than the
    model's dtype tells apart, another dtype may keep others.
    """
    if seen is not None:
        kept = torch.zeros_like(weights)
        for result, own, real in zip(kept, weights, seen.to(weights.device), strict=True):
            places = real.nonzero().flatten()
            result[places[:, None], places] = discarded(own[places][:, places][None], ratio)[0]
        return kept
    flat = weights.flatten(1).clone()
    lowest = flat.argsort(dim=1, stable=True)[:, : int(flat.shape[1] * ratio)]
    kept = torch.ones_like(flat).scatter_(1, lowest, 0.0)
    kept[:, 0] = 1.0
    return (flat * kept).reshape(weights.shape)


def rolled_out(layers: Tensors) -> Tensor:
    """Return the product of matrices (examples, tokens, tokens), the last layer's first."""
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    return total


def _placing(
    x: Tensor, tokens: int, grids: tuple[Sides, ...], mode: str, channel_dim: int | None
) -> Callable[[Tensor], Tensor]:
    """Return how values of tokens (examples, tokens) become a map of the input."""
    if x.ndim == 2 and x.shape[1] == tokens:
        return lambda values: values
    has_axis = channel_dim is not None and x.ndim > 2
    axis = channel_dim % x.ndim if has_axis else (2 if x.ndim == 3 and x.shape[1] == tokens else 1)  # type: ignore[operator]
    sides = tuple(side for k, side in enumerate(x.shape) if k not in (0, axis))
    if sides == (tokens,):
        return lambda values: values.unsqueeze(axis)
    if len(sides) == 1 and has_axis and x.shape[axis] == tokens:  # each token is a whole channel
        return lambda values: values.unsqueeze(3 - axis).expand(-1, *x.shape[1:]).contiguous()
    layout = layout_of_tokens(tokens, sides, grids) if sides else None
    if layout is None:
        raise UnsuitableError(
            f"attention: expected tokens that are positions or patches of inputs {tuple(x.shape)}, got {tokens} tokens"
        )
    of_axes = {1: "linear", 3: "trilinear"}.get(len(sides), mode)

    def place(values: Tensor) -> Tensor:
        return LayerAttribution.interpolate(layout.fold(values.unsqueeze(-1)), sides, of_axes).movedim(1, axis)

    return place
