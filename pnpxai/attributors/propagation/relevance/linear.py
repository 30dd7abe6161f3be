"""Relevance through linear operations and products: in proportion to what each operand contributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors

__all__ = ["Affine", "Product"]


@dataclass(frozen=True)
class Affine:
    """R_i = x_i dz/dx_i R / (z + epsilon sign z): each operand gets what it contributes to a sum (the epsilon rule).

    Constants and the stabiliser keep their part. Complex numbers are taken for pairs of numbers.

    Attributes:
        function: the operation, of its operands.
        epsilon: the stabiliser.
        ledger: where sinks are noted.
        constant: gives what the operation adds, spread over its output or not; by default its value at zeros. None
            if it adds nothing.
    """

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)
    constant: Callable[[], Tensor] | Literal["of zeros"] | None = "of zeros"

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return each operand's value times the gradient of the normalised output."""
        leaves = tuple(x.detach().requires_grad_() for x in operands)
        with torch.enable_grad():
            output = self.function(*leaves)
        return self.share_along(leaves, output, relevance)

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return what ``share`` does, of an operation that has been computed."""
        with torch.no_grad():
            z, relevance_of_z = _real(output.detach()), _real(relevance)
            stabiliser = _signed(self.epsilon, z)
            scale = z + stabiliser
            torch.div(relevance_of_z, scale, out=scale)
            if self.constant is not None:
                zeros = map(torch.zeros_like, leaves)
                added = _real(self.constant() if callable(self.constant) else self.function(*zeros))
                if torch.isinf(added).any():  # the constant then gets all
                    masked = torch.isinf(z)
                    self.ledger.note(bias=relevance_of_z.masked_fill(~masked, 0))
                    scale, added = scale.masked_fill(masked, 0), added.masked_fill(torch.isinf(added), 0)
                self.ledger.note_product("bias", scale, added)
            if self.epsilon:
                self.ledger.note_product("epsilon", scale, stabiliser)
        with torch.enable_grad():
            seeds = scale if not output.is_complex() else torch.view_as_complex(scale)
            gradients = torch.autograd.grad(
                output, leaves, seeds, retain_graph=self.ledger.again, allow_unused=True, materialize_grads=True
            )
        if len(leaves) == 1 and gradients[0].is_contiguous() and not gradients[0].is_complex():
            return (gradients[0].mul_(leaves[0].detach()),)  # nobody else has this gradient
        return tuple(_times(x.detach(), g) for x, g in zip(leaves, gradients, strict=True))


@dataclass(frozen=True)
class Product:
    """Both factors get half of what the product gets. Achtibat et al., 2024 (arXiv:2402.05602)."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)
    constant: Callable[[], Tensor] | Literal["of zeros"] | None = None

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return half of what the factors contribute to the product (each contributes all of it)."""
        shares = Affine(self.function, self.epsilon, self.ledger, self.constant).share(operands, relevance)
        return tuple(share / 2 for share in shares)

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return what ``share`` does, of an operation that has been computed."""
        of_sum = Affine(self.function, self.epsilon, self.ledger, self.constant)
        return tuple(share.div_(2) for share in of_sum.share_along(leaves, output, relevance))


def _signed(epsilon: float, value: Tensor) -> Tensor:
    """Return epsilon with the sign of each number."""
    return torch.copysign(torch.full((), epsilon, dtype=value.dtype, device=value.device), value)


def _real(value: Tensor) -> Tensor:
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def _times(value: Tensor, gradient: Tensor) -> Tensor:
    """Return products of numbers with their gradients, of real and imaginary parts each with its own."""
    if not value.is_complex():
        return value * gradient
    return torch.view_as_complex(_real(value) * _real(gradient))
