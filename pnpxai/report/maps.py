"""The maps side by side: each input of each example in its own form, and what stands beneath its maps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pnpxai.experiment import Results
from pnpxai.pictures import LEVELS, View, palette
from pnpxai.pictures.view import as_array
from pnpxai.report.forms import Form, form_of

__all__ = ["Gallery", "Row", "Shown", "Tile", "class_name", "class_names", "gallery"]

_PIXELS, _LEAST = 3_000_000, 400_000
"""Pixels in a whole report, which bounds its size: many maps, or those beside long texts, are drawn smaller."""


@dataclass(frozen=True)
class Tile:
    """One map.

    Attributes:
        drawn: the map; None if there is none.
        alt: what it shows, in words.
        share: how much of what the explainer says (in absolute values) it says of this input; None where there is but
            one input, or not all are mapped.
    """

    drawn: Markup | None
    alt: str
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """One input of an example.

    Attributes:
        kind: image, series, table or tokens.
        given: the input, drawn.
        style: what the row is told in CSS.
        tiles: one for each explainer, best first.
    """

    kind: str
    given: Markup
    style: str
    tiles: list[Tile]


@dataclass(frozen=True)
class Shown:
    """One example.

    Attributes:
        number: its place among all examples.
        target: which output was explained; None where there is but one.
        label: its true class; None where it is not known.
        class_name: of the target, where it is known.
        label_name: of the true class, where it is known.
        rows: one for each input.
        values: for each explainer the metric that stands beneath its maps, and why there is none.
    """

    number: int
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
    shown: list[Shown]
    kinds: frozenset[str]
    several: bool
    reduced: list[tuple[int, int]]
    targets: list[tuple[int, str, int]]
    ramp: str
    side: int


def gallery(results: Results) -> Gallery | None:
    """Return the maps that were kept; None if there are none."""
    if not any(kept.maps for kept in results.of_inputs) or not len(results.inputs):
        return None
    labels, views = results.explainers, _views(results)
    side = _side(results, views)
    metric = "AbPC" if "AbPC" in results.directions else results.metrics[0]
    numbers = results.kept or tuple(range(len(results.inputs)))
    measured: dict[int, dict[str, dict[str, Any]]] = {}
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
        shown.append(_shown(number, classes, rows, labels, measured.get(number, {})))
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
    for kept, view in zip(results.of_inputs, views, strict=True):
        x = kept.inputs
        if x.ndim > 3 or view.kind == "image":
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
    given = [View.from_dict(view) for view in results.facts.get("views", ())]
    inputs = results.of_inputs
    return given if len(given) == len(inputs) else [View()] * len(inputs)


def _rows(results: Results, views: Sequence[View], k: int, number: int, side: int) -> Iterator[tuple[Form, Row]]:
    """Go through the inputs of an example."""
    labels, inputs = results.explainers, results.of_inputs
    found = [{label: _map(kept.maps, label, k, len(kept.inputs)) for label in labels} for kept in inputs]
    weights = {label: [_weight(of[label]) for of in found] for label in labels}
    for place, (kept, of, view) in enumerate(zip(inputs, found, views, strict=True)):
        x, ids = as_array(kept.inputs[k]), not kept.inputs.is_floating_point()
        maps = [values for values in of.values() if values is not None]
        form = form_of(view, x, maps, k, side=side, name=f"input-{number}-{place}", ids=ids)
        tiles = []
        for label in labels:
            what, values, weight = f"{label}, example {number}", of[label], weights[label]
            if values is None:
                mapped = any(other[label] is not None for other in found)
                tiles.append(Tile(None, f"{what}: {'says nothing of this input' if mapped else 'no map'}"))
                continue
            alt = f"{what}: {_peak(form, values)}"
            whole = sum(w for w in weight if w is not None)
            share = None if len(inputs) == 1 or None in weight or not whole else (weight[place] or 0) / whole
            tiles.append(Tile(form.tile(values, alt), alt, share))
        yield form, Row(form.kind, form.given, form.style, tiles)


def _map(maps: dict[str, Any], label: str, k: int, count: int) -> np.ndarray | None:
    """Return an example's map, None if there is none; with fewer maps than examples, whose they are is not known."""
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


def _shown(
    number: int, classes: Sequence[str], rows: list[Row], labels: Sequence[str], measured: dict[str, dict[str, Any]]
) -> Shown:
    values = []
    for label in labels:
        row = measured.get(label)
        reason = "it was not measured" if row is None else row["reason"]
        reason = reason if isinstance(reason, str) else "no reason was given"
        values.append((float("nan") if row is None else float(row["value"]), reason))
    first = next(iter(measured.values()), {})
    target, true = _known(first, "target"), _known(first, "label")
    return Shown(number, target, true, class_name(classes, target), class_name(classes, true), rows, values)


def _known(row: dict[str, Any], column: str) -> int | None:
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
