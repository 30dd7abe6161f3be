"""Tuning: search on one part of the examples, measure what it gained on the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from pnpxai.engine.keys import model_key, settings_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.choose import MetricSpec, as_metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.statistics import bootstrap
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from pnpxai.tuning.candidates import Space
from pnpxai.tuning.judging import Judge, Judges
from pnpxai.tuning.objective import STOPPED, Objective, mean_of, rows_of
from pnpxai.tuning.result import Stability, TuningResult
from pnpxai.tuning.samplers import SamplerSpec, Sampling
from pnpxai.tuning.search import Callback, Search, quiet
from pnpxai.tuning.shared import Shared
from pnpxai.tuning.storage import StorageSpec

__all__ = ["result_of", "searched", "tune"]


def tune(
    explainer: Explainer | Candidate | Sequence[Explainer | Candidate],
    examples: Examples,
    metric: MetricSpec | Sequence[MetricSpec],
    *,
    postprocessor: PostProcessor | None = None,
    traits: Traits | None = None,
    n_trials: int | None = None,
    timeout: float | None = None,
    sampler: SamplerSpec = "auto",
    tuning_fraction: float = 0.5,
    seed: int = 0,
    storage: StorageSpec = None,
    study_name: str | None = None,
    workers: int = 1,
    prune: bool = True,
    n_seeds: int = 2,
    callbacks: Sequence[Callback] = (),
    shared: Shared | None = None,
    show_progress: bool = True,
) -> TuningResult:
    """Search the settings of explainers and their post-processing for the best mean value of a metric.

    The defaults are tried first. The examples are split: what is searched on is not what the gain is measured on. With
    a storage, the same call goes on where an earlier one stopped, for whatever reason; calls at the same time, on one
    machine or several, share the work.

    Args:
        explainer: where the search starts; settings that are not searched stay as they are. Of several, the explainer
            is searched too.
        examples: at least two. A setting wins over the default by its mean gain on those searched on less the gain's
            standard error, so that with few examples defaults stay.
        metric: what to be good at; it knows its direction. Of several, the front is found: candidates that none is
            better than in all of them; the best is then the one of them that is best in the first metric.
        postprocessor: where the search of the post-processing starts.
        traits: facts about the data; strategies that do not suit it are not searched.
        n_trials: number of trials, with those that the storage holds already; by default 20, or no limit where there
            is a timeout.
        timeout: stop after so many seconds (when the trial that runs then is done).
        sampler: "tpe", "random", "grid" (a few points where a range has no steps), "brute_force", "gp", "cma-es",
            "qmc", an Optuna sampler, or "auto": brute force where the trials cover all configurations, else TPE.
        tuning_fraction: share of the examples to search on.
        seed: fixes the split, the sampler and all draws.
        storage: where trials are kept: a folder, a ``.db`` or ``.journal`` file, the URL of a database, an Optuna
            storage; by default memory.
        study_name: the study's name there; by default what is tuned, and for what.
        workers: number of processes that take part.
        prune: end trials that are clearly worse after a part of the examples.
        n_seeds: under how many other seeds the best is measured on the held-out examples.
        callbacks: called with the study and each trial that this process ran; may call ``study.stop()``.
        shared: what this and other searches have in common.
        show_progress: show a bar with the best value so far.

    Raises:
        ArgumentError: a setting is out of range, nothing can be searched, the storage cannot be reached or holds
            another run, or no settings worked (with the reasons).
        MissingExtraError: the storage's driver is not installed.
    """
    starts = _starts(explainer, postprocessor, traits)
    model = starts[0].explainer.model
    metrics = _metrics(metric, model, traits)
    n_trials = _checked(n_trials, timeout, workers)
    part, held_out = examples.split(tuning_fraction, seed)
    shared = Shared() if shared is None else shared
    space = Space(starts, traits)
    label = starts[0].label if len(starts) == 1 else f"{len(starts)} explainers"
    judges = tuple(Judge.of(m) for m in metrics)
    search = searched(
        space, judges, part, sampler=sampler, n_trials=n_trials, timeout=timeout, seed=seed, storage=storage,
        name=study_name or f"{label}, {', '.join(judge.name for judge in judges)}", prune=prune,
    )  # fmt: skip
    with quiet():
        study, objective = search.run(shared, workers=workers, callbacks=callbacks, show_progress=show_progress)
        return result_of(study, objective, held_out, n_seeds)


def searched(
    space: Space,
    judges: tuple[Judge, ...],
    examples: Examples,
    *,
    sampler: SamplerSpec,
    n_trials: int | None,
    timeout: float | None,
    seed: int,
    storage: StorageSpec,
    name: str,
    prune: bool = True,
) -> Search:
    """Return a search, checked.

    Raises:
        ArgumentError: there is nothing to search, or nothing to search it with.
    """
    if space.size() < 2:
        labels = ", ".join(start.label for start in space.starts)
        raise ArgumentError(f"explainer: {labels} has no settings to search on such data")
    sampling = Sampling.of(sampler, space, n_trials, seed, len(judges))
    model = space.starts[0].explainer.model
    identity = {
        "what is searched": space.described(),
        "model": _model_key(model),
        "examples": settings_key({"keys": list(examples.keys), "targets": [str(b.targets) for b in examples]}),
        "metric": {j.name: [repr(m) for m in j.metrics] for j in judges},
        "seed": seed,
    }
    deadline = None if timeout is None else time.time() + timeout
    return Search(space, judges, examples, sampling, identity, n_trials, deadline, seed, storage, name, prune)


def _starts(explainer: Any, postprocessor: PostProcessor | None, traits: Traits | None) -> tuple[Candidate, ...]:
    given = list(explainer) if isinstance(explainer, Iterable) else [explainer]
    post = postprocessor or (PostProcessor() if traits is None else PostProcessor.on(traits))
    found = []
    for one in given:
        if not isinstance(one, (Explainer, Candidate)):
            raise ArgumentError(f"explainer: expected a configured explainer such as SmoothGrad(model), got {one!r}")
        found.append(one if isinstance(one, Candidate) else Candidate(type(one).__name__, one, post))
    if not found:
        raise ArgumentError("explainer: expected at least one, got none")
    return tuple(found)


def _metrics(metric: Any, model: Any, traits: Traits | None) -> list[Metric]:
    given = list(metric) if isinstance(metric, (list, tuple)) else [metric]
    common = {} if traits is None else {"channel_dim": traits.channel_dim}
    found = [as_metric(one, model, common) for one in given]
    names = [type(one).__name__ for one in found]
    if not found:
        raise ArgumentError("metric: expected at least one, got none")
    if len(set(names)) < len(names):
        raise ArgumentError(f"metric: expected different ones, got {', '.join(names)}")
    for one in found:
        if one.needs_masks:
            raise ArgumentError(
                f"metric: {type(one).__name__} compares with what is known to matter, which a search does not know"
            )
    return found


def _checked(n_trials: int | None, timeout: float | None, workers: int) -> int | None:
    for name, value in (("n_trials", n_trials), ("workers", workers)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ArgumentError(f"{name}: expected a whole number >= 1, got {value!r}")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0):
        raise ArgumentError(f"timeout: expected a number of seconds > 0, got {timeout!r}")
    return 20 if n_trials is None and timeout is None else n_trials


def _model_key(model: Any) -> str:
    try:
        return model_key(model)
    except ArgumentError:  # a function, whose state cannot be seen
        return getattr(model, "__qualname__", type(model).__name__)


def result_of(study: optuna.Study, objective: Objective, held_out: Examples, n_seeds: int) -> TuningResult:
    """Return what a search found; see ``tune`` for what it raises."""
    judges, space = objective.judges, objective.space
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    refused = [trial for trial in ended if trial.state == TrialState.PRUNED]
    best, value = _best(objective, [trial for trial in ended if trial.state == TrialState.COMPLETE])
    if best is None:
        reasons = sorted({trial.user_attrs.get("reason", "unknown") for trial in refused})
        labels = ", ".join(start.label for start in space.starts)
        raise ArgumentError(f"tune: none of {len(ended)} settings of {labels} worked: {'; '.join(reasons)}")
    start = space.start(best.label)
    judge = judges.judges[0]
    sign = 1.0 if judge.higher_is_better else -1.0
    after, before = (judges.on(candidate, held_out)[0].array() for candidate in (best, start))
    others = [Judges([judge], judges.seed + 1 + k, judges.shared) for k in range(n_seeds)]
    difference = sign * (after - before)
    return TuningResult(
        best=best,
        default=start,
        metric=judge.name,
        value=value,
        gain=bootstrap(difference, seed=judges.seed),
        trials=len(ended),
        refused=len(refused),
        study=study,
        stopped=sum(STOPPED in trial.user_attrs for trial in ended),
        held_out=bootstrap(after, seed=judges.seed),
        stability=Stability(
            spread=_mean(np.nanstd, after),
            improved=_mean(np.mean, (difference > 0)[np.isfinite(difference)]),
            over_seeds=tuple(_mean(np.nanmean, other.on(best, held_out)[0].array()) for other in others),
        ),
        rows=rows_of(ended),
        front=_front(study, space, judges),
    )


def _mean(of: Any, values: np.ndarray) -> float:
    return float(of(values)) if np.isfinite(values).any() else float("nan")


def _best(objective: Objective, done: list[FrozenTrial]) -> tuple[Candidate | None, float]:
    """Return the candidate that is best in the first judge, and its mean value.

    Of many settings tried on few examples, the one with the highest mean is often there by luck. So each is compared
    with the best start, example by example, and the one wins whose mean gain less its standard error is the largest: a
    start, where no gain stands out.
    """
    judge = objective.judges.judges[0]
    sign = 1.0 if judge.higher_is_better else -1.0
    starts = [(start, objective.judges.on(start, objective.examples)[0].array()) for start in objective.space.starts]
    means = [(value, start, values) for start, values in starts if (value := mean_of(values)) is not None]
    complete = [trial for trial in done if STOPPED not in trial.user_attrs]
    if len(objective.judges.judges) > 1 or not means:  # the values of single examples are not kept, or there are none
        found = [(sign * value, value, start) for value, start, _ in means]
        found += [(sign * t.values[0], t.values[0], _candidate(objective.space, t)) for t in complete]
    else:
        value, start, reference = max(means, key=lambda mean: sign * mean[0])
        found = [(0.0, value, start)]
        for trial in complete:
            gains = [sign * (v - reference[k]) for k, v in trial.intermediate_values.items()]
            found.append((_sure(np.array(gains)), float(trial.values[0]), _candidate(objective.space, trial)))
    if not found:
        return None, float("nan")
    _, value, candidate = max(found, key=lambda one: one[0])
    return candidate, value


def _sure(gains: np.ndarray) -> float:
    """Return the mean gain less its standard error."""
    gains = gains[np.isfinite(gains)]
    return float(gains.mean() - gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else -np.inf


def _front(study: optuna.Study, space: Space, judges: Judges) -> tuple[tuple[Candidate, dict[str, float]], ...]:
    if len(judges.judges) == 1:
        return ()
    names = [judge.name for judge in judges.judges]
    found: dict[str, tuple[Candidate, dict[str, float]]] = {}
    for trial in study.best_trials:
        candidate = _candidate(space, trial)
        found.setdefault(repr(sorted(trial.params.items())), (candidate, dict(zip(names, trial.values, strict=True))))
    return tuple(found.values())


def _candidate(space: Space, trial: FrozenTrial) -> Candidate:
    return space.suggest(FixedTrial(trial.params))  # type: ignore[arg-type]
