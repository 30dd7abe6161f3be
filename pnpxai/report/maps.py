"""The maps side by side: pictures, and for each example and explainer what stands beneath the map."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pnpxai.experiment import Results
from pnpxai.pictures import LEVELS, coloured, inline_png, palette, pictured, shrunk

__all__ = ["Gallery", "Shown", "Tile", "gallery"]

_PIXELS = 3_000_000
"""Pixels in a whole report, which bounds its size: many maps are drawn smaller than few."""


@dataclass(frozen=True)
class Tile:
    """One map.

    Attributes:
        picture: its address; None if there is no map.
        alt: what it shows, in words.
        value: the metric that stands beneath it.
        reason: why there is no value.
    """

    picture: str | None
    alt: str
    value: float
    reason: str


@dataclass(frozen=True)
class Shown:
    """One example.

    Attributes:
        number: its place among all examples.
        key: its key.
        target: which output was explained; None where there is but one.
        label: its true class; None where it is not known.
        picture: its input's address; None for ids, which are no picture.
        text: the ids.
        tiles: one for each explainer, best first.
    """

    number: int
    key: str
    target: int | None
    label: int | None
    picture: str | None
    text: str
    tiles: list[Tile]

    @property
    def differs(self) -> bool:
        """Whether another output than the true class was explained."""
        return self.target is not None and self.label is not None and self.target != self.label


@dataclass(frozen=True)
class Gallery:
    """All maps.

    Attributes:
        metric: which metric stands beneath the maps.
        shown: the examples.
        ratio: width of a tile by its height.
        crisp: whether pixels are to be seen.
        bars: whether maps have one axis.
        reduced: (from, to) the longest side, where maps are drawn smaller than they are.
        targets: each explained output with the number of examples.
        stops: colours from against the target to for it, for the legend.
    """

    metric: str
    shown: list[Shown]
    ratio: float
    crisp: bool
    bars: bool
    reduced: tuple[int, int] | None
    targets: list[tuple[int, int]]
    stops: list[str]


def gallery(results: Results) -> Gallery | None:
    """Return the maps that were kept; None if there are none."""
    if not results.maps or not len(results.inputs):
        return None
    labels, inputs = results.explainers, results.inputs
    axes = 1 if next(iter(results.maps.values())).ndim == 2 else 2
    side = max(32, min(256, math.isqrt(_PIXELS // (len(inputs) * (len(labels) + 3)))))
    longest = max(max(m.shape[-axes:]) for m in results.maps.values())
    metric = "AbPC" if "AbPC" in results.directions else results.metrics[0]
    values = _by_example(results.table[results.table.metric == metric], len(inputs))
    shown = [_example(results, k, axes, side, values.get(k)) for k in range(len(inputs))]
    height, width = (1, 2) if axes == 1 else _oriented(results, 0, axes).shape[-2:]
    counts = Counter(s.target for s in shown if s.target is not None)
    return Gallery(
        metric, shown, round(min(max(width / height, 0.4), 4), 3), longest <= 64 or axes == 1, axes == 1,
        (longest, side) if longest > side else None, sorted(counts.items()), _stops(),
    )  # fmt: skip


def _oriented(results: Results, k: int, axes: int) -> Tensor:
    """Return an input with its positions last."""
    given = results.inputs[k]
    if axes == 1:
        return given[0] if given.ndim == 2 and len(given) == 1 else given
    places = next(iter(results.maps.values())).shape[-2:]
    return given.movedim(-1, 0) if given.ndim == 3 and given.shape[:2] == places != given.shape[1:] else given


def _by_example(table: pd.DataFrame, count: int) -> dict[int, pd.DataFrame]:
    first = table[table.example < count]
    return {int(number): rows.set_index("explainer") for number, rows in first.groupby("example")}  # type: ignore[arg-type]


def _example(results: Results, k: int, axes: int, side: int, rows: pd.DataFrame | None) -> Shown:
    given = _oriented(results, k, axes)
    ids = given.ndim == 1 and not given.is_floating_point()
    picture = None if ids else inline_png(pictured(shrunk(given, side, min(given.ndim, axes))))
    text = " ".join(map(str, given[:12].tolist())) + (" \N{HORIZONTAL ELLIPSIS}" if len(given) > 12 else "") if ids else ""
    first = rows.iloc[0] if rows is not None else None
    return Shown(
        k,
        "" if first is None else str(first.key),
        _known(first, "target"),
        _known(first, "label"),
        picture,
        text,
        [_tile(results, label, k, axes, side, rows) for label in results.explainers],
    )


def _known(row: pd.Series | None, column: str) -> int | None:
    """Return a class; the table writes -1 where there is none."""
    return None if row is None or row[column] < 0 else int(row[column])


def _tile(results: Results, label: str, k: int, axes: int, side: int, rows: pd.DataFrame | None) -> Tile:
    value, reason = float("nan"), "it was not measured"
    if rows is not None and label in rows.index:
        value = float(rows.loc[label, "value"])  # type: ignore[arg-type]
        given = rows.loc[label, "reason"]
        reason = given if isinstance(given, str) else "no reason was given"
    maps = results.maps.get(label)
    # with fewer maps than inputs, whose they are is not known
    if maps is None or len(maps) != len(results.inputs) or not bool(torch.isfinite(maps[k]).any()):
        return Tile(None, f"{label}, example {k}: no map", value, reason)
    small = shrunk(maps[k], side, axes)
    return Tile(inline_png(coloured(small)), f"{label}, example {k}: {_peak(maps[k], axes)}", value, reason)


def _peak(values: Tensor, axes: int) -> str:
    array = np.nan_to_num(values.detach().double().cpu().numpy(), posinf=0, neginf=0)
    array = array.sum(tuple(range(array.ndim - axes))) if array.ndim > axes else array
    if not array.any():
        return "zero everywhere"
    place = np.unravel_index(np.abs(array).argmax(), array.shape)
    side = "for" if array[place] > 0 else "against"
    where = f"position {place[0]}" if array.ndim == 1 else f"row {place[0]}, column {place[1]}"
    return f"strongest {side} the target at {where}"


def _stops() -> list[str]:
    return ["#" + bytes(palette()[k][:3]).hex() for k in np.linspace(0, LEVELS - 1, 9).round().astype(int)]
