"""Explainers set against each other over examples: pairwise tests, critical difference, Pareto front, agreement."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pnpxai.errors import ArgumentError
from pnpxai.statistics import holm, ranks

__all__ = ["CriticalDifference", "Pair", "agreement", "critical_difference", "pairwise", "pareto"]

_SHORT = 50
"""Up to so many differences, scipy chooses between an exact test and a normal approximation."""
_FEWEST = 3  # positions whose order says anything


@dataclass(frozen=True)
class Pair:
    """Two explainers compared example by example.

    Attributes:
        first: a label.
        second: another.
        difference: mean of first minus second; positive where the first is better.
        p: two-sided p-value of Wilcoxon's signed-rank test; 1 where all values are equal.
        adjusted: the same after Holm's correction for the number of pairs.
        n: number of examples on which both have a value.
    """

    first: str
    second: str
    difference: float
    p: float
    adjusted: float
    n: int


def pairwise(values: Mapping[str, Sequence[float]], *, higher_is_better: bool) -> list[Pair]:
    """Return every pair of explainers, compared by Wilcoxon's signed-rank test, smallest p-value first.

    Args:
        values: label -> one value per example, the same examples in the same order; undefined ones are NaN.
        higher_is_better: the metric's direction.

    Raises:
        ArgumentError: the explainers have different numbers of values.
    """
    table = _table(values)
    sign = 1.0 if higher_is_better else -1.0
    both = list(itertools.combinations(values, 2))
    differences = [sign * (first - second) for first, second in itertools.combinations(table, 2)]
    differences = [difference[np.isfinite(difference)] for difference in differences]
    p_values = _signed_rank_tests(differences)
    pairs = [
        Pair(a, b, float(difference.mean()) if difference.size else math.nan, p, float(q), difference.size)
        for (a, b), difference, p, q in zip(both, differences, p_values, holm(p_values), strict=True)
    ]
    return sorted(pairs, key=lambda pair: pair.p)


def _signed_rank_tests(differences: Sequence[np.ndarray]) -> list[float]:
    """Return a p-value for each array of differences.

    A call of scipy takes longer than a test, so arrays of one length are tested in one; short ones are not, as scipy
    then chooses the test by whether any of them has ties.
    """
    from scipy.stats import wilcoxon

    p_values = [1.0] * len(differences)
    groups: dict[tuple[int, int], list[int]] = {}
    for k, difference in enumerate(differences):
        if np.any(difference):
            groups.setdefault((difference.size, 0 if difference.size > _SHORT else k), []).append(k)
    for members in groups.values():
        result: Any = wilcoxon(np.stack([differences[k] for k in members]), axis=1)
        for k, p in zip(members, result.pvalue.tolist(), strict=True):
            p_values[k] = p
    return p_values


@dataclass(frozen=True)
class CriticalDifference:
    """Mean ranks, and how far two of them must lie apart to be told from each other. Demsar, 2006.

    Attributes:
        mean_ranks: label -> mean rank, best first.
        difference: the critical difference (Nemenyi's test at ``level``).
        p: p-value of Friedman's test that all are equally good.
        groups: the largest groups of labels within one critical difference, best first.
    """

    mean_ranks: dict[str, float]
    difference: float
    p: float
    groups: tuple[tuple[str, ...], ...]


def critical_difference(
    values: Mapping[str, Sequence[float]], *, higher_is_better: bool, level: float = 0.95
) -> CriticalDifference:
    """Return mean ranks with the critical difference between two of them.

    Args:
        values: label -> one value per example; an undefined one (NaN) ranks last.
        higher_is_better: the metric's direction.
        level: confidence.

    Raises:
        ArgumentError: there are fewer than two explainers or examples, or the numbers of values differ.
    """
    from scipy.stats import chi2, studentized_range

    table = _table(values).T
    n, k = table.shape
    if n < 2 or k < 2:
        raise ArgumentError(f"values: expected at least two explainers on two examples, got {k} on {n}")
    rank = ranks(table, higher_is_better=higher_is_better)
    mean = rank.mean(0)
    spread = rank.var(ddof=0, axis=1).sum() * k / (k - 1)  # with ties it is less than n k (k + 1) / 12
    statistic = n**2 * ((mean - (k + 1) / 2) ** 2).sum() / spread if spread else 0.0
    q = float(studentized_range.ppf(level, k, np.inf)) / math.sqrt(2)
    difference = q * math.sqrt(k * (k + 1) / (6 * n))
    ordered = sorted(zip(values, mean.tolist(), strict=True), key=lambda pair: pair[1])
    spans: list[tuple[int, int]] = []
    for start in range(k):
        end = max(place for place in range(start, k) if ordered[place][1] - ordered[start][1] <= difference)
        if not spans or end > spans[-1][1]:
            spans.append((start, end))
    groups = tuple(tuple(label for label, _ in ordered[start : end + 1]) for start, end in spans)
    return CriticalDifference(dict(ordered), difference, float(chi2.sf(statistic, k - 1)), groups)


def pareto(means: Mapping[str, Mapping[str, float]], directions: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the labels that no other beats in one respect without being worse in another.

    Args:
        means: label -> respect (a metric, seconds) -> value; one that is undefined is worse than any number.
        directions: respect -> whether higher is better.
    """
    points = {
        label: [
            -math.inf if math.isnan(of[name]) else (of[name] if higher else -of[name])
            for name, higher in directions.items()
        ]
        for label, of in means.items()
    }

    def beaten(label: str) -> bool:
        own = points[label]
        return any(
            all(a >= b for a, b in zip(other, own, strict=True)) and other != own
            for name, other in points.items()
            if name != label
        )

    return tuple(label for label in points if not beaten(label))


def agreement(maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return (labels, labels) how alike two explainers order positions: Spearman's correlation, mean over examples.

    Args:
        maps: label -> (examples, *positions), NaN where an example has no such position (of a shorter text). Positions
            that either map lacks are left out; so are examples of which fewer than three remain, of which a map is
            constant there, or infinite anywhere. A pair that has no example left is NaN.

    Raises:
        ArgumentError: the maps have different shapes.
    """
    shapes = {np.shape(m) for m in maps.values()}
    if len(shapes) > 1:
        raise ArgumentError(f"maps: expected one shape, got {sorted(shapes)}")
    orders = [[_Order.of(values) for values in _rows(m)] for m in maps.values()]
    size = len(orders)
    correlations = np.full((size, size), np.nan)
    for i, j in itertools.combinations_with_replacement(range(size), 2):
        each = np.array([a.correlation(b) for a, b in zip(orders[i], orders[j], strict=True)])
        each = each[np.isfinite(each)]
        if each.size:
            correlations[i, j] = correlations[j, i] = each.mean()
    return correlations


@dataclass(frozen=True)
class _Order:
    """How a map orders its positions.

    Attributes:
        values: (positions,) the map.
        known: the positions that it has.
        ranks: of these, with mean 0 and length 1; NaN where they say nothing.
    """

    values: np.ndarray
    known: np.ndarray
    ranks: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, among: np.ndarray | None = None) -> _Order:
        from scipy.stats import rankdata

        known = ~np.isnan(values) if among is None else among
        rank = rankdata(values[known])
        rank -= rank.mean() if rank.size else 0.0
        length = np.linalg.norm(rank)
        says = len(rank) >= _FEWEST and length > 0 and not np.isinf(values).any()
        return cls(values, known, rank / length if says else np.full(len(rank), np.nan))

    def correlation(self, other: _Order) -> float:
        """Return Spearman's correlation over the positions that both have."""
        both = self.known & other.known
        one, two = (o if o.known.sum() == both.sum() else _Order.of(o.values, both) for o in (self, other))
        return float(one.ranks @ two.ranks) if len(one.ranks) else math.nan


def _rows(values: np.ndarray) -> np.ndarray:
    """Return (examples, positions)."""
    array = np.asarray(values, float)
    return array.reshape(len(array), math.prod(array.shape[1:]))


def _table(values: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Return (labels, examples)."""
    if len({len(v) for v in values.values()}) > 1:
        raise ArgumentError(f"values: expected as many for each, got { ({k: len(v) for k, v in values.items()}) }")
    return np.array([np.asarray(v, float) for v in values.values()])
