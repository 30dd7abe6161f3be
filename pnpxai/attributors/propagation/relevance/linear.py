"""Relevance through linear operations and products: in proportion to what each operand contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.kept import Held
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.tensors import Tensors

__all__ = ["Affine", "Linear", "Product", "normalised"]


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
        scale = self.scale(output.detach(), leaves, relevance)
        with torch.enable_grad():
            seeds = scale if not output.is_complex() else torch.view_as_complex(scale)
            gradients = torch.autograd.grad(
                output, leaves, seeds, retain_graph=self.ledger.again, allow_unused=True, materialize_grads=True
            )
        last = {g.data_ptr(): k for k, g in enumerate(gradients)}  # branches of a sum have one gradient in common
        return tuple(
            _times(x.detach(), g, in_place=last[g.data_ptr()] == k)
            for k, (x, g) in enumerate(zip(leaves, gradients, strict=True))
        )

    def scale(self, output: Tensor, operands: Tensors, relevance: Tensor) -> Tensor:
        """Return R / (z + epsilon sign z), and note what constants and the stabiliser keep."""
        with torch.no_grad():
            z = _real(output)
            scale = normalised(z, _real(relevance), self.epsilon, self.ledger)
            if self.constant is not None and not (callable(self.constant) and self.ledger.silent):
                zeros = map(torch.zeros_like, operands)
                added = _real(self.constant() if callable(self.constant) else self.function(*zeros))
                if torch.isinf(added).any():  # the constant then gets all
                    masked = torch.isinf(z)
                    self.ledger.note(bias=_real(relevance).masked_fill(~masked, 0))
                    scale, added = scale.masked_fill(masked, 0), added.masked_fill(torch.isinf(added), 0)
                self.ledger.note_product("bias", scale, added)
        return scale


@dataclass(frozen=True)
class Linear:
    """R = x W^T R' / (z + epsilon sign z): the epsilon rule of z = W x + b, whose slope W needs no graph.

    Attributes:
        of_sum: the same rule, along a graph.
        weight: W, (outputs, inputs).
    """

    of_sum: Affine
    weight: Held = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the inputs contribute."""
        return self.of_sum.share(operands, relevance)

    def share_of(self, operands: Tensors, value: Tensor, relevance: Tensor) -> Tensors:
        """Return what the inputs contribute to ``value``."""
        (x,), weight = operands, self.weight()
        scale = self.of_sum.scale(value, operands, relevance)
        return (torch.matmul(scale.to(weight.dtype), weight).mul_(x),)


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


def normalised(z: Tensor, relevance: Tensor, epsilon: float, ledger: Ledger) -> Tensor:
    """Return R / (z + epsilon sign z), and note what the stabiliser keeps."""
    with torch.no_grad():
        scale = torch.empty_like(z)
        for part_of_z, part, part_of_scale in _blocks(ledger.size, z, relevance, scale):
            stabiliser = torch.copysign(torch.full((), epsilon, dtype=z.dtype, device=z.device), part_of_z)
            torch.add(part_of_z, stabiliser, out=part_of_scale)
            torch.div(part, part_of_scale, out=part_of_scale)
            if epsilon and not ledger.silent:
                ledger.note_product("epsilon", part_of_scale, stabiliser)
    return scale


def _blocks(size: int, *values: Tensor) -> Iterator[Tensors]:
    """Yield parts of values of one shape, small enough for a processor's cache, each with some of every example."""
    fits = all(value.is_contiguous() and value.shape == values[0].shape for value in values)
    if not fits or values[0].device.type != "cpu" or not values[0].ndim or values[0].shape[0] % size:
        yield values
        return
    rows = [value.reshape(size, -1) for value in values]
    width = max(1, _NUMBERS // size)
    for start in range(0, rows[0].shape[1], width):
        yield tuple(value[:, start : start + width] for value in rows)


_NUMBERS = 2**15
"""Numbers of a value that are dealt with at a time."""


def _real(value: Tensor) -> Tensor:
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def _times(value: Tensor, gradient: Tensor, *, in_place: bool) -> Tensor:
    """Return products of numbers with their gradients, of real and imaginary parts each with its own."""
    if value.is_complex():
        return torch.view_as_complex(_real(value) * _real(gradient))
    return gradient.mul_(value) if in_place and gradient.is_contiguous() else value * gradient
