"""Finds positions and channels in the values of layers, also if the positions are a row of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

__all__ = ["MapLayout", "Sides", "layout_of", "layout_of_tokens", "reductions"]

Sides: TypeAlias = tuple[int, ...]
"""Number of positions of a map along each axis: (time,), (height, width) or (depth, height, width)."""


@dataclass(frozen=True)
class MapLayout:
    """Says which axes of a layer's value hold examples, channels and positions.

    Attributes:
        sides: of the map.
        channels_last: whether channels come behind the positions, as in transformers. Positions may then be a row of
            tokens, and what stands before them (class, distillation and register tokens) belongs to no position.
        batch: the axis of the examples.
    """

    sides: Sides
    channels_last: bool = False
    batch: int = 0

    def fold(self, value: Tensor) -> Tensor:
        """Return (examples, channels, *sides) of a value of this layout."""
        rows = value.movedim(self.batch, 0)
        if not self.channels_last:
            return rows
        positions = rows.flatten(1, -2)[:, -math.prod(self.sides) :]
        return positions.transpose(1, 2).unflatten(2, self.sides)


def layout_of(shape: Sequence[int], examples: int, sides: Sides, grids: Iterable[Sides] = ()) -> MapLayout | None:
    """Return the layout of a value that is a map of an input with such sides, None if it is not one.

    Args:
        shape: of the value.
        examples: how many there are.
        sides: of the input.
        grids: sides of maps that are known: of the patch embedding and of other convolutions. A row of tokens is a grid
            or what is left of it when neighbours are merged; without any it has the input's proportions.
    """
    known = [reduced for grid in grids for reduced in reductions(grid)]
    if len(shape) < 3 or 0 in shape:
        return None
    if shape[0] == examples:
        batch, rest = 0, tuple(shape[1:])
    elif len(shape) == 3 and shape[1] == examples:  # (tokens, examples, channels), as torch's transformers have it
        batch, rest = 1, (shape[0], shape[2])
    else:
        return None
    if len(rest) == len(sides) + 1 and batch == 0:
        first, last = MapLayout(rest[1:]), MapLayout(rest[:-1], channels_last=True)
        layout = min(first, last, key=lambda layout: (layout.sides not in known, _distortion(layout.sides, sides)))
    elif len(rest) == 2:
        grid = _grid_of(rest[0], sides, known)
        layout = None if grid is None else MapLayout(grid, True, batch)
    else:
        return None
    return None if layout is None or math.prod(layout.sides) < 2 else layout


def layout_of_tokens(tokens: int, sides: Sides, grids: Iterable[Sides] = ()) -> MapLayout | None:
    """Return the layout of a row of tokens that is a map of an input with such sides, None if it is not one.

    Args:
        tokens: how many there are.
        sides: of the input.
        grids: as for ``layout_of``.
    """
    grid = _grid_of(tokens, sides, [reduced for known in grids for reduced in reductions(known)])
    return None if grid is None or math.prod(grid) < 2 else MapLayout(grid, channels_last=True)


def reductions(grid: Sides) -> Iterator[Sides]:
    """Yield a grid, and the smaller grids that remain when neighbours are merged once, twice, ... along each axis."""
    while math.prod(grid) > 1:
        yield grid
        grid = tuple(-(-side // 2) for side in grid)


def _grid_of(tokens: int, sides: Sides, known: Sequence[Sides]) -> Sides | None:
    """Return the grid that the last of so many tokens form."""
    if known:
        return max((grid for grid in known if math.prod(grid) <= tokens), key=math.prod, default=None)
    if len(sides) == 1:  # any number would do; a class token shows in that what is left divides the length
        positions = min(tokens, *sides)
        return (positions - 1,) if sides[0] % positions and sides[0] % (positions - 1) == 0 else (positions,)
    for positions in range(tokens, 1, -1):
        scale = (positions / math.prod(sides)) ** (1 / len(sides))
        grid = tuple(round(side * scale) for side in sides)
        if math.prod(grid) == positions:
            return grid
    return None


def _distortion(grid: Sides, sides: Sides) -> float:
    """Return the deviation of a map's proportions from those of the input."""
    scales = [math.log(side / whole) for side, whole in zip(grid, sides, strict=True)]
    return max(scales) - min(scales)
