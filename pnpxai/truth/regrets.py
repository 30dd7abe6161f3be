"""What ways of choosing lost: mean regret over families with its interval, and the worst family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pnpxai.statistics import DecisionRule, MeanRank, WithPrior
from pnpxai.truth.benchmark import Cell
from pnpxai.truth.candidates import HABITS

__all__ = ["RULES", "Calibration", "Regret", "by_family", "calibration", "difference", "regret"]

Rule = Callable[[str], DecisionRule]
"""Makes a rule for a kind of data."""

RULES: Mapping[str, Rule] = {
    "the default of compare and rank": lambda kind: WithPrior(kind=kind),
    "MultiScaleCorrelation alone": lambda kind: MeanRank(metrics=("MultiScaleCorrelation",)),
    "the prior alone": lambda kind: WithPrior(kind=kind, weight=1e6),
    "mean rank of AbPC and FaithfulnessCorrelation": lambda kind: MeanRank(),
    "AbPC": lambda kind: MeanRank(metrics=("AbPC",)),
    "FaithfulnessCorrelation": lambda kind: MeanRank(metrics=("FaithfulnessCorrelation",)),
}
"""Rules by name."""


@dataclass(frozen=True)
class Regret:
    """What a way of choosing lost, as a share of what was to be gained over a random map.

    Attributes:
        mean: mean over families.
        low: lower end of the 95 % interval, drawn over families.
        high: upper end.
        worst: the family in which it lost most.
        worst_mean: what it lost there.
    """

    mean: float
    low: float
    high: float
    worst: str
    worst_mean: float


def by_family(cells: Sequence[Cell], way: Rule | str) -> dict[str, float]:
    """Return for each family the mean regret of a rule, or of always taking one explainer."""
    lost: dict[str, list[float]] = {}
    for one in cells:
        of = one.regret(way) if isinstance(way, str) else one.verdict(way(one.kind)).regret
        lost.setdefault(one.family, []).append(of)
    return {family: float(np.mean(values)) for family, values in lost.items()}


def regret(cells: Sequence[Cell], way: Rule | str) -> Regret:
    """Return the regret of a way of choosing over cells, clustered by family."""
    return _summary(by_family(cells, way))


def difference(cells: Sequence[Cell], way: Rule | str, other: Rule | str) -> Regret:
    """Return how much more a way of choosing lost than another one; the interval is drawn over families, in pairs."""
    one, two = by_family(cells, way), by_family(cells, other)
    return _summary({family: one[family] - two[family] for family in one})


def _summary(means: Mapping[str, float], seed: int = 0) -> Regret:
    values = np.array(list(means.values()))
    draws = np.random.default_rng(seed).integers(0, len(values), (10_000, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    worst = max(means, key=lambda family: means[family])
    return Regret(float(values.mean()), float(low), float(high), worst, means[worst])


@dataclass(frozen=True)
class Calibration:
    """Whether verdicts are worth what they say.

    Attributes:
        count: number of verdicts.
        right: the share of which the first was close to the best.
        stated: the mean confidence.
        error: expected calibration error, over ten bins.
        brier: mean squared distance of the confidence from what came out.
        brier_of_rate: the same of always stating ``right``.
        alone: the share that named one alone.
        regret_alone: mean regret of these.
        regret_tied: mean regret of the others.
    """

    count: int
    right: float
    stated: float
    error: float
    brier: float
    brier_of_rate: float
    alone: float
    regret_alone: float
    regret_tied: float


def calibration(
    cells: Sequence[Cell], rule: Rule, close: float, subsets: Sequence[Sequence[int]] | None = None
) -> Calibration:
    """Return how a rule's confidence fared on cells, each with all examples and with some of them.

    Args:
        cells: the problems.
        rule: the rule.
        close: a verdict is right if its regret is at most this.
        subsets: numbers of examples; by default all, and all but each fourth of them.
    """
    verdicts = []
    for one in cells:
        n = len(next(iter(next(iter(one.values.values())).values())))
        quarters = np.array_split(np.arange(n), 4)
        without = [[k for k in range(n) if k not in part] for part in quarters]
        parts = subsets or (range(n), *without)
        verdicts += [one.verdict(rule(one.kind), part) for part in parts]
    right = np.array([v.regret <= close for v in verdicts], float)
    stated = np.array([right.mean() if v.reliability is None else v.reliability for v in verdicts])
    bins = np.minimum((10 * stated).astype(int), 9)
    gaps = [abs(stated[bins == b].mean() - right[bins == b].mean()) * np.mean(bins == b) for b in np.unique(bins)]
    alone = np.array([v.tied == 1 for v in verdicts])
    lost = np.array([v.regret for v in verdicts])
    return Calibration(
        len(verdicts), float(right.mean()), float(stated.mean()), float(sum(gaps)),
        float(np.mean((stated - right) ** 2)), float(right.var()), float(alone.mean()),
        float(lost[alone].mean()) if alone.any() else float("nan"),
        float(lost[~alone].mean()) if not alone.all() else float("nan"),
    )  # fmt: skip


def habits_of(cells: Sequence[Cell]) -> list[str]:
    """Return the habits that are explainers, those that were measured in all cells."""
    return [habit for habit in HABITS if all(habit in one.truth for one in cells)]
