"""The maps side by side: pictures, and for each example and explainer what stands beneath the map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from torch import Tensor

from pnpxai.experiment import Results
from pnpxai.pictures import LEVELS, View, coloured, inline_png, merged, palette, pictured, shrunk, words_html
from pnpxai.pictures.view import as_array

__all__ = ["Gallery", "Shown", "Tile", "gallery"]

_PIXELS = 3_000_000
"""Pixels in a whole report, which bounds its size: many maps are drawn smaller than few."""
_MOST_IDS = 12


@dataclass(frozen=True)
class Tile:
    """One map.

    Attributes:
        picture: its address; None if there is no map.
        alt: what it shows, in words.
        value: the metric that stands beneath it.
        reason: why there is no value.
        words: the words of a text on their colours, instead of a picture, where they are known.
    """

    picture: str | None
    alt: str
    value: float
    reason: str
    words: Markup | None = None


@dataclass(frozen=True)
class Shown:
    """One example.

    Attributes:
        number: its place among all examples.
        target: which output was explained; None where there is but one.
        label: its true class; None where it is not known.
        picture: its input's address; None for ids, which are no picture.
        text: the words, or the ids.
        class_name: of the target, where it is known.
        tiles: one for each explainer, best first.
    """

    number: int
    target: int | None
    label: int | None
    picture: str | None
    text: str
    tiles: list[Tile]
    class_name: str = ""

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
        bars: whether maps are bars: they have one axis, and their words are not known.
        reduced: (from, to) the longest side, where maps are drawn smaller than they are.
        targets: each explained output with the number of examples.
        ramp: colours from against the target to for it, for the legend.
        side: how wide a tile is drawn at first, in pixels.
    """

    metric: str
    shown: list[Shown]
    ratio: float
    crisp: bool
    bars: bool
    reduced: tuple[int, int] | None
    targets: list[tuple[int, int]]
    ramp: str
    side: int


