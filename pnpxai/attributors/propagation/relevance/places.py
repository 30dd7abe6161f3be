"""Relevance through sums and products place by place, whose slopes are at hand: no graph is made for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.linear import normalised
from pnpxai.tensors import Tensors

__all__ = ["PlacewiseProduct", "PlacewiseScaling", "PlacewiseSum", "is_placewise"]


@dataclass(frozen=True)
class PlacewiseScaling:
    """All relevance goes through a product with constants, and through a quotient; where it gives zero, to nobody.

    Attributes:
        function: the product, of its factor.
        ledger: where sinks are noted.
    """

    function: Callable[..., Tensor]
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of the factor."""
        with torch.no_grad():
            value = self.function(*operands)
        return (_of_nonzero(value, relevance, self.ledger).to(operands[0].dtype),)


@dataclass(frozen=True)
class PlacewiseProduct:
    """Both factors get half; where they give zero, nobody gets anything. Achtibat et al., 2024 (arXiv:2402.05602).

    Attributes:
        ledger: where sinks are noted.
    """

    ledger: Ledger = field(repr=False)

    def share_value(self, value: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of the factors of ``value``."""
        half = _of_nonzero(value, relevance, self.ledger).div_(2)
        return half, half.clone()


@dataclass(frozen=True)
class PlacewiseSum:
    """R_k = x_k R / (z + epsilon sign z), z = sum_k x_k.

    Attributes:
        epsilon: the stabiliser.
        ledger: where sinks are noted.
    """

    epsilon: float
    ledger: Ledger = field(repr=False)

    def share_of(self, operands: Tensors, value: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of the operands, which add up to ``value``."""
        scale = normalised(value, relevance, self.epsilon, self.ledger)
        shares = [x * scale for x in operands[1:]]
        return (scale.mul_(operands[0]), *shares)


def _of_nonzero(value: Tensor, relevance: Tensor, ledger: Ledger) -> Tensor:
    zero = value == 0
    if not ledger.silent:
        ledger.note(epsilon=torch.where(zero, relevance, 0.0))
    return torch.where(zero, 0.0, relevance)


def is_placewise(operands: list[Tensor], others: list[Tensor]) -> bool:
    """Tell whether real operands of one shape and type keep it when other tensors are spread over them."""
    first = operands[0]
    if any(x.is_complex() for x in (*operands, *others)):
        return False
    return all(x.shape == first.shape and x.dtype == first.dtype for x in operands) and all(
        x.ndim <= first.ndim and all(a in (1, b) for a, b in zip(x.shape[::-1], first.shape[::-1], strict=False))
        for x in others
    )
