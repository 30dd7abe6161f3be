"""Curves on a common scale: scores while features are removed, and the best value of a search after each trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.metrics.base import Metric
from pnpxai.report.words import number

__all__ = ["Curve", "Family", "Panel", "SearchCurve", "families", "searches"]

_NAMES = {
    "morf": "most relevant removed first",
    "lerf": "least relevant removed first",
    "deletion": "most relevant removed first",
    "insertion": "most relevant put back first",
}


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        name: what the curve shows.
        points: places as SVG has them, on 100 x 100.
    """

    name: str
    points: str


@dataclass(frozen=True)
class Panel:
    """One explainer's curves.

    Attributes:
        label: the explainer.
        control: whether it is a control.
        lines: its curves.
        between: what lies between the first two, as a polygon; empty unless there are two.
        text: the same in words.
    """

    label: str
    control: bool
    lines: list[Curve]
    between: str
    text: str


@dataclass(frozen=True)
class Family:
    """A metric's curves, one panel for each explainer, all on one scale.

    Attributes:
        metric: the metric.
        low: the value at the foot.
        high: the value at the top.
        names: what the curves show.
        panels: one for each explainer, best mean rank first.
    """

    metric: str
    low: float
    high: float
    names: list[str]
    panels: list[Panel]


@dataclass(frozen=True)
class SearchCurve:
    """The trials of a search.

    Attributes:
        label: the explainer.
        metric: what it was tuned for.
        dots: (across, down) of every trial that has a value.
        best: the best value so far, as a line.
        low: the value at the foot.
        high: the value at the top.
        text: the same in words.
    """

    label: str
    metric: str
    dots: list[tuple[float, float]]
    best: str
    low: float
    high: float
    text: str


def families(results: Results) -> list[Family]:
    """Return every metric's mean curves, where it removes or puts back features one after another."""
    families = []
    for metric, all_of in results.curves.items():
        of = {label: {n: c for n, c in curves.items() if n in _NAMES} for label, curves in all_of.items()}
        labels = [label for label in results.explainers if of.get(label)]
        values = [v for label in labels for curve in of[label].values() for v in curve if math.isfinite(v)]
        if not values:
            continue
        low, high = min(0.0, *values), max(values)
        panels = [_panel(results, label, of[label], low, high) for label in labels]
        names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
        families.append(Family(metric, low, high, names, panels))
    return families


def _panel(results: Results, label: str, curves: dict[str, list[float]], low: float, high: float) -> Panel:
    order = sorted(curves, key=lambda name: (name not in ("morf", "deletion"), name))
    lines = [Curve(_NAMES[name], _points(curves[name], low, high)) for name in order]
    between = f"{lines[0].points} {' '.join(reversed(lines[1].points.split()))}" if len(lines) == 2 else ""
    parts = [
        f"{_NAMES[n]}: from {number(curves[n][0])} over {number(curves[n][len(curves[n]) // 2])} "
        f"to {number(curves[n][-1])}"
        for n in order
    ]
    control = bool(results.settings[label].get("control"))
    return Panel(label, control, lines, between, f"{label}: {'; '.join(parts)}")


def searches(results: Results) -> list[SearchCurve]:
    """Return every search whose trials are known."""
    curves = []
    for of in results.tuned:
        values: Sequence[float | None] = of.get("curve") or ()
        known = [(k, v) for k, v in enumerate(values) if v is not None and math.isfinite(v)]
        if not known:
            continue
        low, high = min(v for _, v in known), max(v for _, v in known)
        best, so_far = [], None
        better = max if _higher(results, of["metric"]) else min
        for value in values:
            if value is not None and math.isfinite(value):
                so_far = value if so_far is None else better(so_far, value)
            best.append(so_far)
        text = (
            f"{of['label']}: {of['metric']} of the first trial {number(known[0][1])}, best of {len(values)} trials "
            f"{number(so_far)}"
        )
        dots = [_place(k, v, len(values), low, high) for k, v in known]
        curves.append(SearchCurve(of["label"], of["metric"], dots, _points(best, low, high), low, high, text))
    return curves


def _higher(results: Results, metric: str) -> bool:
    if metric in results.directions:
        return results.directions[metric]
    try:
        return bool(by_name(Metric, metric, "metric").higher_is_better)
    except ArgumentError:  # made where this page is not
        return True


def _points(values: Iterable[float | None], low: float, high: float) -> str:
    all_values = list(values)
    count = len(all_values)
    places = [_place(k, v, count, low, high) for k, v in enumerate(all_values) if v is not None and math.isfinite(v)]
    return " ".join(f"{x:g},{y:g}" for x, y in places)


def _place(k: int, value: float, count: int, low: float, high: float) -> tuple[float, float]:
    across = 100 * k / (count - 1) if count > 1 else 50.0
    share = (value - low) / (high - low) if high > low else 0.5
    return round(across, 2), round(100 - 100 * share, 2)
