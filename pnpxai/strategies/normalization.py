"""Defines normalisations, which bring the maps of all examples to one scale; each example by itself."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from pnpxai.strategies.base import Strategy, each_by_name
from pnpxai.traits import Traits

__all__ = ["EachNormalization", "MaxAbs", "MinMax", "NoNormalization", "Normalization", "Robust", "Standard"]

_ROUNDINGS, _SHARE = 100, 0.01
"""Roundings of a map's largest value that a difference must exceed; of half precisions, this share of it."""


class Normalization(Strategy, abstract=True):
    """Rescales the map of each example (examples, ...).

    A map that is constant up to rounding becomes zeros, never NaN and never its stretched rounding.
    """

    keeps_zero: ClassVar[bool] = True
    """False if a value of zero may become another one."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return False for tables if zero moves: a column of zero would be read as one that matters."""
        return cls.keeps_zero or traits.modality != "table"


class EachNormalization(Normalization):
    """Uses another normalisation for the map of each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[Normalization, ...], each_by_name(Normalization)]
    """One normalisation for each input, as objects or names."""

    def __call__(self, values: Tensor) -> Tensor:
        """Return the normalised map of a model's only input."""
        return self.strategies[0](values)


class MinMax(Normalization):
    """Rescales a map a to 0 ... 1: (a - min) / (max - min)."""

    name: ClassVar[str] = "minmax"
    keeps_zero: ClassVar[bool] = False

    def __call__(self, values: Tensor) -> Tensor:
        """Return (a - min) / (max - min)."""
        low, high = _each(values).amin(1), _each(values).amax(1)
        return _over(values - _along(low, values), high - low, values)


class MaxAbs(Normalization):
    """Rescales a map a to -1 ... 1: a / max |a|, which keeps the signs."""

    name: ClassVar[str] = "maxabs"

    def __call__(self, values: Tensor) -> Tensor:
        """Return a / max |a|."""
        return _over(values, _each(values).abs().amax(1), values)


class Robust(Normalization):
    """Rescales a map a to (a - median) / (third quartile - first quartile), which a few extreme values hardly change.

    Where the quartiles are equal, the largest distance from the median takes the place of their difference.
    """

    name: ClassVar[str] = "robust"
    keeps_zero: ClassVar[bool] = False

    def __call__(self, values: Tensor) -> Tensor:
        """Return the normalised maps."""
        each = _each(values).sort(1).values
        first, median, third = (_quantile(each, share) for share in (0.25, 0.5, 0.75))
        centred = values - _along(median, values)
        spread = third - first
        spread = torch.where(_varies(spread, values), spread, _each(centred).abs().amax(1))
        return _over(centred, spread, values)


class Standard(Normalization):
    """To standard deviation 1, which keeps signs."""

    name: ClassVar[str] = "standard"

    def __call__(self, values: Tensor) -> Tensor:
        """Return a / std a."""
        each = _each(values)
        return _over(values, each.std(1, correction=0), values)


class NoNormalization(Normalization):
    """Leaves maps as they are."""

    name: ClassVar[str] = "identity"

    def __call__(self, values: Tensor) -> Tensor:
        """Return the maps unchanged."""
        return values


def _each(values: Tensor) -> Tensor:
    """Return (examples, numbers)."""
    return values.reshape(values.shape[0], -1)


def _quantile(ascending: Tensor, share: float) -> Tensor:
    """Return (examples,) quantiles, interpolated linearly; ``torch.quantile`` would refuse large maps."""
    place = share * (ascending.shape[1] - 1)
    low = int(place)
    high = min(low + 1, ascending.shape[1] - 1)
    return torch.lerp(ascending[:, low], ascending[:, high], place - low)


def _along(numbers: Tensor, values: Tensor) -> Tensor:
    """Return (examples,) numbers with as many dimensions as ``values`` has."""
    return numbers.reshape(-1, *[1] * (values.ndim - 1))


def _over(values: Tensor, scale: Tensor, maps: Tensor) -> Tensor:
    """Return values over the (examples,) scale of their maps, zeros where that is nothing but rounding."""
    varies = _varies(scale, maps)
    divisor = _along(torch.where(varies, scale, torch.ones_like(scale)), values)
    return torch.where(_along(varies, values), values / divisor, torch.zeros_like(values))


def _varies(scale: Tensor, maps: Tensor) -> Tensor:
    """Return (examples,) true where a difference of values is more than their rounding."""
    return scale > min(_ROUNDINGS * torch.finfo(scale.dtype).eps, _SHARE) * _each(maps).abs().amax(1)
