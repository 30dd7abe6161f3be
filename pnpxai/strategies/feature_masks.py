"""Defines the simple feature masks. A mask gives every position an id; positions with equal ids are one feature."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from pnpxai.declare.declared import Range
from pnpxai.errors import ArgumentError
from pnpxai.strategies.base import Strategy, each_by_name
from pnpxai.traits import Traits

__all__ = [
    "EachMask",
    "FeatureMask",
    "Grid",
    "Patches",
    "Positions",
    "channel_axis",
    "consecutive",
    "positions_of",
]


class FeatureMask(Strategy, abstract=True):
    """Numbers the features of each example 0, 1, ... without gaps, in a tensor (1 or examples, *positions)."""

    @abstractmethod
    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids.

        Args:
            values: (examples, ...) inputs.
            channel_dim: the axis of channels, all of which belong to one position; None where there are no channels.
        """


class Positions(FeatureMask):
    """Makes every pixel, token, time step or column a feature, with all its channels."""

    name: ClassVar[str] = "positions"
    aliases: ClassVar[tuple[str, ...]] = ("no_mask_1d", "no_mask_2d")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return False for pictures, which have too many positions to try them one by one."""
        return traits.modality != "image"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of each position."""
        shape = positions_of(values, channel_dim)
        return torch.arange(shape.numel(), device=values.device).reshape(1, *shape)


class Patches(FeatureMask):
    """Cuts a picture into squares (a series into windows) of a fixed size; the last of each axis may be smaller."""

    name: ClassVar[str] = "patches"
    aliases: ClassVar[tuple[str, ...]] = ("windows",)
    size: Annotated[int, Ge(1), Range(2, 16, step=2)] = 4
    """Side of a patch, in positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures and series, where neighbours belong together."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the patch of each position."""
        return _boxes(values, channel_dim, lambda places, side: places // self.size)


class Grid(FeatureMask):
    """Cuts every axis of a picture (of a series) into the same number of parts, whatever its length."""

    name: ClassVar[str] = "grid"
    aliases: ClassVar[tuple[str, ...]] = ("checker",)
    cells: Annotated[int, Ge(1), Range(2, 16, step=2)] = 8
    """Number of parts along each axis; an axis with fewer positions is cut into single positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for pictures and series, where neighbours belong together."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the cell of each position."""
        return _boxes(values, channel_dim, lambda places, side: places * min(self.cells, side) // side)


class EachMask(FeatureMask):
    """Uses another feature mask for each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[FeatureMask, ...], each_by_name(FeatureMask)]
    """One mask for each input, as objects or names."""

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids of a model's only input."""
        return self.strategies[0](values, channel_dim)


def channel_axis(values: Tensor, channel_dim: int | None) -> int | None:
    """Return the axis of channels, counted from the front; None for ids and tables, which have two dimensions."""
    if channel_dim is None or values.ndim <= 2:
        return None
    if not -values.ndim <= channel_dim < values.ndim or channel_dim % values.ndim == 0:
        raise ArgumentError(
            f"channel_dim: expected an axis of inputs with {values.ndim} dimensions, not the first, got {channel_dim}"
        )
    return channel_dim % values.ndim


def positions_of(values: Tensor, channel_dim: int | None) -> torch.Size:
    """Return the shape of an example's positions: all axes but examples and channels."""
    axis = channel_axis(values, channel_dim)
    return torch.Size(side for k, side in enumerate(values.shape) if k not in (0, axis))


def consecutive(ids: Tensor) -> Tensor:
    """Return the same groups (examples, ...), numbered 0, 1, ... in each example."""
    return torch.stack([row.unique(return_inverse=True)[1] for row in ids])


def _boxes(values: Tensor, channel_dim: int | None, part: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return the number of each position's box; ``part(places, side)`` gives the parts of an axis."""
    ids = torch.zeros((), dtype=torch.long)
    for side in positions_of(values, channel_dim):
        along = part(torch.arange(side), side)
        ids = ids[..., None] * int(along[-1] + 1) + along
    return ids.to(values.device)[None]
