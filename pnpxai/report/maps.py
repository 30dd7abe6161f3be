"""The maps side by side: each input of each example in its own form, with a metric's value beneath each map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup
from torch import Tensor

from pnpxai.experiment import Results
from pnpxai.pictures import LEVELS, View, drawing_of, palette
from pnpxai.pictures.view import as_array
from pnpxai.report.forms.base import Form
from pnpxai.report.forms.choice import form_of

__all__ = ["Gallery", "Row", "ExampleRows", "Tile", "class_name", "class_names", "gallery"]

TableRow: TypeAlias = Mapping[Hashable, Any]
"""Row of the table of results: column -> value, of which pandas says no type."""

_PIXELS, _LEAST = 3_000_000, 400_000
"""Pixels in a whole report, which bounds its size: many maps, or those beside long texts, are drawn smaller."""


@dataclass(frozen=True)
class Tile:
    """One map.

    Attributes:
        drawn: the map; None if there is none.
        alt: what it shows, in words.
        share: this input's share of the explainer's absolute values over all inputs; None where there is but one input,
            or not all have a map.
    """

    drawn: Markup | None
    alt: str
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """One input of an example.

    Attributes:
        kind: image, series, table or tokens.
        drawn: the input as HTML.
        style: CSS of the row.
        tiles: one for each explainer, best first.
    """

    kind: str
    drawn: Markup
    style: str
    tiles: list[Tile]


@dataclass(frozen=True)
class ExampleRows:
    """One example.

    Attributes:
        number: its place among all examples.
        source: the name of its file, where it has one.
        target: which output was explained; None where there is but one.
        label: its true class; None where it is not known.
        class_name: of the target, where it is known.
        label_name: of the true class, where it is known.
        rows: one for each input.
        values: for each explainer the metric's value beneath its maps, and the reason where it is undefined.
    """

    number: int
    source: str
    target: int | None
    label: int | None
    class_name: str
    label_name: str
    rows: list[Row]
    values: list[tuple[float, str]]

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
        kinds: the kinds of inputs.
        several: whether examples have several inputs.
        reduced: (from, to) the longest sides, where maps are drawn smaller than they are.
        targets: each explained output with its name and the number of examples.
        ramp: colours from against the target to for it, for the legend.
        side: how wide a picture is drawn at first, in pixels.
    """

    metric: str
    shown: list[ExampleRows]
    kinds: frozenset[str]
    several: bool
    reduced: list[tuple[int, int]]
    targets: list[tuple[int, str, int]]
    ramp: str
    side: int


def gallery(results: Results) -> Gallery | None:
    """Return the saved maps; None if there are none."""
    if not any(saved.maps for saved in results.of_inputs) or not len(results.inputs):
        return None
    labels, views = results.explainers, _views(results)
    side = _side(results, views)
    metric = "AbPC" if "AbPC" in results.directions else results.metrics[0]
    numbers = results.kept or tuple(range(len(results.inputs)))
    measured: dict[int, dict[str, TableRow]] = {}
    for row in results.table.to_dict("records"):
        if row["metric"] == metric and row["example"] in numbers:
            measured.setdefault(row["example"], {})[row["explainer"]] = row
    classes = class_names(results)
    shown, reduced = [], []
    for k, number in enumerate(numbers):
        rows = []
        for form, row in _rows(results, views, k, number, side):
            reduced += [] if form.reduced is None else [form.reduced]
            rows.append(row)
        source = views[0].sources[k] if k < len(views[0].sources) else ""
        shown.append(_example_rows(number, source, classes, rows, labels, measured.get(number, {})))
    counts = Counter(s.target for s in shown if s.target is not None)
    kinds = frozenset(row.kind for example in shown for row in example.rows)
    wide = 1.0 if kinds == {"image"} else 1.5
    return Gallery(
        metric, shown, kinds, len(results.of_inputs) > 1, sorted(set(reduced)),
        [(target, class_name(classes, target), n) for target, n in sorted(counts.items())], _ramp(kinds),
        4 * int(min(max((1170 / (len(labels) + 1) - 12) / wide, 72), 128) / 4),
    )  # fmt: skip


