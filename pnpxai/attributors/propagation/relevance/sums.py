"""Relevance through sums of branches, shared otherwise than in proportion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors, sum_rows

__all__ = ["Balanced", "BySize", "Damped"]


@dataclass(frozen=True)
class Damped:
    """R_k = x_k dz/dx_k R z / (z^2 + epsilon s^2), which is the epsilon rule but where the parts of z cancel.

    s is the size of what z is the sum of: |x_1| + |x_2| for z = x_1 + x_2, and |x_1| |x_2| for their product. Of parts
    that cancel only rounding is left, whose quotient would be many times what all others get. A dtype coarser than
    float32, in which squares of small numbers are zero, is computed in float32.

    Attributes:
        function: a sum of its operands, or a product.
        epsilon: the stabiliser, relative to s.
        product: whether it is a product, of which both factors get half.
    """

    function: Callable[..., Tensor]
    epsilon: float
    product: bool

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the operands contribute, less where it cancels."""
        own = [x.dtype for x in operands]
        operands = tuple(x.detach().to(torch.promote_types(x.dtype, torch.float32)) for x in operands)
        leaves = tuple(x.detach().requires_grad_() for x in operands)
        with torch.enable_grad():
            z = self.function(*leaves)
        with torch.no_grad():
            if self.product:
                size = self.function(*(x.abs() for x in operands)).abs()
            else:
                size = torch.stack(_alone(self.function, operands)).abs().sum(0)
            value, least = z.detach(), torch.finfo(z.dtype).tiny
            scale = relevance * value / (value.square() + self.epsilon * size.square()).clamp_min(least)
            scale = scale / 2 if self.product else scale
        slopes = torch.autograd.grad(z, leaves, scale, allow_unused=True, materialize_grads=True)
        return tuple((x * slope).to(kind) for x, slope, kind in zip(operands, slopes, own, strict=True))


@dataclass(frozen=True)
class Balanced:
    """As ``Damped``, then each operand's total gets the sign of the whole, by size. Chefer et al., 2021, eq. 9-10.

    Without it, branches that nearly cancel pass on relevance of opposite signs, many times what came.
    """

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the operands contribute to a sum, rescaled example by example."""
        shares = Damped(self.function, self.epsilon, product=False).share(operands, relevance)
        whole = sum_rows(relevance, self.ledger.size)
        totals = torch.stack([sum_rows(share, self.ledger.size) for share in shares])
        size = totals.abs().sum(0)
        part = torch.where(size > 0, whole / size, 0.0) * totals.sign()
        self.ledger.note(rest=torch.where(size > 0, 0.0, whole))
        return tuple(_by_rows(share, scale) for share, scale in zip(shares, part, strict=True))


@dataclass(frozen=True)
class BySize:
    """Each operand gets its part of the sizes of what is summed; constants get nothing."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the operands' parts, place by place."""
        with torch.no_grad():
            alone = _alone(self.function, operands)
            if len(alone) == 1:
                return (relevance.sum_to_size(operands[0].shape),)
            sizes = [part.abs() for part in alone]
            scale = relevance / (sum(sizes[1:], sizes[0]) + self.epsilon)
            self.ledger.note(epsilon=relevance - sum(sizes[1:], sizes[0]) * scale)
            return tuple((size * scale).sum_to_size(x.shape) for size, x in zip(sizes, operands, strict=True))


def _alone(function: Callable[..., Tensor], operands: Tensors) -> list[Tensor]:
    """Return what each operand adds to a sum."""
    nothing = [torch.zeros_like(x) for x in operands]
    constant = function(*nothing)
    return [function(*nothing[:k], x, *nothing[k + 1 :]) - constant for k, x in enumerate(operands)]


def _by_rows(value: Tensor, scale: Tensor) -> Tensor:
    """Scale a value whose first dimension holds a multiple of the examples."""
    if value.shape[0] % scale.numel():
        return value * scale.mean()
    return (value.reshape(scale.numel(), -1) * scale[:, None].to(value)).reshape(value.shape)
