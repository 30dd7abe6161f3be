"""Pictures or sound that a language model reads beside its text, cut into cells that can be absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import Keywords

__all__ = ["Grid", "Media", "media_of"]

_TEXT = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask", "labels")


@dataclass(frozen=True)
class Grid:
    """The cells of one picture, or the windows of one sound.

    Attributes:
        rows: how many stand below each other; 1 for sound.
        columns: how many stand beside each other.
        first: the number of its first cell; the others follow row by row.
    """

    rows: int
    columns: int
    first: int


@dataclass(frozen=True, eq=False)
class Media:
    """What a processor gives beside ids, for one prompt.

    Attributes:
        values: by name of the argument, floating tensors.
        cells: for each of them, the number of the cell that holds each number; broadcasts to the values.
        absent: for each of them, what stands where a cell is absent; broadcasts to the values.
        grids: the pictures and sounds, in the order of the cells.
        rest: arguments that say how the values lie.
        types: by name of the argument, the number that each id has there (0 for those not named).
    """

    values: Mapping[str, Tensor]
    cells: Mapping[str, Tensor]
    absent: Mapping[str, Tensor]
    grids: tuple[Grid, ...]
    rest: Keywords
    types: Mapping[str, Mapping[int, int]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cells."""
        found = []
        for k, grid in enumerate(self.grids):
            at = [f"{r + 1}, {c + 1}" if grid.rows > 1 else f"{c + 1}" for r in range(grid.rows)
                  for c in range(grid.columns)]  # fmt: skip
            found += [f"{'picture' if grid.rows > 1 else 'sound'} {k + 1} ({place})" for place in at]
        return tuple(found)

    def shown(self, present: Tensor) -> tuple[Tensor, ...]:
        """Return (rows, ...) values of which only some cells (rows, cells) are present."""
        here = present.cpu()
        return tuple(
            torch.where(here[:, self.cells[name]], value, self.absent[name]) for name, value in self.values.items()
        )

    def keywords(self, values: tuple[Tensor, ...], ids: Tensor) -> Keywords:
        """Return the model's arguments for (rows, ...) values beside ids (rows, tokens)."""
        call: Keywords = {name: v.flatten(0, 1) for name, v in zip(self.values, values, strict=True)}
        for name, value in self.rest.items():
            call[name] = torch.cat([value] * len(ids)) if isinstance(value, Tensor) else value
        for name, by_id in self.types.items():
            call[name] = torch.tensor([[by_id.get(i, 0) for i in row] for row in ids.tolist()])
        return call


def media_of(inputs: Mapping[str, object], grid: tuple[int, int], merge: int = 1) -> Media | None:
    """Return pictures and sound among what a processor gave for one prompt; None where there is text alone.

    A picture is cut into ``grid`` (rows, columns) cells, sound into as many windows as that makes; an absent cell has
    the mean colour of its picture, an absent window the silence of its sound.

    Args:
        inputs: by name of the argument.
        grid: of each picture.
        merge: where a picture comes as rows of patches, how many of them make a token, along each axis.

    Raises:
        ArgumentError: an argument has a number for each token, but several for one id.
    """
    given = {n: v for n, v in inputs.items() if n not in _TEXT}
    floating = {n: v for n, v in given.items() if isinstance(v, Tensor) and v.is_floating_point() and v.ndim > 1}
    if not floating:
        return None
    ids = inputs.get("input_ids")
    types, rest, grids = {}, {}, []
    for name, value in given.items():
        if isinstance(value, Tensor) and isinstance(ids, Tensor) and value.shape == ids.shape:
            types[name] = _by_id(name, ids[0], value[0])
        elif name not in floating:
            rest[name] = value
    cells, absent = {}, {}
    for name, value in floating.items():
        first = grids[-1].first + grids[-1].rows * grids[-1].columns if grids else 0
        sizes = rest.get(f"{'video' if 'video' in name else 'image'}_grid_thw")
        if value.ndim == 2 and isinstance(sizes, Tensor):
            cells[name], absent[name], more = _patches(value, sizes, grid, merge, first)
        elif value.ndim > 3:
            cells[name], absent[name], more = _pictures(value, grid, first)
        else:
            cells[name], absent[name], more = _sound(value, grid[0] * grid[1], first)
        grids += more
    return Media(floating, cells, absent, tuple(grids), rest, types)


_Cut = tuple[Tensor, Tensor, list[Grid]]


def _pictures(value: Tensor, grid: tuple[int, int], first: int) -> _Cut:
    """Cut (..., channels, height, width)."""
    lead, (height, width) = value.shape[:-3], value.shape[-2:]
    rows, columns = min(grid[0], height), min(grid[1], width)
    places = _place(height, rows)[:, None] * columns + _place(width, columns)
    count, each = int(torch.tensor(lead).prod()), rows * columns
    offsets = first + each * torch.arange(count).reshape(*lead, 1, 1, 1)
    return offsets + places, value.mean((-2, -1), keepdim=True), [
        Grid(rows, columns, first + each * k) for k in range(count)
    ]  # fmt: skip


def _patches(value: Tensor, sizes: Tensor, grid: tuple[int, int], merge: int, first: int) -> _Cut:
    """Cut rows of patches, in the order in which ``merge`` x ``merge`` of them make a token."""
    cells, absent, grids, begin = [], [], [], 0
    for times, height, width in sizes.tolist():
        rows, columns = min(grid[0], height // merge), min(grid[1], width // merge)
        at = torch.arange(height * width).reshape(height // merge, merge, width // merge, merge)
        down = torch.arange(height // merge) * rows // (height // merge)
        across = torch.arange(width // merge) * columns // (width // merge)
        of_token = down[:, None] * columns + across
        places = of_token[:, :, None, None].expand(-1, -1, merge, merge).flatten()
        for _ in range(times):
            cells.append(first + places)
            grids.append(Grid(rows, columns, first))
            first += rows * columns
        end = begin + times * at.numel()
        absent.append(value[begin:end].mean(0, keepdim=True).expand(end - begin, -1))
        begin = end
    return torch.cat(cells)[:, None], torch.cat(absent), grids


def _sound(value: Tensor, count: int, first: int) -> _Cut:
    """Cut (1, ..., time) into windows."""
    silence = value.amin(-1, keepdim=True) if value.ndim == 3 else torch.zeros(1, 1).to(value)
    places = first + _place(value.shape[-1], min(count, value.shape[-1]))
    grids = [Grid(1, min(count, value.shape[-1]), first)]
    return places.reshape((1,) * (value.ndim - 1) + (-1,)), silence, grids


def _place(size: int, parts: int) -> Tensor:
    return torch.arange(size) * parts // size


def _by_id(name: str, ids: Tensor, numbers: Tensor) -> dict[int, int]:
    found = dict(zip(ids.tolist(), numbers.tolist(), strict=True))
    if any(found[i] != n for i, n in zip(ids.tolist(), numbers.tolist(), strict=True)):
        raise ArgumentError(
            f"prompts: {name} has different numbers for the same id, so that it is not known which ones the response "
            "has; explain a prompt without it"
        )
    return found