def _side(results: Results, views: Sequence[View]) -> int:
    """Return the longest side of a picture: pixels share the page with all else that is drawn."""
    pictures, others = 0, 0
    for saved, view in zip(results.of_inputs, views, strict=True):
        x = saved.inputs
        if drawing_of(view, x.ndim, not x.is_floating_point()).form == "image":
            pictures += 1
        elif x.is_floating_point():
            others += 1000  # bytes of a map, about
        else:
            others += 25 * x[0].numel()
    maps = len(results.inputs) * (len(results.explainers) + 3)
    return max(32, min(256, math.isqrt(max(_LEAST, _PIXELS - others * maps) // (maps * max(1, pictures)))))


def class_names(results: Results) -> tuple[str, ...]:
    """Return the names of the model's outputs, as far as they are known."""
    return _views(results)[0].classes


def _views(results: Results) -> list[View]:
    views = [View.from_dict(view) for view in results.facts.get("views", ())]
    inputs = results.of_inputs
    return views if len(views) == len(inputs) else [View()] * len(inputs)


def _rows(results: Results, views: Sequence[View], k: int, number: int, side: int) -> Iterator[tuple[Form, Row]]:
    """Go through the inputs of an example."""
    labels, inputs = results.explainers, results.of_inputs
    by_input = [{label: _map(saved.maps, label, k, len(saved.inputs)) for label in labels} for saved in inputs]
    weights = {label: [_weight(maps[label]) for maps in by_input] for label in labels}
    for place, (saved, of_label, view) in enumerate(zip(inputs, by_input, views, strict=True)):
        x, ids = as_array(saved.inputs[k]), not saved.inputs.is_floating_point()
        maps = [values for values in of_label.values() if values is not None]
        form = form_of(view, x, maps, k, side=side, name=f"input-{number}-{place}", ids=ids)
        tiles = []
        for label in labels:
            what, values, weight = f"{label}, example {number}", of_label[label], weights[label]
            if values is None:
                mapped = any(other[label] is not None for other in by_input)
                tiles.append(Tile(None, f"{what}: {'says nothing of this input' if mapped else 'no map'}"))
                continue
            alt = f"{what}: {_peak(form, values)}"
            whole = sum(w for w in weight if w is not None)
            share = None if len(inputs) == 1 or None in weight or not whole else (weight[place] or 0) / whole
            tiles.append(Tile(form.tile(values, alt), alt, share))
        yield form, Row(form.kind, form.drawn, form.style, tiles)


def _map(maps: Mapping[str, Sequence[Tensor] | Tensor], label: str, k: int, count: int) -> np.ndarray | None:
    """Return an example's map; None if there is none, or if there are fewer maps than examples."""
    if label not in maps or len(maps[label]) != count:
        return None
    values = as_array(maps[label][k])
    return values if np.isfinite(values).any() else None


def _weight(values: np.ndarray | None) -> float | None:
    return None if values is None else float(np.abs(np.nan_to_num(values, posinf=0, neginf=0)).sum())


def _peak(form: Form, values: np.ndarray) -> str:
    """Return where a map is largest."""
    value, where = form.peak(np.nan_to_num(values, posinf=0, neginf=0))
    return f"strongest {'for' if value > 0 else 'against'} the target: {where}" if value else "zero everywhere"


def _example_rows(
    number: int,
    source: str,
    classes: Sequence[str],
    rows: list[Row],
    labels: Sequence[str],
    measured: dict[str, TableRow],
) -> ExampleRows:
    values = []
    for label in labels:
        row = measured.get(label)
        reason = "it was not measured" if row is None else row["reason"]
        reason = reason if isinstance(reason, str) else "no reason was given"
        values.append((float("nan") if row is None else float(row["value"]), reason))
    first = next(iter(measured.values()), {})
    target, true = _known(first, "target"), _known(first, "label")
    names = class_name(classes, target), class_name(classes, true)
    return ExampleRows(number, source, target, true, *names, rows, values)


def _known(row: TableRow, column: str) -> int | None:
    """Return a class; the table writes -1 where there is none."""
    return int(row[column]) if row.get(column, -1) >= 0 else None


def class_name(classes: Sequence[str], index: int | None) -> str:
    """Return a class's name, or its number; nothing where it is not known."""
    if index is None:
        return ""
    return classes[index] if index < len(classes) else str(index)


def _ramp(kinds: frozenset[str]) -> str:
    """Return the colours from against the target to for it, as CSS."""
    if kinds == {"table"}:
        return "var(--down) 50%, var(--up) 50%"
    return ", ".join("#" + bytes(palette()[k][:3]).hex() for k in np.linspace(0, LEVELS - 1, 9).round().astype(int))
