"""Differences through what selects values: the largest of a window or along an axis, the k largest, a sorted row.

Where place i holds the largest value on a share t_i of the straight way from x' to x,

    max x - max x' = sum_i t_i (x_i - x'_i),    sum_i t_i = 1,

exactly. No quotient is taken, and where places tie it does not matter which of them is called the largest. The
difference of two values that are selected by rank is shared by the places that they come from, as their own differences
are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.attributors.propagation.rescale.elementwise import rounding
from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.model_types import Keywords, Positional
from pnpxai.tensors import Tensors

__all__ = ["Extreme", "Larger", "MaxPool", "Selection"]


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window."""

    name: str
    args: Positional
    kwargs: Keywords

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of the operand."""
        x, x0 = operands[0], reference.operands[0]
        axes = int(self.name[-2])
        flat, flat0, grads = (v.flatten(-axes).flatten(0, -2) for v in (x, x0, grad))
        rest = {n: v for n, v in self.kwargs.items() if n not in ("return_indices", "input")}
        places = [
            getattr(F, self.name)(value, *self.args[1:6], **rest, return_indices=True)[1].reshape(grads.shape)
            for value in (x, x0)
        ]
        elsewhere = places[0] != places[1]
        result = torch.zeros_like(flat).scatter_add_(1, places[0], grads.masked_fill(elsewhere, 0.0))
        rows, windows = elsewhere.nonzero(as_tuple=True)
        members = self._members(x.shape[-axes:], output.shape[-axes:]).to(x.device)[windows]
        lines = [v[rows[:, None], members.clamp(min=0)].masked_fill(members < 0, -math.inf) for v in (flat, flat0)]
        shares = (_shares_of_way(*lines) * grads[elsewhere][:, None]).to(result.dtype)
        result.index_put_((rows[:, None].expand_as(members), members.clamp(min=0)), shares, accumulate=True)
        return (result.reshape(x.shape),)

    def _members(self, sizes: torch.Size, counts: torch.Size) -> Tensor:
        """Return (windows, members) places in a flattened map, -1 where a window reaches beyond it."""
        names = ("kernel_size", "stride", "padding", "dilation")
        given = dict(zip(names, self.args[1:5], strict=False)) | self.kwargs
        members = torch.zeros(1, 1, dtype=torch.long)
        for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            out = torch.arange(count)[:, None]
            if self.name.startswith("adaptive"):
                first, end = out * size // count, -(-(out + 1) * size // count)
                own = first + torch.arange(int((end - first).max()))
                own = own.masked_fill(own >= end, -1)
            else:
                kernel, stride, padding, dilation = (_along(given.get(n), axis) for n in names)
                own = out * (stride or kernel) - (padding or 0) + torch.arange(kernel) * (dilation or 1)
                own = own.masked_fill((own < 0) | (own >= size), -1)
            joined = members[:, None, :, None] * size + own[None, :, None, :]
            outside = (members < 0)[:, None, :, None] | (own < 0)[None, :, None, :]
            members = joined.masked_fill(outside, -1).flatten(2).flatten(0, 1)
        return members


def _along(setting: int | Sequence[int] | None, axis: int) -> int:
    """Return a pool's setting along an axis, 0 if the pool has none."""
    if setting is None or isinstance(setting, int):
        return setting or 0
    return setting[axis if len(setting) > 1 else 0] if setting else 0


@dataclass(frozen=True)
class Extreme:
    """The largest or smallest value along some axes (all of them for None)."""

    axes: tuple[int, ...] | None
    largest: bool

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of the operand."""
        shape = operands[0].shape
        axes = range(len(shape)) if self.axes is None else sorted(a % len(shape) for a in self.axes)
        last = tuple(range(-len(axes), 0))
        lines = [v.movedim(tuple(axes), last).flatten(-len(axes)) for v in (operands[0], reference.operands[0])]
        ways = _shares_of_way(*(v if self.largest else -v for v in lines))
        shares = ways * grad.reshape(*ways.shape[:-1], 1)
        return (shares.unflatten(-1, [shape[a] for a in axes]).movedim(last, tuple(axes)),)


def _shares_of_way(x: Tensor, x0: Tensor) -> Tensor:
    """Return t: the share of the straight way from x0 to x on which each value is the largest along the last axis.

    From one place to the next that overtakes it, as along the upper hull of lines.
    """
    x, x0 = (v.to(torch.promote_types(v.dtype, torch.float32)) for v in (x, x0))
    aside = ~(torch.isfinite(x) & torch.isfinite(x0))  # masked out
    start = x0.masked_fill(aside, -math.inf)
    slope = (x - x0).masked_fill(aside, 0.0)
    fastest = slope.masked_fill(start < start.amax(-1, keepdim=True), -math.inf)
    holder = fastest.argmax(-1, keepdim=True)
    shares, done = torch.zeros_like(x), torch.zeros_like(holder, dtype=x.dtype)
    while True:
        faster = slope - slope.gather(-1, holder)
        meets = (start.gather(-1, holder) - start) / faster.masked_fill(faster <= 0, 1.0)
        met, following = meets.masked_fill((faster <= 0) | aside, math.inf).min(-1, keepdim=True)
        until = torch.minimum(torch.maximum(met, done), torch.ones_like(done))
        shares.scatter_add_(-1, holder, until - done)
        if not (until < 1).any():
            return shares
        holder, done = torch.where(until < 1, following, holder), until


@dataclass(frozen=True)
class Selection:
    """Values at places along an axis, in each pass at its own."""

    axis: int
    places: Tensor
    keepdim: bool = True

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of the operand."""
        assert isinstance(reference.rule, Selection)  # noqa: S101
        places, grads = [self.places, reference.rule.places], [grad]
        if not self.keepdim:
            places, grads = [p.unsqueeze(self.axis) for p in places], [grad.unsqueeze(self.axis)]
        return (_to_places(operands[0], reference.operands[0], places, grads[0], self.axis),)


@dataclass(frozen=True)
class Larger:
    """The larger (or smaller) of two values, place by place."""

    largest: bool

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of both."""
        pairs = [torch.stack(torch.broadcast_tensors(*values)) for values in (operands, reference.operands)]
        extreme = Extreme((0,), self.largest)
        both = Reference(reference.name, (pairs[1],), reference.output)
        (shares,) = extreme.share((pairs[0],), both, output, grad)
        return tuple(share.sum_to_size(x.shape) for share, x in zip(shares, operands, strict=True))


def _to_places(x: Tensor, x0: Tensor, places: list[Tensor], grad: Tensor, axis: int) -> Tensor:
    here, there = places
    # of places that tie in one pass, that of the other pass
    there = torch.where(_tied(x0, here, there, axis), here, there)
    here = torch.where(_tied(x, here, there, axis), there, here)
    rise = x.gather(axis, here) - x0.gather(axis, there)
    of_here = x.gather(axis, here) - x0.gather(axis, here)
    of_there = x.gather(axis, there) - x0.gather(axis, there)
    same = here == there
    total = of_here.abs() + of_there.abs()
    share = rise / torch.where(total > 0, total, torch.ones_like(total))
    split = torch.where(total > 0, share, torch.zeros_like(total))
    result = torch.zeros_like(x)
    result.scatter_add_(axis, here, grad * torch.where(same, torch.ones_like(split), split * of_here.sign()))
    return result.scatter_add_(axis, there, grad * torch.where(same, torch.zeros_like(split), split * of_there.sign()))


def _tied(values: Tensor, here: Tensor, there: Tensor, axis: int) -> Tensor:
    one, other = values.gather(axis, here), values.gather(axis, there)
    return (one - other).abs() <= rounding(one, other)
