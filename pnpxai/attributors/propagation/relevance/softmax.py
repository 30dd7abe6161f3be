"""Relevance through a softmax, of attention weights or of classes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors

__all__ = ["Softmax"]


@dataclass(frozen=True)
class Softmax:
    """First order Taylor term; the remainder is a sink. Achtibat et al., 2024 (arXiv:2402.05602)."""

    axis: int
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return x (R - softmax(x) sum R)."""
        (x,) = operands
        share = x.softmax(self.axis)
        kept = x * (relevance - share * relevance.sum(self.axis, keepdim=True))
        kept = torch.where(share > 0, kept, torch.zeros_like(x))
        self.ledger.note(rest=relevance - kept)
        return (kept,)
