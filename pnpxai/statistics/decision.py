"""What a rule decides about explainers, its verdict in words, and the tests that every rule shares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pnpxai.declare.declared import Declared
from pnpxai.statistics.intervals import Interval, bootstrap
from pnpxai.statistics.simultaneous import better_than, examples_needed, smallest_sample, tied_with_best

__all__ = ["Decision", "DecisionRule", "decision_by_ranks", "listed"]


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
        prior: the kind of data whose problems with known evidence took part in it, if any did; "other" where these were
            problems of other kinds.
        reliability: on what share of such problems the first of a verdict like this was within ``CLOSE`` of the best.
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
    prior: str | None = None
    reliability: float | None = None

    @property
    def first(self) -> str | None:
        """The label to use where one is needed: the best, else the one with the lowest mean rank that is no control."""
        candidates = [label for label, why in self.dropped.items() if why == CONTROL]
        ordered = sorted((i.mean, label) for label, i in self.mean_rank.items() if label not in candidates)
        return self.best or (ordered[0][1] if ordered and self.too_few else None)

    def sentence(self) -> str:
        """Return the verdict in words: by which measures, on how many examples, how sure, what would make it surer."""
        by = f" by {listed(self.metrics)}" if self.metrics else ""
        by += f" and by what did well on {self.prior} problems with known evidence" if self.prior else ""
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
            return f"{self.best} ranks first{by}, ahead of all others{sure}. {limits}{self._worth()}"
        apart = f" About {self.enough} examples would tell {self.best} from {others[0]}." if self.enough else ""
        cannot = f"{self.best} ranks first{by}, but cannot be told apart from {listed(others)}."
        return f"{cannot} {limits}{apart}{self._worth()}"

    def _worth(self) -> str:
        """Return in words what a verdict like this was worth where the truth is known."""
        if self.reliability is None:
            return ""
        tenths = round(10 * self.reliability)
        return f" In {tenths} of 10 such problems, the first of a verdict like this was about as good as the best."


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


def decision_by_ranks(
    columns: Mapping[str, np.ndarray],
    deciding: tuple[str, ...],
    *,
    controls: Sequence[str],
    mute: Sequence[str],
    level: float,
    n_draws: int,
    seed: int,
    against_controls: Mapping[str, np.ndarray] | None = None,
) -> Decision:
    """Return who is first, who cannot be told from it, and who is left out, with one chance of error over all.

    The best is shown to beat every control (one-sided paired t-tests, corrected for the number of candidates), and the
    set holds all candidates that cannot be told from it (a closed test of the range and of the lead): one that is
    equally good is left out with a chance of 1 - level at most, however many there are. A candidate outside the set is
    dropped where it is not shown to beat the controls, or has no value. With fewer examples than
    ``smallest_sample(candidates)`` nothing is decided.

    Args:
        columns: label -> (examples,) numbers that are smaller for better explainers, such as ranks.
        deciding: the metrics that decide.
        controls: labels that candidates must beat.
        mute: labels without any value.
        level: the confidence of all statements together, and of the interval of each mean rank.
        n_draws: draws of these intervals.
        seed: of these draws.
        against_controls: the columns by which controls are to be beaten, where these are others.
    """
    held = columns if against_controls is None else against_controls
    n = len(next(iter(columns.values())))
    dropped = {label: CONTROL for label in columns if label in controls}
    dropped |= {label: f"has no value in {listed(deciding)}" for label in mute if label not in dropped}
    candidates = sorted((c for c in columns if c not in dropped), key=lambda label: columns[label].mean())
    against = [label for label in columns if label in controls]
    intervals = {label: bootstrap(own, level=level, n_draws=n_draws, seed=seed) for label, own in columns.items()}
    verdict = Decision(None, (), intervals, dropped, n, deciding, level)
    least = smallest_sample(len(candidates), level)
    if not candidates:
        return verdict
    own = np.stack([columns[c] for c in candidates], 1)
    knowing, ignorant = (np.stack([held[c] for c in group], 1) if group else np.empty((n, 0))
                         for group in (candidates, against))  # fmt: skip
    alpha = (1 - level) / len(candidates)
    ahead = [examples_needed(knowing[:, 0] - held[control], alpha) for control in against]
    needed = max((number or 0 for number in ahead), default=0) if None not in ahead else None
    if n < least:
        return replace(verdict, enough=max(least, needed or 0), too_few=True)
    proven = dict(zip(candidates, better_than(knowing, ignorant, level), strict=True))
    tied = [candidates[k] for k in tied_with_best(own, level)]
    best = next((label for label in tied if proven[label]), None)
    together = tuple(label for label in tied if label != best)
    for label in candidates:
        if not proven[label] and (best is None or label not in tied):
            behind = [c for c in against if not better_than(held[label][:, None], held[c][:, None], level)]
            dropped[label] = f"may not beat {listed(behind or against)}"
    if best is None:
        return replace(verdict, enough=needed if needed and needed > n else None)
    next_best = examples_needed(columns[best] - columns[together[0]], (1 - level) / 2) if together else None
    enough = next_best if next_best and n < next_best <= _FORESEEN * n else None
    return replace(verdict, best=best, set=(best, *together), enough=enough)


CONTROL = "a control"
_FORESEEN = 20
"""A number of examples is estimated up to so many times those that were seen."""


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
