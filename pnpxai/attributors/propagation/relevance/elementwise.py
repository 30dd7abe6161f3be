"""Relevance through functions of each number on its own, and through what only scales a signal."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pnpxai.errors import RuleError
from pnpxai.tensors import Tensors

__all__ = ["Pass", "Scale"]


@dataclass(frozen=True)
class Pass:
    """All relevance goes through unchanged."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance itself."""
        return (relevance.reshape(operands[0].shape),)


@dataclass(frozen=True)
class Scale:
    """A scale, which products and quotients take for a constant, so that no relevance comes to it."""

    name: str

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Refuse relevance: here it is more than a scale.

        Raises:
            RuleError: always.
        """
        raise RuleError(
            f"LRP: no rule for the operation {self.name!r} where it is more than a scale; use a gradient or "
            "perturbation method instead"
        )
