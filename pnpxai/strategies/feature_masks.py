"""What counts as one feature: ids over positions, equal ids belonging together."""

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
    """Gives the features' ids 0, 1, ..., for each example without gaps: (1 or examples, *positions)."""

    @abstractmethod
    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids.

        Args:
            values: (examples, ...) inputs.
            channel_dim: the axis whose entries belong to one position; None where there is none.
        """


class Positions(FeatureMask):
    """Every pixel, token, time step or column is a feature of its own, all its channels together."""

    name: ClassVar[str] = "positions"
    aliases: ClassVar[tuple[str, ...]] = ("no_mask_1d", "no_mask_2d")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """A picture has too many to be tried one by one."""
        return traits.modality != "image"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return running numbers."""
        shape = positions_of(values, channel_dim)
        return torch.arange(shape.numel(), device=values.device).reshape(1, *shape)


class Patches(FeatureMask):
    """Squares of pixels (windows of a series) of a fixed size; those at the far border may be smaller."""

    name: ClassVar[str] = "patches"
    aliases: ClassVar[tuple[str, ...]] = ("windows",)
    size: Annotated[int, Ge(1), Range(2, 16, step=2)] = 4
    """Side of a patch, in positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Neighbours must mean something."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the patch of each position."""
        return _boxes(values, channel_dim, lambda places, side: places // self.size)


class Grid(FeatureMask):
    """A picture (a series) cut into as many parts along each axis, whatever its size."""

    name: ClassVar[str] = "grid"
    aliases: ClassVar[tuple[str, ...]] = ("checker",)
    cells: Annotated[int, Ge(1), Range(2, 16, step=2)] = 8
    """Number of parts along each axis; a shorter axis has as many as positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Neighbours must mean something."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the cell of each position."""
        return _boxes(values, channel_dim, lambda places, side: places * min(self.cells, side) // side)


class EachMask(FeatureMask):
    """A mask of its own for each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[tuple[FeatureMask, ...], each_by_name(FeatureMask)]
    """One for each input, by name or as objects."""

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids of a model's only input."""
        return self.strategies[0](values, channel_dim)


def channel_axis(values: Tensor, channel_dim: int | None) -> int | None:
    """Return the axis of channels, counted from the front; ids and rows of a table (two dimensions) have none."""
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
    """Return (examples, ...) the same groups, numbered 0, 1, ... in each example."""
    return torch.stack([row.unique(return_inverse=True)[1] for row in ids])


def _boxes(values: Tensor, channel_dim: int | None, part: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Number the boxes that ``part(places, side)`` cuts each axis into."""
    ids = torch.zeros((), dtype=torch.long)
    for side in positions_of(values, channel_dim):
        along = part(torch.arange(side), side)
        ids = ids[..., None] * int(along[-1] + 1) + along
    return ids.to(values.device)[None]
