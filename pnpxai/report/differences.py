"""The explainers against each other: tests, critical difference, agreement of their maps, means by class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pnpxai.comparisons import CriticalDifference
from pnpxai.experiment import Results
from pnpxai.report.words import number

__all__ = ["Shade", "Tested", "agreement", "by_class", "front", "pairs"]

_MOST_CLASSES = 20
_LEVEL = 0.05


@dataclass(frozen=True)
class Shade:
    """A number in a table, and how deep its ground is.

    Attributes:
        text: the number, or the p-value.
        depth: from 0 to 100.
        direction: "better" or "worse", where the difference is more than chance.
    """

    text: str
    depth: int
    direction: str = ""


@dataclass(frozen=True)
class Tested:
    """A metric's pairwise tests.

    Attributes:
        metric: the metric.
        critical: mean ranks and their critical difference.
        groups: labels that cannot be told from each other, by their ranks.
        rows: for each explainer, for each other one, the adjusted p-value; None for itself.
    """

    metric: str
    critical: CriticalDifference
    groups: list[str]
    rows: list[tuple[str, list[Shade | None]]]


def pairs(results: Results) -> list[Tested]:
    """Return every metric's tests; none where there is nothing to test."""
    labels = results.explainers
    if len(labels) < 2 or results.decision.n < 2:
        return []
    tests = []
    for metric in results.metrics:
        by_labels = {frozenset((p.first, p.second)): p for p in results.pairs(metric)}
        rows = []
        for row in labels:
            cells: list[Shade | None] = []
            for column in labels:
                pair = by_labels.get(frozenset((row, column)))
                if pair is None or row == column:
                    cells.append(None)
                    continue
                if not pair.n:
                    cells.append(Shade("undefined", 0))
                    continue
                ahead = pair.difference if pair.first == row else -pair.difference
                direction = "" if pair.adjusted >= _LEVEL else "better" if ahead > 0 else "worse"
                cells.append(Shade(_chance(pair.adjusted), 22 if direction == "better" else 0, direction))
            rows.append((row, cells))
        critical = results.critical_difference(metric)
        groups = [", ".join(group) for group in critical.groups if len(group) > 1]
        tests.append(Tested(metric, critical, groups, rows))
    return tests


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def agreement(results: Results) -> list[tuple[str, list[Shade]]]:
    """Return how alike two explainers order positions, as rows; none with fewer than two explainers with maps."""
    if len(results.maps) < 2:
        return []
    table = results.agreement()
    return [
        (str(label), [_shade(float(v)) for v in row]) for label, row in zip(table.index, table.to_numpy(), strict=True)
    ]


def _shade(value: float) -> Shade:
    if math.isnan(value):
        return Shade("undefined", 0)
    return Shade(number(round(value, 2), 2), round(30 * max(value, 0)))


def by_class(results: Results, metric: str) -> tuple[list[int], list[tuple[str, list[Shade]]]]:
    """Return the explained outputs, and for each explainer its means; nothing where there is but one output."""
    table = results.by_class(metric)
    classes = [int(c) for c in table.columns if c >= 0][:_MOST_CLASSES]
    if len(classes) < 2:
        return [], []
    means = table[classes].to_numpy(float)
    known = means[np.isfinite(means)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    sign = 1 if results.directions[metric] else -1

    def shade(value: float) -> Shade:
        if math.isnan(value):
            return Shade("undefined", 0)
        share = (value - low) / (high - low) if high > low else 0.5
        return Shade(number(value), round(30 * (share if sign > 0 else 1 - share)))

    return classes, [
        (str(label), [shade(float(v)) for v in row]) for label, row in zip(table.index, means, strict=True)
    ]


def front(results: Results) -> tuple[str, ...]:
    """Return the explainers that none beats in a metric or in time without losing elsewhere."""
    return results.pareto()