def gallery(results: Results) -> Gallery | None:
    """Return the maps that were kept; None if there are none."""
    if not results.maps or not len(results.inputs):
        return None
    labels, inputs = results.explainers, results.inputs
    axes = 1 if next(iter(results.maps.values())).ndim == 2 else 2
    side = max(32, min(256, math.isqrt(_PIXELS // (len(inputs) * (len(labels) + 3)))))
    longest = max(max(m.shape[-axes:]) for m in results.maps.values())
    metric = "AbPC" if "AbPC" in results.directions else results.metrics[0]
    numbers = results.kept or tuple(range(len(inputs)))
    measured: dict[int, dict[str, dict[str, Any]]] = {}
    for row in results.table.to_dict("records"):
        if row["metric"] == metric and row["example"] in numbers:
            measured.setdefault(row["example"], {})[row["explainer"]] = row
    shown = [_example(results, k, n, axes, side, measured.get(n, {})) for k, n in enumerate(numbers)]
    height, width = (1, 2) if axes == 1 else _oriented(results, 0, axes).shape[-2:]
    counts = Counter(s.target for s in shown if s.target is not None)
    bars = axes == 1 and not _view(results).words
    return Gallery(
        metric, shown, round(min(max(width / height, 0.4), 4), 3), longest <= 64 or axes == 1, bars,
        (longest, side) if longest > side else None, sorted(counts.items()), _ramp(bars),
        4 * int(min(max(1170 / (len(labels) + 1) - 12, 72), 160 if axes == 1 else 128) / 4),
    )  # fmt: skip


def _oriented(results: Results, k: int, axes: int) -> Tensor:
    """Return an input with its positions last."""
    given = results.inputs[k]
    if axes == 1:
        return given[0] if given.ndim == 2 and len(given) == 1 else given
    places = next(iter(results.maps.values())).shape[-2:]
    return given.movedim(-1, 0) if given.ndim == 3 and given.shape[:2] == places != given.shape[1:] else given


def _view(results: Results) -> View:
    given = results.facts.get("view")
    return View() if given is None else View.from_dict(given)


def _example(results: Results, k: int, number: int, axes: int, side: int, rows: dict[str, dict[str, Any]]) -> Shown:
    given, view = _oriented(results, k, axes), _view(results)
    ids = given.ndim == 1 and not given.is_floating_point()
    picture = None if ids else _picture(given, view, side, axes)
    rest = " \N{HORIZONTAL ELLIPSIS}" if len(given) > _MOST_IDS else ""
    text = " ".join(map(str, given[:_MOST_IDS].tolist())) + rest if ids else ""
    if k < len(view.words):
        text = " ".join(word for word, _ in view.words[k] if word)
    first = next(iter(rows.values()), {})
    tiles = [
        _tile(results, view, label, k, f"{label}, example {number}", axes, side, rows.get(label))
        for label in results.explainers
    ]
    target = _known(first, "target")
    named = view.classes[target] if target is not None and target < len(view.classes) else ""
    return Shown(number, target, _known(first, "label"), picture, text, tiles, named)


def _picture(given: Tensor, view: View, side: int, axes: int) -> str:
    if axes == 1 and given.ndim == 2 and view.channel_dim in (2, -1):
        given = given.T
    if view.display is None or axes == 1:
        return inline_png(pictured(shrunk(given, side, min(given.ndim, axes))))
    return inline_png(pictured(shrunk(view.display.undo(as_array(given)), side), (0.0, 1.0)))


def _known(row: dict[str, Any], column: str) -> int | None:
    """Return a class; the table writes -1 where there is none."""
    return int(row[column]) if row.get(column, -1) >= 0 else None


def _tile(
    results: Results, view: View, label: str, k: int, what: str, axes: int, side: int, row: dict[str, Any] | None
) -> Tile:
    value, reason = (float("nan"), "it was not measured") if row is None else (float(row["value"]), row["reason"])
    reason = reason if isinstance(reason, str) else "no reason was given"
    maps = results.maps.get(label)
    # with fewer maps than inputs, whose they are is not known
    small = None if maps is None or len(maps) != len(results.inputs) else shrunk(maps[k], side, axes)
    if small is None or not np.isfinite(small).any():
        return Tile(None, f"{what}: no map", value, reason)
    names = view.names if view.kind == "table" else ()
    alt = f"{what}: {_peak(small, axes, names)}"
    if maps is not None and k < len(view.words):
        words, counts = zip(*view.words[k], strict=True)
        own = as_array(maps[k])[: sum(counts)]  # texts of other batches may be longer
        return Tile(None, alt, value, reason, Markup(words_html(merged(own, counts), words)))
    return Tile(inline_png(coloured(small)), alt, value, reason)


def _peak(array: np.ndarray, axes: int, names: Sequence[str] = ()) -> str:
    """Return where a map is largest, in percent of its width and height, or by position."""
    array = np.nan_to_num(array, posinf=0, neginf=0)
    array = array.sum(tuple(range(array.ndim - axes)))
    if not array.any():
        return "zero everywhere"
    place = np.unravel_index(np.abs(array).argmax(), array.shape)
    side = "for" if array[place] > 0 else "against"
    if len(names) == len(array) and axes == 1:
        return f"strongest {side} the target: {names[int(place[0])]}"
    if axes == 1:
        return f"strongest {side} the target {_share(place[0], len(array))} from the left"
    down, across = (_share(p, n) for p, n in zip(place, array.shape, strict=True))
    return f"strongest {side} the target {across} from the left, {down} from the top"


def _share(place: Any, size: int) -> str:
    return f"{100 * (int(place) + 0.5) / size:.0f} %"


def _ramp(bars: bool) -> str:
    """Return the colours from against the target to for it, as CSS."""
    if bars:
        down, up = (_hex(coloured(np.array([v]))[k, 0]) for v, k in ((-1.0, -1), (1.0, 0)))
        return f"{down} 50%, {up} 50%"
    return ", ".join(_hex(palette()[k]) for k in np.linspace(0, LEVELS - 1, 9).round().astype(int))


def _hex(colour: np.ndarray) -> str:
    return "#" + bytes(colour[:3]).hex()
