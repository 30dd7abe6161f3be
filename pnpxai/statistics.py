"""Intervals, ranks, paired comparisons, and the rule that decides which explanation to trust."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import unlabelled
from pnpxai.errors import ArgumentError

__all__ = ["Decision", "DecisionRule", "Interval", "MeanRank", "bootstrap", "pearson", "ranks"]


@dataclass(frozen=True)
class Interval:
    """A mean over examples with a bootstrap interval.

    Attributes:
        mean: the mean, NaN where there is no value.
        low: lower end.
        high: upper end.
        n: number of examples behind it.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: Any, *, level: float = 0.95, n_draws: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of ``values`` (NaN left out) with a percentile bootstrap interval over examples."""
    given = np.asarray(values, dtype=float)
    kept = given[np.isfinite(given)]
    if kept.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    means = np.sort(_resampled(kept, n_draws, seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(kept.mean()), float(low), float(high), int(kept.size))


def ranks(table: Any, *, higher_is_better: bool) -> np.ndarray:
    """Return ranks along the last axis, 1 the best, ties sharing their mean; NaN ranks below all numbers."""
    from scipy.stats import rankdata

    values = np.asarray(table, dtype=float)
    oriented = -values if higher_is_better else values
    return rankdata(np.where(np.isnan(oriented), np.inf, oriented), axis=-1)


def pearson(left: Tensor, right: Tensor) -> tuple[Tensor, list[bool]]:
    """Return (examples,) correlations along the last axis, and where they are defined (both sides vary)."""
    a, b = (x.double() - x.double().mean(-1, keepdim=True) for x in (left, right))
    size_a, size_b = a.norm(dim=-1), b.norm(dim=-1)
    # what varies by rounding alone does not vary
    defined = (size_a > 1e-6 * left.double().norm(dim=-1)) & (size_b > 1e-6 * right.double().norm(dim=-1))
    product = torch.where(defined, size_a * size_b, torch.ones_like(size_a))
    return ((a * b).sum(-1) / product).to(left.dtype), defined.tolist()


@dataclass(frozen=True)
class Decision:
    """Which explainers can be trusted most, on this model and this sample.

    Attributes:
        best: the label with the lowest mean rank; None if nothing beats the controls.
        set: all labels that cannot be told from the best, best first.
        mean_rank: for each label, its mean rank with an interval.
        dropped: labels that were left out, with the reason.
        n: number of examples.
    """

    best: str | None
    set: tuple[str, ...]
    mean_rank: dict[str, Interval]
    dropped: dict[str, str]
    n: int

    def sentence(self) -> str:
        """Return the verdict in words, with its limits."""
        limits = f"This holds for this model and these {self.n} examples."
        if self.best is None:
            return f"No explainer does better than maps that ignore the model. {limits}"
        others = [label for label in self.set if label != self.best]
        if not others:
            return f"{self.best} explains best. {limits}"
        return f"{self.best} ranks first, but cannot be told apart from {_listed(others)}. {limits}"


class DecisionRule(Declared, abstract=True):
    """Decides from per-example values who is best; another rule can be put in its place."""

    @abstractmethod
    def decide(
        self,
        values: Mapping[str, Mapping[str, Sequence[float]]],
        directions: Mapping[str, bool],
        controls: Sequence[str] = (),
    ) -> Decision:
        """Return the decision.

        Args:
            values: metric -> label -> one value per example, the same examples in the same order throughout.
            directions: metric -> whether higher is better.
            controls: labels that candidates must beat.
        """


class MeanRank(DecisionRule):
    """Lowest per-example rank, averaged over metrics; those whose paired interval of rank differences holds zero tie.

    A candidate that does not beat every control (paired interval above zero) in mean rank, or has no value, is dropped.
    """

    metrics: tuple[str, ...] = ("AbPC", "FaithfulnessCorrelation")
    """The metrics that decide (those that were measured), by label; by a class's name, all of that class."""
    level: Annotated[float, Gt(0), Lt(1)] = 0.95
    """Confidence of the intervals."""
    n_draws: Annotated[int, Ge(100)] = 2000
    """Bootstrap draws."""
    seed: int = 0
    """Seed of the bootstrap."""

    def decide(
        self,
        values: Mapping[str, Mapping[str, Sequence[float]]],
        directions: Mapping[str, bool],
        controls: Sequence[str] = (),
    ) -> Decision:
        """Return the decision; see ``DecisionRule``."""
        named = (label for name in self.metrics for label in values if name in (label, unlabelled(label)))
        deciding = list(dict.fromkeys(named)) or list(values)
        if not deciding:
            raise ArgumentError("metrics: expected at least one that was measured, got none")
        labels = list(values[deciding[0]])
        per_metric = [
            ranks(
                np.stack([np.asarray(values[m][label], float) for label in labels], -1), higher_is_better=directions[m]
            )
            for m in deciding
        ]
        rank = np.mean(per_metric, axis=0)  # examples x labels
        column = {label: rank[:, k] for k, label in enumerate(labels)}
        intervals = {
            label: bootstrap(column[label], level=self.level, n_draws=self.n_draws, seed=self.seed) for label in labels
        }
        dropped = {}
        for label in labels:
            lost = [c for c in controls if c in column and self._upper(column[label] - column[c]) >= 0]
            if label in controls:
                dropped[label] = "a control"
            elif all(np.isnan(np.asarray(values[m][label], float)).all() for m in deciding):
                dropped[label] = f"has no value in {_listed(deciding)}"
            elif lost:
                dropped[label] = f"does not beat {_listed(lost)}"
        kept = sorted((label for label in labels if label not in dropped), key=lambda label: intervals[label].mean)
        if not kept:
            return Decision(None, (), intervals, dropped, len(rank))
        best = kept[0]
        alike = [k for k in kept if k == best or self._upper(column[best] - column[k]) >= 0]
        return Decision(best, tuple(alike), intervals, dropped, len(rank))

    def _upper(self, difference: np.ndarray) -> float:
        """Return the upper end of the interval of a mean difference of ranks; below zero, the first is better."""
        return float(np.quantile(_resampled(difference, self.n_draws, self.seed), (1 + self.level) / 2))


def _resampled(values: np.ndarray, n_draws: int, seed: int) -> np.ndarray:
    """Return (n_draws,) means of examples drawn with replacement, the same examples for one seed and size."""
    rng, size = np.random.default_rng(seed), len(values)
    block = max(1, 2**18 // size)  # so that memory does not grow with examples times draws
    blocks = [min(block, n_draws - start) for start in range(0, n_draws, block)]
    return np.concatenate([values[rng.integers(0, size, (count, size))].mean(1) for count in blocks])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
