"""One scale for maps, each example on its own."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.strategies.base import Strategy

__all__ = ["MaxAbs", "MinMax", "NoNormalization", "Normalization"]


class Normalization(Strategy, abstract=True):
    """Rescales maps (examples, ...). A constant map gives zeros, never NaN."""


class MinMax(Normalization):
    """To 0 ... 1."""

    name: ClassVar[str] = "minmax"

    def __call__(self, values: Tensor) -> Tensor:
        """Return (a - min) / (max - min)."""
        axes = tuple(range(1, values.ndim))
        low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
        return _over(values - low, high - low)


class MaxAbs(Normalization):
    """By the largest absolute value, which keeps signs: to -1 ... 1."""

    name: ClassVar[str] = "maxabs"

    def __call__(self, values: Tensor) -> Tensor:
        """Return a / max |a|."""
        return _over(values, values.abs().amax(tuple(range(1, values.ndim)), keepdim=True))


class NoNormalization(Normalization):
    """As they are."""

    name: ClassVar[str] = "identity"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the maps unchanged."""
        return values


def _over(values: Tensor, scale: Tensor) -> Tensor:
    return torch.where(
        scale > 0, values / torch.where(scale > 0, scale, torch.ones_like(scale)), torch.zeros_like(values)
    )
