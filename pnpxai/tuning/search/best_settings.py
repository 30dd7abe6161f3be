"""Which settings a search found best, what they gained where nothing was searched, and what limits ruled out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import Candidate
from pnpxai.statistics import bootstrap
from pnpxai.tuning.result import LimitCheck, Stability, TuningResult
from pnpxai.tuning.search.judging import Judges
from pnpxai.tuning.search.objective import LIMITED, STOPPED, Objective, mean_of, rows_of
from pnpxai.tuning.space.candidates import Space

__all__ = ["result_of"]


def result_of(study: optuna.Study, objective: Objective, held_out: Examples, n_seeds: int) -> TuningResult:
    """Return what a search found; see ``tune`` for what it raises."""
    space, seed, shared = objective.space, objective.judges.seed, objective.judges.shared
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    done = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    best, value, limited = _best(objective, done)
    checks = _checks(objective, done, limited)
    if best is None:
        labels = ", ".join(start.label for start in space.starts)
        reasons = sorted({trial.user_attrs.get("reason", "unknown") for trial in ended if trial not in done})
        if done:
            raise ArgumentError(
                f"tune: none of {len(ended)} settings of {labels} keeps within the limits: "
                f"{'; '.join(check.refusal() for check in checks)}"
            )
        raise ArgumentError(f"tune: none of {len(ended)} settings of {labels} worked: {'; '.join(reasons)}")
    start = space.start(best.label)
    judge = objective.objectives[0]
    sign = 1.0 if judge.higher_is_better else -1.0
    judges = Judges([judge], seed, shared)
    after, before = (judges.on(candidate, held_out)[0].array() for candidate in (best, start))
    others = [Judges([judge], seed + 1 + k, shared) for k in range(n_seeds)]
    difference = sign * (after - before)
    return TuningResult(
        best=best,
        default=start,
        metric=judge.name,
        value=value,
        gain=bootstrap(difference, seed=seed),
        trials=len(ended),
        refused=len(ended) - len(done),
        study=study,
        stopped=sum(STOPPED in trial.user_attrs for trial in ended),
        held_out=bootstrap(after, seed=seed),
        stability=Stability(
            spread=_mean(np.nanstd, after),
            improved=_mean(np.mean, (difference > 0)[np.isfinite(difference)]),
            over_seeds=tuple(_mean(np.nanmean, other.on(best, held_out)[0].array()) for other in others),
        ),
        rows=rows_of(ended),
        front=_front(study, objective),
        limits=checks,
    )


def _mean(of: Any, values: np.ndarray) -> float:
    return float(of(values)) if np.isfinite(values).any() else float("nan")


@dataclass(frozen=True)
class _Start:
    """Where a search started: the means of the objectives, of what is limited, the first objective's values."""

    candidate: Candidate
    means: list[float]
    limited: dict[str, float | None]
    within: bool
    values: np.ndarray


def _best(objective: Objective, done: list[FrozenTrial]) -> tuple[Candidate | None, float, dict[str, float | None]]:
    """Return the candidate that is best in the first objective, its mean value, and those of what is limited.

    Of many settings tried on few examples, the one with the highest mean is often there by luck. So each is compared
    with the best start, example by example, and the one wins whose mean gain less its standard error is the largest: a
    start, where no gain stands out. Only what keeps within the limits can win.
    """
    signs = [1.0 if judge.higher_is_better else -1.0 for judge in objective.objectives]
    starts = _starts(objective, done)
    complete = [trial for trial in done if STOPPED not in trial.user_attrs and _within(trial)]
    within = [start for start in starts if start.within]
    # how good it is, its mean, it, and the means of what is limited
    found: list[tuple[list[float], float, Candidate, dict[str, float | None]]] = []
    if len(signs) > 1 or not starts:  # the values of single examples are not kept, or there are none
        found += [(_oriented(signs, one.means), one.means[0], one.candidate, one.limited) for one in within]
        for trial in complete:
            candidate = _candidate(objective.space, trial)
            found.append((_oriented(signs, trial.values), trial.values[0], candidate, _limited(trial)))
    else:
        (sign,) = signs
        first = max(starts, key=lambda start: sign * start.means[0])
        found += [([0.0], first.means[0], first.candidate, first.limited)] if first.within else []
        for trial in complete:
            gains = [sign * (v - first.values[k]) for k, v in trial.intermediate_values.items()]
            candidate = _candidate(objective.space, trial)
            # what ranks positions alike is equal but for rounding: the first of these wins, whatever ran in one batch
            found.append(([round(_sure(np.array(gains)), 6)], trial.values[0], candidate, _limited(trial)))
    if not found:
        return None, float("nan"), {}
    _, value, candidate, limited = max(found, key=lambda one: one[0])
    return candidate, float(value), limited


def _oriented(signs: Sequence[float], values: Sequence[float]) -> list[float]:
    return [sign * value for sign, value in zip(signs, values, strict=True)]


def _starts(objective: Objective, done: list[FrozenTrial]) -> list[_Start]:
    """Return the starts that have values. One that was a trial keeps within the limits if the trial did."""
    names = [judge.name for judge in objective.judges.judges]
    found = []
    for start in objective.space.starts:
        cells = dict(zip(names, objective.judges.on(start, objective.examples), strict=True))
        means = [mean_of(cells[judge.name].array()) for judge in objective.objectives]
        parameters = objective.space.parameters(start)
        tried = next((trial for trial in done if trial.params == parameters), None)
        if tried is not None:
            limited, within = _limited(tried), _within(tried)
        else:
            limited = {one.judge.name: mean_of(cells[one.judge.name].array()) for one in objective.limits}
            within = all(one.excess(limited[one.judge.name]) <= 0 for one in objective.limits)
        values = cells[names[0]].array()
        if None not in means:
            found.append(_Start(start, [mean for mean in means if mean is not None], limited, within, values))
    return found


def _within(trial: FrozenTrial) -> bool:
    return all(excess <= 0 for excess in trial.constraints.values())


def _limited(trial: FrozenTrial) -> dict[str, float | None]:
    return trial.user_attrs.get(LIMITED, {})


def _checks(objective: Objective, done: Sequence[FrozenTrial], best: dict[str, float | None]) -> tuple[LimitCheck, ...]:
    found = []
    for limit in objective.limits:
        name = limit.judge.name
        outside = [trial for trial in done if trial.constraints[str(limit)] > 0]
        first = objective.space.starts[0].label
        count = Counter(str(trial.params.get("explainer.method", first)) for trial in outside)
        known = [value for trial in done if (value := _limited(trial).get(name)) is not None]
        nearest = min(known, key=limit.excess, default=None)
        found.append(LimitCheck(str(limit), best.get(name), dict(sorted(count.items())), nearest))
    return tuple(found)


def _sure(gains: np.ndarray) -> float:
    """Return the mean gain less its standard error."""
    gains = gains[np.isfinite(gains)]
    return float(gains.mean() - gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else -np.inf


def _front(study: optuna.Study, objective: Objective) -> tuple[tuple[Candidate, dict[str, float]], ...]:
    if len(objective.objectives) == 1:
        return ()
    names = [judge.name for judge in objective.objectives]
    found: dict[str, tuple[Candidate, dict[str, float]]] = {}
    for trial in study.best_trials:  # those within the limits
        candidate = _candidate(objective.space, trial)
        found.setdefault(repr(sorted(trial.params.items())), (candidate, dict(zip(names, trial.values, strict=True))))
    return tuple(found.values())


def _candidate(space: Space, trial: FrozenTrial) -> Candidate:
    return space.suggest(FixedTrial(trial.params))  # type: ignore[arg-type]
