"""The lowest rank by one metric, to which is added what each explainer was worth where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from pnpxai.declare.encoding import unlabelled
from pnpxai.statistics.decision import Decision, DecisionRule, decision_by_ranks
from pnpxai.statistics.mean_rank import MeanRank
from pnpxai.statistics.prior import PRIOR, worth_of
from pnpxai.statistics.ranks import ranks
from pnpxai.statistics.reliability import reliability
from pnpxai.traits import Traits

__all__ = ["WithPrior", "default_rule"]


class WithPrior(DecisionRule):
    """Lowest rank by m_i(e) + w (1 + c / n) p(e): a metric on example i, and a prior, for explainer e and n examples.

    The prior p(e) is what e was worth on problems with known evidence of the same kind of data (1: as good as the best;
    0: as a random map). m is ``MultiScaleCorrelation``. Say that what e is worth on a model is p(e) plus normal noise
    of variance t^2, and that the mean of m is b times that, plus noise of variance d^2 for the problem and s^2 / n for
    the examples: then its expectation, given m, orders explainers so, with w = d^2 / (b t^2) and c = s^2 / d^2. Fitted
    on those problems, w is 1.8 and c is 0.9; the default w is the smallest with which no more was lost there. The prior
    weighs less the more examples there are, but never nothing: a metric errs, however many examples it has.

    For a kind of data without such problems, p(e) is the mean over the kinds that have some. The variance between kinds
    adds to t^2, which would make w .4 times as large; but on problems of a kind that was left out of the mean, less was
    lost with the same w. Such a verdict states no ``reliability``.

    Controls are to be beaten by m alone. Where m was not measured, ``MeanRank`` decides.
    """

    kind: str | None = None
    """The kind of data: "image", "table", "series", "text" or "graph"; for any other, the prior is their mean."""
    metric: str = "MultiScaleCorrelation"
    """The metric, by the name of its class."""
    weight: Annotated[float, Ge(0)] = 1.2
    """w, how much the prior weighs; 0 for nothing."""
    n_prior: Annotated[float, Ge(0)] = 0.9
    """c, how many examples it takes until noise over examples is as small as what a metric errs by anyway."""
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
        name = next((label for label in values if unlabelled(label) == self.metric), None)
        if name is None:
            plain = MeanRank(level=self.level, n_draws=self.n_draws, seed=self.seed)
            return plain.decide(values, directions, controls)
        labels = list(values[name])
        measured = np.stack([np.asarray(values[name][label], float) for label in labels], -1)
        measured = measured if directions[name] else -measured
        n = len(measured)
        weight = self.weight * (1 + self.n_prior / max(n, 1))
        prior = np.array([0.0 if label in controls else worth_of(self.kind, unlabelled(label)) for label in labels])
        both = ranks(measured + weight * prior, higher_is_better=True)
        alone = ranks(measured, higher_is_better=True)
        columns, plain = ({label: of[:, k] for k, label in enumerate(labels)} for of in (both, alone))
        mute = [label for k, label in enumerate(labels) if np.isnan(measured[:, k]).all()]
        decision = decision_by_ranks(
            columns, (name,), controls=controls, mute=mute, level=self.level, n_draws=self.n_draws, seed=self.seed,
            against_controls=plain,
        )  # fmt: skip
        if decision.first is None or not self.weight:
            return decision
        if self.kind not in PRIOR:
            return replace(decision, prior="other")
        first = measured[:, labels.index(decision.first)]
        others = [np.nanmean(of) for of in measured.T if np.isfinite(of).any()]
        agrees = np.isfinite(first).any() and np.nanmean(first) >= max(others)
        return replace(decision, prior=self.kind, reliability=reliability(first, agrees=bool(agrees)))


def default_rule(traits: Traits, metrics: Sequence[str] = ("MultiScaleCorrelation",)) -> DecisionRule:
    """Return the rule that decides by default: with the prior where its metric was measured, else ``MeanRank``.

    Args:
        traits: facts about the data; several inputs are of no kind that has problems with known evidence.
        metrics: labels of the metrics that are to decide.
    """
    if list(metrics) == ["MultiScaleCorrelation"]:
        return WithPrior(kind=traits.modality if not traits.others else None)
    return MeanRank(metrics=tuple(metrics))
