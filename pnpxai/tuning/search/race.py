"""Several explainers tuned under one budget: all get a few trials, the weak are dropped, the others get more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm.auto import tqdm

from pnpxai.declare.encoding import labels
from pnpxai.engine.running.seeds import draws
from pnpxai.errors import ArgumentError, grouped_reasons
from pnpxai.examples import Examples
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.statistics import bootstrap
from pnpxai.traits import Traits
from pnpxai.tuning.result import TuningResult
from pnpxai.tuning.search.best_settings import result_of
from pnpxai.tuning.search.budget import Budget
from pnpxai.tuning.search.plan import SearchPlan, quiet
from pnpxai.tuning.search.study import planned_search
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.storage.storages import StorageSpec
from pnpxai.tuning.trials.judging import Judge, Judges
from pnpxai.tuning.trials.objective import Objective
from pnpxai.tuning.trials.record import TrialRecord
from pnpxai.tuning.trials.requirements import Limit
from pnpxai.tuning.trials.shared_runs import Shared

__all__ = ["Race", "panel", "race"]

_FIRST_ROUND = 4
_NEVER_FEWER = 5


@dataclass
class Race:
    """The result of a race.

    Attributes:
        tuned: the tuning results of the explainers that were left in the end, by label.
        dropped: why other explainers were dropped, by label.
        failed: why other explainers could not be tuned, by label.
        trials: number of trials in all.
    """

    tuned: dict[str, TuningResult] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    trials: int = 0


def panel(
    metrics: Sequence[Metric], fixed: Sequence[tuple[Candidate, int]], examples: Examples, seed: int, shared: Shared
) -> Judge:
    """Return a judge that says where a candidate stands among fixed ones, example by example.

    Args:
        metrics: what stands for quality.
        fixed: candidates with what is added to the seed (random maps count several times).
        examples: all that candidates will be judged on.
        seed: fixes all draws.
        shared: what evaluations have in common.
    """
    judges = [Judge.of(m) for m in metrics]
    rows: dict[Metric, list[np.ndarray]] = {metric: [] for metric in metrics}
    for candidate, shift in fixed:
        measured = Judges(judges, seed + shift, shared).measured(candidate, examples)
        for metric, own in rows.items():
            own.append(measured[metric].array())
    values: dict[Metric, dict[str, np.ndarray]] = {}
    for metric, own in rows.items():
        table = np.stack(own, 1)
        values[metric] = {key: np.sort(row[np.isfinite(row)]) for key, row in zip(examples.keys, table, strict=True)}
    return Judge(f"percentile of {' and '.join(labels(metrics))}", tuple(metrics), values)


def race(
    candidates: Sequence[Candidate],
    judge: Judge,
    examples: Examples,
    *,
    budget: Budget,
    traits: Traits | None,
    tuning_fraction: float,
    seed: int,
    shared: Shared,
    storage: StorageSpec = None,
    show_progress: bool = True,
    limits: tuple[Limit, ...] = (),
) -> Race:
    """Tune candidates in rounds of 1 (the default), 4, 8, 16, ... trials each until the budget is spent.

    Every default is tried, whatever the budget. After a later round, those of the worse half are dropped whose best is
    surely worse than the leader's (a paired bootstrap interval over examples, corrected for their number); at least
    five are left.

    One process does it, as candidates share most rows, and processes do not. Measured with a search for each of four
    processes (6 explainers, 16 trials each, a model that waits): 61 instead of 71 s, 1.3 times the rows, and other
    trials.

    Args:
        candidates: where the searches start.
        judge: what they are tuned for.
        examples: split into those that are searched on and those that gains are measured on.
        budget: for all together.
        traits: facts about the data.
        tuning_fraction: share of the examples to search on.
        seed: fixes the split, the samplers and all draws.
        shared: what evaluations have in common.
        storage: where trials are kept.
        show_progress: show a bar.
        limits: what the best of each must keep within.

    Raises:
        ArgumentError: the budget has fewer trials than there are candidates.
    """
    if budget.kind == "trials" and budget.amount < len(candidates):
        raise ArgumentError(
            f"budget: expected at least {len(candidates)} trials, one for the default of each explainer, got {budget}"
        )
    part, held_out = examples.split(tuning_fraction, seed)
    outcome, spent = Race(), _Spent(budget, shared)
    with quiet(), tqdm(desc="tuning", unit="trial", disable=not show_progress) as bar:
        runners = {}
        for candidate in candidates:
            try:
                runners[candidate.label] = _Runner.of(candidate, judge, part, traits, seed, storage, limits)
            except ArgumentError as refusal:
                outcome.failed[candidate.label] = str(refusal)
        wanted = 1
        while runners and not spent.all:
            before = sum(runner.ended for runner in runners.values())
            for label in _shuffled(list(runners), seed, wanted):
                bar.set_postfix_str(label)
                try:
                    runners[label].go_on(wanted, spent, shared, bar)
                except ArgumentError as refusal:
                    outcome.failed[label] = str(refusal)
                    outcome.trials += runners.pop(label).ended
            after = sum(runner.ended for runner in runners.values())
            weak = _weak(runners, judge, seed) if wanted > 1 else {}
            for label, reason in weak.items():
                outcome.dropped[label] = f"{reason} after {runners[label].ended} trials"
                outcome.trials += runners.pop(label).ended
            wanted = max(_FIRST_ROUND, 2 * wanted)
            if after == before and not any(runner.more(wanted) for runner in runners.values()):
                break
        for label, runner in runners.items():
            outcome.trials += runner.ended
            try:
                outcome.tuned[label] = runner.result(held_out)
            except ArgumentError as refusal:
                outcome.failed[label] = str(refusal)
    return outcome


class _Spent:
    """How much of a budget is left."""

    def __init__(self, budget: Budget, shared: Shared) -> None:
        self._budget = budget
        self._shared = shared
        self._start = time.monotonic()
        self._rows = shared.count.used
        self.trials = 0

    @property
    def left(self) -> float:
        kind = self._budget.kind
        used = {
            "seconds": time.monotonic() - self._start,
            "rows": self._shared.count.used - self._rows,
            "trials": self.trials,
        }[kind]
        return self._budget.amount - used

    @property
    def all(self) -> bool:
        return self.left <= 0

    def note(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.trials += 1
        if self.all:
            study.stop()


@dataclass
class _Runner:
    """One explainer's search.

    Attributes:
        plan: the search.
        studied: its study and objective, once it has run.
        ended: number of its trials that have ended.
    """

    plan: SearchPlan
    studied: tuple[optuna.Study, Objective] | None = None
    ended: int = 0

    @classmethod
    def of(
        cls,
        candidate: Candidate,
        judge: Judge,
        part: Examples,
        traits: Traits | None,
        seed: int,
        storage: StorageSpec,
        limits: tuple[Limit, ...],
    ) -> _Runner:
        name = f"{candidate.label}, {judge.name}"
        place = optuna.storages.InMemoryStorage() if storage is None else storage
        plan = planned_search(
            Space((candidate,), traits), (judge,), part, sampler="tpe", n_trials=_FIRST_ROUND, timeout=None, seed=seed,
            storage=place, name=name, limits=limits,
        )  # fmt: skip
        return cls(plan)

    def more(self, wanted: int) -> bool:
        """Tell whether there is more to try."""
        return self.ended < min(wanted, self.plan.space.size())

    def go_on(self, wanted: int, spent: _Spent, shared: Shared, bar: tqdm) -> None:
        """Bring the search to so many trials, or until the budget is spent."""
        if spent.all and self.studied is not None or not self.more(wanted):
            return
        n_trials = int(min(wanted, self.plan.space.size()))

        def note(study: optuna.Study, trial: FrozenTrial) -> None:
            bar.update()
            spent.note(study, trial)

        self.plan = replace(self.plan, n_trials=n_trials)
        self.studied = study, _ = self.plan.run(shared, callbacks=[note], show_progress=False)
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        self.ended = len(ended)
        if not any(trial.state == TrialState.COMPLETE for trial in ended) and self.ended >= _FIRST_ROUND:
            reasons = grouped_reasons(str(TrialRecord.read(trial).reason) for trial in ended)
            raise ArgumentError(f"none of its first {self.ended} settings worked: {reasons}")

    def result(self, held_out: Examples) -> TuningResult:
        """Return the result of the search.

        Raises:
            ArgumentError: no settings worked, or the budget ended before any trial.
        """
        if self.studied is None:
            raise ArgumentError("budget: it was spent before a trial ended")
        return result_of(*self.studied, held_out, n_seeds=0)

    def values(self) -> dict[int, float]:
        """Return the values of the best trial, by example."""
        try:
            return {} if self.studied is None else dict(self.studied[0].best_trial.intermediate_values)
        except ValueError:  # no trial is complete
            return {}


def _weak(runners: dict[str, _Runner], judge: Judge, seed: int) -> dict[str, str]:
    """Return which explainers are to be dropped, with the reason."""
    values = {label: runner.values() for label, runner in runners.items() if runner.studied is not None}
    sign = 1.0 if judge.higher_is_better else -1.0
    means = {label: sign * float(np.mean(list(own.values()))) if own else -np.inf for label, own in values.items()}
    order = sorted(means, key=lambda label: -means[label])
    if len(order) <= _NEVER_FEWER:
        return {}
    leader, half = order[0], max(_NEVER_FEWER, len(order) // 2)
    level = 1 - 0.05 / len(order)
    weak = {}
    for label in order[half:]:
        both = sorted(values[leader].keys() & values[label].keys())
        lost = sign * np.array([values[leader][k] - values[label][k] for k in both])
        gap = bootstrap(lost, level=level, seed=seed)
        if not both or gap.low > 0:
            weak[label] = f"{gap} worse than {leader}"
    return weak


def _shuffled(labels: list[str], seed: int, number: int) -> list[str]:
    """Return the labels in an order of this round's, so that a budget that runs out favours none."""
    return [labels[k] for k in draws(seed, "round", number).permutation(len(labels)).tolist()]
