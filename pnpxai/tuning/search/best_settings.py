"""Which settings of a finished search are best, what they gain on held-out examples, and what limits ruled out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from pnpxai.errors import ArgumentError, grouped_reasons
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import Candidate
from pnpxai.statistics import bootstrap
from pnpxai.tuning.result import LimitCheck, Stability, TuningResult
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.trials.judging import Judges
from pnpxai.tuning.trials.objective import Objective, mean_of
from pnpxai.tuning.trials.record import TrialRecord
from pnpxai.tuning.trials.shared_runs import RowCount

__all__ = ["result_of"]


def result_of(study: optuna.Study, objective: Objective, held_out: Examples, n_seeds: int) -> TuningResult:
    """Return the result of a search; see ``tune`` for what it raises."""
    space, seed, shared = objective.space, objective.judges.seed, objective.judges.shared
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    winner = _winner(objective, complete)
    checks = _limit_checks(objective, complete, {} if winner is None else winner.limited)
    if winner is None:
        raise _no_winner(space, ended, checks)
    best, start = winner.candidate, space.start(winner.candidate.label)
    judge = objective.objectives[0]
    sign = 1.0 if judge.higher_is_better else -1.0
    judges = Judges([judge], seed, shared)
    after, before = (judges.on(candidate, held_out)[0].array() for candidate in (best, start))
    other_seeds = [Judges([judge], seed + 1 + k, shared) for k in range(n_seeds)]
    difference = sign * (after - before)
    records = [TrialRecord.read(trial) for trial in ended]
    return TuningResult(
        best=best,
        default=start,
        metric=judge.name,
        value=winner.mean,
        gain=bootstrap(difference, seed=seed),
        trials=len(ended),
        refused=len(ended) - len(complete),
        study=study,
        stopped=sum(record.stopped_after is not None for record in records),
        held_out=bootstrap(after, seed=seed),
        stability=Stability(
            spread=_if_finite(np.nanstd, after),
            improved=_if_finite(np.mean, (difference > 0)[np.isfinite(difference)]),
            over_seeds=tuple(_if_finite(np.nanmean, judges.on(best, held_out)[0].array()) for judges in other_seeds),
        ),
        rows=RowCount(sum(r.rows.used for r in records), sum(r.rows.separate for r in records)),
        front=_front(study, objective),
        limits=checks,
    )


def _if_finite(statistic: Callable[[np.ndarray], np.floating], values: np.ndarray) -> float:
    """Return a statistic of values, NaN where none of them is finite."""
    return float(statistic(values)) if np.isfinite(values).any() else float("nan")


def _no_winner(space: Space, ended: Sequence[FrozenTrial], checks: Sequence[LimitCheck]) -> ArgumentError:
    labels = ", ".join(start.label for start in space.starts)
    if any(trial.state == TrialState.COMPLETE for trial in ended):
        missed = "; ".join(check.refusal() for check in checks)
        return ArgumentError(f"tune: none of {len(ended)} settings of {labels} keeps within the limits: {missed}")
    reasons = grouped_reasons(TrialRecord.read(trial).reason or "unknown" for trial in ended)
    return ArgumentError(f"tune: none of {len(ended)} settings of {labels} worked: {reasons}")


@dataclass(frozen=True)
class _Evaluated:
    """A candidate that was evaluated on the tuning examples.

    Attributes:
        candidate: the candidate.
        means: its mean value in each objective.
        limited: its mean values of what is limited.
    """

    candidate: Candidate
    means: list[float]
    limited: dict[str, float | None]

    @property
    def mean(self) -> float:
        """Mean value in the first objective."""
        return float(self.means[0])

    def oriented(self, signs: Sequence[float]) -> list[float]:
        """Return the means so that larger is better."""
        return [sign * mean for sign, mean in zip(signs, self.means, strict=True)]


@dataclass(frozen=True)
class _Start(_Evaluated):
    """Where a search started.

    Attributes:
        within: True if it keeps within the limits.
        values: its values of the first objective, one for each example.
    """

    within: bool
    values: np.ndarray


def _winner(objective: Objective, complete: list[FrozenTrial]) -> _Evaluated | None:
    """Return the candidate that is best in the first objective; None if nothing keeps within the limits.

    Of many settings tried on few examples, the one with the highest mean is often there by luck. So each is compared
    with the best start, example by example, and the one wins whose mean gain less its standard error is the largest: a
    start, where no gain stands out. Only what keeps within the limits can win.
    """
    signs = [1.0 if judge.higher_is_better else -1.0 for judge in objective.objectives]
    starts = _starts(objective, complete)
    trials = [t for t in complete if TrialRecord.read(t).stopped_after is None and _within_limits(t)]
    ranked: list[tuple[list[float], _Evaluated]] = []
    if len(signs) > 1 or not starts:  # the values of single examples are not kept, or there are none
        ranked += [(start.oriented(signs), start) for start in starts if start.within]
        for trial in trials:
            evaluated = _evaluated(objective.space, trial)
            ranked.append((evaluated.oriented(signs), evaluated))
    else:
        (sign,) = signs
        best_start = max(starts, key=lambda start: sign * start.mean)
        ranked += [([0.0], best_start)] if best_start.within else []
        for trial in trials:
            gains = np.array([sign * (v - best_start.values[k]) for k, v in trial.intermediate_values.items()])
            # what ranks positions alike is equal but for rounding: the first of these wins, whatever ran in one batch
            ranked.append(([round(_cautious_gain(gains), 6)], _evaluated(objective.space, trial)))
    return max(ranked, key=lambda one: one[0])[1] if ranked else None


def _evaluated(space: Space, trial: FrozenTrial) -> _Evaluated:
    return _Evaluated(_candidate(space, trial), trial.values, dict(TrialRecord.read(trial).limited))


def _starts(objective: Objective, complete: list[FrozenTrial]) -> list[_Start]:
    """Return the starts that have values. One that was a trial keeps within the limits if the trial did."""
    names = [judge.name for judge in objective.judges.judges]
    starts = []
    for start in objective.space.starts:
        cells = dict(zip(names, objective.judges.on(start, objective.examples), strict=True))
        means = [mean_of(cells[judge.name].array()) for judge in objective.objectives]
        parameters = objective.space.parameters(start)
        trial = next((trial for trial in complete if trial.params == parameters), None)
        if trial is not None:
            limited, within = dict(TrialRecord.read(trial).limited), _within_limits(trial)
        else:
            limited = {limit.judge.name: mean_of(cells[limit.judge.name].array()) for limit in objective.limits}
            within = all(limit.excess(limited[limit.judge.name]) <= 0 for limit in objective.limits)
        if None not in means:
            known = [mean for mean in means if mean is not None]
            starts.append(_Start(start, known, limited, within, cells[names[0]].array()))
    return starts


def _within_limits(trial: FrozenTrial) -> bool:
    return all(excess <= 0 for excess in trial.constraints.values())


def _limit_checks(
    objective: Objective, complete: Sequence[FrozenTrial], of_best: dict[str, float | None]
) -> tuple[LimitCheck, ...]:
    """Return what each limit ruled out, and how the best keeps within it."""
    checks = []
    for limit in objective.limits:
        name = limit.judge.name
        outside = [trial for trial in complete if trial.constraints[str(limit)] > 0]
        first = objective.space.starts[0].label
        count = Counter(str(trial.params.get("explainer.method", first)) for trial in outside)
        values = [value for t in complete if (value := TrialRecord.read(t).limited.get(name)) is not None]
        nearest = min(values, key=limit.excess, default=None)
        checks.append(LimitCheck(str(limit), of_best.get(name), dict(sorted(count.items())), nearest))
    return tuple(checks)


def _cautious_gain(gains: np.ndarray) -> float:
    """Return the mean gain less its standard error."""
    gains = gains[np.isfinite(gains)]
    return float(gains.mean() - gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else -np.inf


def _front(study: optuna.Study, objective: Objective) -> tuple[tuple[Candidate, dict[str, float]], ...]:
    """Return the Pareto front of several objectives, of those within the limits; nothing for one objective."""
    if len(objective.objectives) == 1:
        return ()
    names = [judge.name for judge in objective.objectives]
    front: dict[str, tuple[Candidate, dict[str, float]]] = {}
    for trial in study.best_trials:
        candidate = _candidate(objective.space, trial)
        front.setdefault(repr(sorted(trial.params.items())), (candidate, dict(zip(names, trial.values, strict=True))))
    return tuple(front.values())


def _candidate(space: Space, trial: FrozenTrial) -> Candidate:
    return space.suggest(FixedTrial(trial.params))
