"""Differences through products and quotients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.propagation.rescale.step import Reference
from pnpxai.tensors import Tensors

__all__ = ["Product", "Quotient", "ScaledProduct"]


@dataclass(frozen=True)
class Product:
    """ab - a'b' = (b + b')/2 (a - a') + (a + a')/2 (b - b'): each factor's difference times the mean of the other."""

    function: Callable[..., Tensor]

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of both factors."""
        middle = tuple(((a + b) / 2).requires_grad_() for a, b in zip(operands, reference.operands, strict=True))
        return torch.autograd.grad(self.function(*middle), middle, grad)


@dataclass(frozen=True)
class ScaledProduct:
    """as - a's' = 2ss'/(s + s') (a - a') + (as + a's')/(s + s') (s - s'), for s that sets a size, such as 1/|a|.

    The mean of two scales would be that of the larger one: of a value of zeros it is huge, and what follows cancels.
    Scales of different signs are shared as ``Product`` does.
    """

    scale: int

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of both factors, in their order."""
        k = self.scale
        a, a0, s, s0 = operands[1 - k], reference.operands[1 - k], operands[k], reference.operands[k]
        same = s * s0 > 0
        total = torch.where(same, s + s0, torch.ones_like(s))
        of_a = grad * torch.where(same, 2 * (s * (s0 / total)), (s + s0) / 2)
        of_s = grad * torch.where(same, (output + reference.output) / total, (a + a0) / 2)
        shares = of_a.sum_to_size(a.shape), of_s.sum_to_size(s.shape)
        return shares if k == 1 else shares[::-1]


@dataclass(frozen=True)
class Quotient:
    """y - y' = 2/(b + b') (a - a') - (y + y')/(b + b') (b - b') for y = a/b; as a product with 1/b across a sign."""

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return the multipliers of numerator and denominator."""
        (a, b), (a0, b0) = operands, reference.operands
        same = b * b0 > 0
        total = torch.where(same, b + b0, torch.ones_like(b))
        of_a = grad * torch.where(same, 2 / total, (1 / b + 1 / b0) / 2)
        of_b = -grad * torch.where(same, (output + reference.output) / total, (a + a0) / 2 / (b * b0))
        return of_a.sum_to_size(a.shape), of_b.sum_to_size(b.shape)
