"""Differences through functions of each number on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.tensors import Tensors

__all__ = ["Elementwise", "rounding"]


@dataclass(frozen=True)
class Elementwise:
    """m = (f(x) - f(x')) / (x - x'), the rescale rule.

    Where rounding of f explains how the quotient differs from f'((x + x') / 2), that derivative is taken instead: of
    two runs that are close, a quotient of rounded differences has no correct digit. For a dtype coarser than float32, f
    is computed again in float32.
    """

    function: Callable[..., Tensor]
    eps: float

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multiplier of the operand."""
        shape = operands[0].shape
        ends, (y, y0) = (operands[0], reference.operands[0]), (output, reference.output)
        if (kind := torch.promote_types(output.dtype, torch.float32)) != output.dtype:
            ends = tuple(value.detach().to(kind) for value in ends)
            y, y0 = (self.function(value) for value in ends)
        x, x0 = (value.expand(output.shape) for value in ends)
        run, rise = x - x0, y - y0
        middle = ((x + x0) / 2).detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.function(middle).sum(), middle)
        explained = rounding(y, y0, slope * torch.maximum(x.abs(), x0.abs()))
        close = ((rise - slope * run).abs() <= explained) | (run.abs() <= self.eps) | ~torch.isfinite(run)
        slope = slope.masked_fill(~torch.isfinite(slope), 0.0)  # such as of a root at zero, in both runs
        multiplier = torch.where(close, slope, rise / torch.where(close, torch.ones_like(run), run))
        return ((grad * multiplier).sum_to_size(shape),)


def rounding(*sizes: Tensor) -> Tensor:
    """Return how far a difference of values of such sizes may be off."""
    total = sum((size.abs() for size in sizes[1:]), sizes[0].abs())
    return 4 * torch.finfo(total.dtype).eps * total
