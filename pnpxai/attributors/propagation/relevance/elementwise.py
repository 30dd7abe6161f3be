"""Relevance through functions of each number on its own, and through what only scales a signal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.tensors import Tensors

__all__ = ["Pass", "Scale"]


@dataclass(frozen=True)
class Pass:
    """All relevance goes through unchanged."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance itself."""
        return (self.share_shape(operands[0].shape, relevance),)

    def share_shape(self, shape: torch.Size, relevance: Tensor) -> Tensor:
        """Return the relevance in the shape of the operand, summed where that was spread over more places."""
        return relevance.reshape(shape) if relevance.numel() == shape.numel() else relevance.sum_to_size(shape)


@dataclass(frozen=True)
class Scale(Pass):
    """A scale, such as 1/|x|: products and quotients take it for a constant, so that relevance comes to it only where
    it is more than that. It is then handed on as by any function of each number."""
