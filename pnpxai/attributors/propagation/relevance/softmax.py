"""Relevance through a softmax, of attention weights or of classes, and through its normaliser."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors

__all__ = ["LogSumExp", "Softmax"]


@dataclass(frozen=True)
class Softmax:
    """R_i = x_i (R'_i - p_i sum_j R'_j), p = softmax(x): the first order Taylor term; the remainder is a sink.

    Achtibat et al., 2024 (arXiv:2402.05602).
    """

    axis: int
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of the logits."""
        (x,) = operands
        share = x.softmax(self.axis)
        kept = x * (relevance - share * relevance.sum(self.axis, keepdim=True))
        kept = torch.where(share > 0, kept, torch.zeros_like(x))
        self.ledger.note(rest=relevance - kept)
        return (kept.to(x.dtype),)


@dataclass(frozen=True)
class LogSumExp:
    """R_i = p_i R', p = softmax(x): the soft form of a maximum, whose winner gets all."""

    axis: int | tuple[int, ...]
    keepdim: bool

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of the logits."""
        (x,) = operands
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        for axis in () if self.keepdim else sorted(a % x.ndim for a in axes):
            relevance = relevance.unsqueeze(axis)
        return ((x - x.logsumexp(axes, keepdim=True)).exp() * relevance,)
