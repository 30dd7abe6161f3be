"""Relevance through sums of branches, shared otherwise than in proportion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.linear import Affine
from pnpxai.tensors import Tensors, sum_rows

__all__ = ["Balanced", "BySize"]


@dataclass(frozen=True)
class Balanced:
    """As ``Affine``, then each operand's total gets the sign of the whole, by size. Chefer et al., 2021, eq. 9-10.

    Without it, branches that nearly cancel pass on relevance of opposite signs, many times what came.
    """

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the operands contribute to a sum, rescaled example by example."""
        unnoted = Ledger(self.ledger.size)
        shares = Affine(self.function, self.epsilon, unnoted).share(operands, relevance)
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
        nothing = [torch.zeros_like(x) for x in operands]
        with torch.no_grad():
            constant = self.function(*nothing)
            alone = [self.function(*nothing[:k], x, *nothing[k + 1 :]) - constant for k, x in enumerate(operands)]
            if len(alone) == 1:
                return (relevance.sum_to_size(operands[0].shape),)
            sizes = [part.abs() for part in alone]
            scale = relevance / (sum(sizes[1:], sizes[0]) + self.epsilon)
            self.ledger.note(epsilon=relevance - sum(sizes[1:], sizes[0]) * scale)
            return tuple((size * scale).sum_to_size(x.shape) for size, x in zip(sizes, operands, strict=True))


def _by_rows(value: Tensor, scale: Tensor) -> Tensor:
    """Scale a value whose first dimension holds a multiple of the examples."""
    if value.shape[0] % scale.numel():
        return value * scale.mean()
    return (value.reshape(scale.numel(), -1) * scale[:, None].to(value)).reshape(value.shape)
