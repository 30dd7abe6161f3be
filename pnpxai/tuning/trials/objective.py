"""Evaluating a trial: from its suggested settings to its mean values over the examples."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import Candidate, Cell
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.storage.optuna_private import stored
from pnpxai.tuning.trials.judging import Judges
from pnpxai.tuning.trials.pruning import Pruning
from pnpxai.tuning.trials.record import TrialRecord
from pnpxai.tuning.trials.requirements import Limit
from pnpxai.tuning.trials.shared_runs import RowCount

__all__ = ["Objective", "mean_of"]


class Objective:
    """Builds a candidate from a trial's suggestions and returns its mean values.

    Settings that cannot work are pruned with their reason and a constraint, so that the sampler learns of them. What
    was measured before is not measured again. With one objective, the values of single examples are reported to the
    study, and a trial that is clearly worse than the best ends early (see ``pruning``). Limits are constraints: the
    best settings keep within them.
    """

    def __init__(
        self,
        space: Space,
        judges: Judges,
        examples: Examples,
        *,
        objectives: int = 1,
        limits: Sequence[Limit] = (),
        prune: bool = True,
    ) -> None:
        self.space = space
        self.judges = judges
        self.examples = examples
        self.objectives = judges.judges[:objectives]
        self.limits = tuple(limits)
        self.pruning = Pruning(len(examples), judges.seed, prune and objectives == 1)

    def __call__(self, trial: optuna.Trial) -> list[float]:
        """Return the mean values of the trial's candidate.

        Raises:
            TrialPruned: the candidate cannot work.
        """
        before = self.judges.shared.count
        try:
            return self._values(trial)
        finally:
            after, record = self.judges.shared.count, TrialRecord.read(trial)
            used, separate = after.used - before.used, after.separate - before.separate
            record.write(trial, rows=RowCount(record.rows.used + used, record.rows.separate + separate))

    def _values(self, trial: optuna.Trial) -> list[float]:
        try:
            candidate = self.space.suggest(trial)
        except ArgumentError as refusal:
            raise _invalid(trial, str(refusal)) from refusal
        earlier = _with_equal_settings(trial)
        if earlier is not None:
            return self._values_of(earlier, trial, candidate)
        if len(self.objectives) == 1:
            values = [self._mean_of_one(trial, candidate)]
        else:
            values = self._means_of_several(trial, candidate)
        trial.set_constraint("valid", 0.0)
        TrialRecord.read(trial).write(trial, settings=written(candidate))
        return values

    def _mean_of_one(self, trial: optuna.Trial, candidate: Candidate) -> float:
        """Evaluate the only objective, from one checkpoint to the next."""
        values: dict[int, float] = dict(stored(trial).intermediate_values)
        record = TrialRecord.read(trial)
        order = self.pruning.order(trial.number)
        for checkpoint in self.pruning.checkpoints():
            part = sorted(k for k in order[:checkpoint] if k not in values and k not in record.undefined)
            if part:
                cell, *_ = cells = self.judges.on(candidate, self.examples.take(part))
                record = self._note_limited(trial, record, part, cells)
                undefined: dict[int, str] = {}
                for number, value, reason in zip(part, cell.values, cell.reasons, strict=True):
                    if np.isfinite(value):
                        trial.report(value, number)
                        values[number] = value
                    else:
                        undefined[number] = reason or "the value is not finite"
                if undefined:
                    record = record.write(trial, undefined={**record.undefined, **undefined})
            # a trial that is taken up again passed a checkpoint if it has gone on from there
            passed = any(k in values or k in record.undefined for k in order[checkpoint:])
            if checkpoint < len(order) and not passed and self.pruning.prunes(trial):
                record = record.write(trial, stopped_after=checkpoint)
                self._limit(trial, record)
                return self.pruning.estimate(trial, values)
        if 2 * len(values) < len(order):
            raise _invalid(trial, next(iter(record.undefined.values())))
        self._limit(trial, record)
        return float(np.mean([values[k] for k in sorted(values)]))

    def _means_of_several(self, trial: optuna.Trial, candidate: Candidate) -> list[float]:
        cells = self.judges.on(candidate, self.examples)
        means = [mean_of(cell.array()) for cell in cells[: len(self.objectives)]]
        if any(mean is None for mean in means):
            raise _invalid(trial, next(reason for cell in cells for reason in cell.reasons if reason))
        record = self._note_limited(trial, TrialRecord.read(trial), range(len(self.examples)), cells)
        self._limit(trial, record)
        return [mean for mean in means if mean is not None]

    def _note_limited(
        self, trial: optuna.Trial, record: TrialRecord, numbers: Sequence[int], cells: Sequence[Cell]
    ) -> TrialRecord:
        """Note the values of what is limited, before any are reported: a trial that is taken up again needs them."""
        if not self.limits:
            return record
        by_name = {judge.name: cell for judge, cell in zip(self.judges.judges, cells, strict=True)}
        limited_on = dict(record.limited_on)
        for limit in self.limits:
            values = by_name[limit.judge.name].values
            new = {k: v if np.isfinite(v) else None for k, v in zip(numbers, values, strict=True)}
            limited_on[limit.judge.name] = {**limited_on.get(limit.judge.name, {}), **new}
        return record.write(trial, limited_on=limited_on)

    def _limit(self, trial: optuna.Trial, record: TrialRecord) -> None:
        """Set the constraints, from the examples that were seen."""
        if not self.limits:
            return
        in_order = {name: [values[k] for k in sorted(values)] for name, values in record.limited_on.items()}
        means = {name: mean_of(np.array(values, dtype=float)) for name, values in in_order.items()}
        self._constrain(trial, record.write(trial, limited=means))

    def _constrain(self, trial: optuna.Trial, record: TrialRecord) -> None:
        for limit in self.limits:
            trial.set_constraint(str(limit), limit.excess(record.limited[limit.judge.name]))

    def _values_of(self, earlier: FrozenTrial, trial: optuna.Trial, candidate: Candidate) -> list[float]:
        """Return the values of an earlier trial with equal settings, and report them again for this one."""
        known, record = TrialRecord.read(earlier), TrialRecord.read(trial).write(trial, same_as=earlier.number)
        if earlier.state == TrialState.PRUNED:
            raise _invalid(trial, str(known.reason))
        reported = stored(trial).intermediate_values
        for step, value in earlier.intermediate_values.items():
            if step not in reported:
                trial.report(value, step)
        names = ("undefined", "stopped_after", "settings", "limited")
        record = record.write(trial, **{n: getattr(known, n) for n in names if getattr(known, n) not in (None, {})})
        self._constrain(trial, record)
        trial.set_constraint("valid", 0.0)
        n_seen = len(self.examples) if known.stopped_after is None else known.stopped_after
        cost = self.judges.cost(candidate, self.examples)
        self.judges.shared.count_saved(cost * n_seen // len(self.examples))
        return [float(value) for value in earlier.values or ()]


def written(candidate: Candidate) -> str:
    """Return a candidate's settings as JSON, or as they print where a setting (a lambda) cannot be written."""
    try:
        return json.dumps(candidate.settings())
    except ArgumentError:
        return f"{candidate.explainer!r}, {candidate.postprocessor!r}"


def mean_of(values: np.ndarray) -> float | None:
    """Return the mean of the defined values, None where fewer than half are defined."""
    defined = np.isfinite(values)
    return float(values[defined].mean()) if defined.mean() >= 0.5 else None


def _with_equal_settings(trial: optuna.Trial) -> FrozenTrial | None:
    """Return an earlier trial with the same settings."""
    done = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return next((t for t in done if t.params == trial.params and t.number != trial.number), None)


def _invalid(trial: optuna.Trial, reason: str) -> optuna.TrialPruned:
    """Record why settings cannot work, and return what is to be raised."""
    TrialRecord.read(trial).write(trial, reason=reason)
    trial.set_constraint("valid", 1.0)
    return optuna.TrialPruned(reason)
