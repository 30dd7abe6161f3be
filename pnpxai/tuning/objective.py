"""What a trial is worth: the metric's mean over the examples to tune on."""

from __future__ import annotations

import json

import numpy as np
import optuna

from pnpxai.engine.keys import settings_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, Cell, evaluate
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.traits import Traits
from pnpxai.tuning.space import suggest

__all__ = ["Objective"]


class Objective:
    """Builds a candidate from a trial's suggestions and returns its mean value.

    Settings that cannot work are pruned with their reason, so that the sampler learns of them; what was measured
    before is not measured again.
    """

    def __init__(
        self, start: Candidate, metric: Metric, examples: Examples, traits: Traits | None, seed: int, shared: SharedRuns
    ) -> None:
        self.start = start
        self.metric = metric
        self.examples = examples
        self.traits = traits
        self.seed = seed
        self.shared = shared
        self._known: dict[str, Cell] = {}

    def __call__(self, trial: optuna.Trial) -> float:
        """Return the mean value of the trial's candidate."""
        try:
            candidate = self.candidate(trial)
        except ArgumentError as refusal:
            raise self._invalid(trial, str(refusal)) from refusal
        cell = self.cell(candidate)
        value = mean_value(cell)
        if value is None:
            raise self._invalid(trial, next(reason for reason in cell.reasons if reason))
        trial.set_constraint("valid", 0.0)
        trial.set_user_attr("settings", json.dumps(candidate.settings()))
        trial.set_user_attr("undefined", sum(reason is not None for reason in cell.reasons))
        return value

    def candidate(self, trial: optuna.Trial) -> Candidate:
        """Return the candidate that the trial suggests."""
        return Candidate(
            self.start.label,
            suggest(trial, self.start.explainer, "explainer", self.traits),
            suggest(trial, self.start.postprocessor, "postprocessor", self.traits),
        )

    def cell(self, candidate: Candidate) -> Cell:
        """Return the candidate's values on the examples to tune on."""
        key = settings_key(candidate.settings())
        if key not in self._known:
            self._known[key] = evaluate(candidate, self.metric, self.examples, self.seed, self.shared)
        return self._known[key]

    @staticmethod
    def _invalid(trial: optuna.Trial, reason: str) -> optuna.TrialPruned:
        trial.set_user_attr("reason", reason)
        trial.set_constraint("valid", 1.0)
        return optuna.TrialPruned(reason)


def mean_value(cell: Cell) -> float | None:
    """Return the mean of the defined values, None where fewer than half are defined."""
    values = cell.array()
    defined = np.isfinite(values)
    return float(values[defined].mean()) if defined.mean() >= 0.5 else None
