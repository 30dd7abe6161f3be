"""Gradient times input with large shares made larger."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Gt

from pnpxai.attributors import InputXGradient
from pnpxai.attributors.base import Attributor
from pnpxai.declare.declared import Range
from pnpxai.explainers.base import Explainer
from pnpxai.tensors import as_tuple, like

__all__ = ["Sharpened"]


class SharpenedShares(Attributor):
    """Gradient times input, raised to a power with its sign kept."""

    def __init__(self, model: Any, power: float) -> None:
        super().__init__(model)
        self.power = power

    def attribute(self, inputs: Any, target: Any = None, additional_forward_args: Any = None) -> Any:
        """Return the maps."""
        shares = InputXGradient(self.forward_func).attribute(inputs, target, additional_forward_args)
        return like(inputs, [s.sign() * s.abs() ** self.power for s in as_tuple(shares)])


class Sharpened(Explainer):
    """Gradient times input, raised to a power with its sign kept."""

    power: Annotated[float, Gt(0), Range(0.5, 2.0, step=0.5)] = 1.5
    """Above one, large shares stand out."""

    def attributor(self) -> Attributor:
        """Return the backend."""
        return SharpenedShares(self.forward_func, self.power)
