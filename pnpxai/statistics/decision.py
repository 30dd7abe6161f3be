"""The rule that decides which explanations to prefer, and its verdict in words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import unlabelled
from pnpxai.errors import ArgumentError
from pnpxai.statistics.intervals import Interval, bootstrap
from pnpxai.statistics.ranks import ranks
from pnpxai.statistics.simultaneous import better_than, examples_needed, smallest_sample, tied_with_best

__all__ = ["Decision", "DecisionRule", "MeanRank"]


@dataclass(frozen=True)
class Decision:
    """Which explainers the metrics prefer, on this model and this sample.

    Attributes:
        best: the label with the lowest mean rank among those shown to beat the controls; None where there is none, or
            the examples are too few to tell.
        set: all labels that cannot be told from the best, best first; empty without a best.
        mean_rank: for each label, its mean rank with an interval.
        dropped: labels that were left out, with the reason.
        n: number of examples.
        metrics: the metrics that decided.
        level: the confidence, in all that is said together.
        enough: about how many examples would tell more, where they would and this can be estimated.
        too_few: whether the examples are too few for any verdict.
    """

    best: str | None
    set: tuple[str, ...]
    mean_rank: dict[str, Interval]
    dropped: dict[str, str]
    n: int
    metrics: tuple[str, ...] = ()
    level: float = 0.95
    enough: int | None = None
    too_few: bool = False

    @property
    def first(self) -> str | None:
        """The label to use where one is needed: the best, else the one with the lowest mean rank that is no control."""
        candidates = [label for label, why in self.dropped.items() if why == _CONTROL]
        ordered = sorted((i.mean, label) for label, i in self.mean_rank.items() if label not in candidates)
        return self.best or (ordered[0][1] if ordered and self.too_few else None)

    def sentence(self) -> str:
        """Return the verdict in words: by which metrics, on how many examples, how sure, what would make it surer."""
        by = f" by {_listed(self.metrics)}" if self.metrics else ""
        on = f"{self.n} example{'' if self.n == 1 else 's'}"
        limits = f"This holds for this model and {'this' if self.n == 1 else 'these'} {on}."
        more = f" About {self.enough} examples would do." if self.enough else ""
        if self.too_few:
            return f"Too few examples to tell: {on}.{more}"
        if self.best is None:
            return f"No explainer is shown{by} to do better than maps that ignore the model. {limits}{more}"
        sure = f", {100 * self.level:.0f} % sure"
        others = [label for label in self.set if label != self.best]
        if not others:
            return f"{self.best} ranks first{by}, ahead of all others{sure}. {limits}"
        apart = f" About {self.enough} examples would tell {self.best} from {others[0]}." if self.enough else ""
        return f"{self.best} ranks first{by}, but cannot be told apart from {_listed(others)}. {limits}{apart}"


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
    """Lowest per-example rank, averaged over metrics, with one chance of error over all that is said.

    The best is shown to beat every control (one-sided paired t-tests, corrected for the number of candidates), and the
    set holds all candidates that cannot be told from it (a closed test of the range and of the lead): one that is
    equally good is left out with a chance of 1 - level at most, however many there are. A candidate outside the set is
    dropped where it is not shown to beat the controls, or has no value. With fewer examples than
    ``smallest_sample(candidates)`` nothing is decided.
    """

    metrics: tuple[str, ...] = ("AbPC", "FaithfulnessCorrelation")
    """The metrics that decide (those that were measured), by label; by a class's name, all of that class."""
    level: Annotated[float, Gt(0), Lt(1)] = 0.95
    """Confidence of all statements together, and of each interval."""
    n_draws: Annotated[int, Ge(100)] = 2000
    """Draws of the intervals of mean ranks."""
    seed: int = 0
    """Seed of these draws."""

    def decide(
        self,
        values: Mapping[str, Mapping[str, Sequence[float]]],
        directions: Mapping[str, bool],
        controls: Sequence[str] = (),
    ) -> Decision:
        """Return the decision; see ``DecisionRule``."""
        named = (label for name in self.metrics for label in values if name in (label, unlabelled(label)))
        deciding = tuple(dict.fromkeys(named)) or tuple(values)
        if not deciding:
            raise ArgumentError("metrics: expected at least one that was measured, got none")
        labels = list(values[deciding[0]])
        tables = {m: np.stack([np.asarray(values[m][label], float) for label in labels], -1) for m in deciding}
        rank = np.mean([ranks(t, higher_is_better=directions[m]) for m, t in tables.items()], axis=0)
        n, column = len(rank), {label: rank[:, k] for k, label in enumerate(labels)}
        intervals = {
            label: bootstrap(own, level=self.level, n_draws=self.n_draws, seed=self.seed)
            for label, own in column.items()
        }
        dropped = {label: _CONTROL for label in labels if label in controls}
        mute = [label for k, label in enumerate(labels) if all(np.isnan(t[:, k]).all() for t in tables.values())]
        dropped |= {label: f"has no value in {_listed(deciding)}" for label in mute if label not in dropped}
        candidates = sorted((c for c in labels if c not in dropped), key=lambda label: intervals[label].mean)
        against = [label for label in labels if label in controls]
        verdict = Decision(None, (), intervals, dropped, n, deciding, self.level)
        least = smallest_sample(len(candidates), self.level)
        if not candidates:
            return verdict
        own, ignorant = (np.stack([column[c] for c in group], 1) if group else np.empty((n, 0))
                         for group in (candidates, against))  # fmt: skip
        alpha = (1 - self.level) / len(candidates)
        ahead = [examples_needed(own[:, 0] - column[control], alpha) for control in against]
        needed = max((number or 0 for number in ahead), default=0) if None not in ahead else None
        if n < least:
            return replace(verdict, enough=max(least, needed or 0), too_few=True)
        proven = dict(zip(candidates, better_than(own, ignorant, self.level), strict=True))
        tied = [candidates[k] for k in tied_with_best(own, self.level)]
        best = next((label for label in tied if proven[label]), None)
        together = tuple(label for label in tied if label != best)
        for label in candidates:
            if not proven[label] and (best is None or label not in tied):
                behind = [c for c in against if not better_than(column[label][:, None], column[c][:, None], self.level)]
                dropped[label] = f"may not beat {_listed(behind or against)}"
        if best is None:
            return replace(verdict, enough=needed if needed and needed > n else None)
        next_best = examples_needed(column[best] - column[together[0]], (1 - self.level) / 2) if together else None
        enough = next_best if next_best and n < next_best <= _FORESEEN * n else None
        return replace(verdict, best=best, set=(best, *together), enough=enough)


_CONTROL = "a control"
_FORESEEN = 20
"""A number of examples is estimated up to so many times those that were seen."""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
