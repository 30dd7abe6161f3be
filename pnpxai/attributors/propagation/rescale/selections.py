"""Differences through what selects values: the largest of a window or along an axis, the k largest, a sorted row.

The difference of two selected values is shared by the places that they come from, as their own differences are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.model_types import Keywords
from pnpxai.tensors import Tensors

__all__ = ["Extreme", "Larger", "MaxPool", "Selection"]


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window."""

    name: str
    args: tuple[Any, ...]
    kwargs: Keywords

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of the operand."""
        x, x0 = operands[0], reference.operands[0]
        axes = int(self.name[-2])
        rest = {n: v for n, v in self.kwargs.items() if n not in ("return_indices", "input")}
        pool = getattr(F, self.name)
        places = [pool(value, *self.args[1:6], **rest, return_indices=True)[1].flatten(-axes) for value in (x, x0)]
        flat, flat0 = x.flatten(-axes), x0.flatten(-axes)
        return (_to_places(flat, flat0, places, grad.flatten(-axes), -1).reshape(x.shape),)


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
        flat, flat0 = (v.movedim(tuple(axes), last).flatten(-len(axes)) for v in (operands[0], reference.operands[0]))
        places = [(v if self.largest else -v).argmax(-1, keepdim=True) for v in (flat, flat0)]
        shares = _to_places(flat, flat0, places, grad.reshape(*flat.shape[:-1], 1), -1)
        return (shares.unflatten(-1, [shape[a] for a in axes]).movedim(last, tuple(axes)),)


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
