"""Relevance through linear operations and products: in proportion to what each operand contributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors

__all__ = ["Affine", "Product"]


@dataclass(frozen=True)
class Affine:
    """Epsilon rule: each operand gets what it contributes to a sum; constants and the stabiliser keep their part."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return each operand's value times the gradient of the normalised output."""
        leaves = tuple(x.requires_grad_() for x in operands)
        output = self.function(*leaves)
        with torch.no_grad():
            scale = relevance / _stabilised(output, self.epsilon)
            constant = self.function(*(torch.zeros_like(x) for x in leaves))
            of_constant, left = constant * scale, relevance - output * scale
            masked = torch.isinf(output)  # by a constant, which then gets all
            if masked.any():
                scale, of_constant = scale.masked_fill(masked, 0), torch.where(masked, relevance, of_constant)
                left = left.masked_fill(masked, 0)
            self.ledger.note(of_constant, left)
        gradients = torch.autograd.grad(output, leaves, scale, allow_unused=True, materialize_grads=True)
        return tuple(x.detach() * g for x, g in zip(leaves, gradients, strict=True))


@dataclass(frozen=True)
class Product:
    """Both factors get half of what the product gets. Achtibat et al., 2024 (arXiv:2402.05602)."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return half of what the factors contribute to the product (each contributes all of it)."""
        shares = Affine(self.function, self.epsilon, self.ledger).share(operands, relevance)
        return tuple(share / 2 for share in shares)


def _stabilised(value: Tensor, epsilon: float) -> Tensor:
    return value + torch.where(value >= 0, epsilon, -epsilon).to(value.dtype)
