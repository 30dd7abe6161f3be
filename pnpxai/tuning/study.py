"""Tuning: search on one part of the examples, measure what it gained on the other."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from tqdm.auto import tqdm

from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.examples import Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, evaluate
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.statistics import Interval, bootstrap
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from pnpxai.tuning.objective import Objective, mean_value
from pnpxai.tuning.space import contained, parameters, size

__all__ = ["TuningResult", "tune"]


@dataclass(frozen=True)
class TuningResult:
    """What tuning found.

    Attributes:
        best: the tuned candidate, ready to use.
        default: the candidate that it started from.
        metric: the metric's name.
        value: mean value of the best on the examples that were tuned on.
        gain: best minus default on held-out examples, oriented so that more is better, with a paired interval.
        trials: number of trials, of which
        refused: this many had settings that cannot work.
        study: the Optuna study.
    """

    best: Candidate
    default: Candidate
    metric: str
    value: float
    gain: Interval
    trials: int
    refused: int
    study: Any

    @property
    def explainer(self) -> Explainer:
        """The tuned explainer."""
        return self.best.explainer

    @property
    def postprocessor(self) -> PostProcessor:
        """The tuned post-processing."""
        return self.best.postprocessor

    def __str__(self) -> str:
        return (
            f"{self.best.label}: {self.metric} {self.value:.3f} after {self.trials} trials ({self.refused} refused); "
            f"on held-out examples {self.gain} over the default\n  {self.best.explainer}\n  {self.best.postprocessor}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return settings and figures, ready for JSON."""
        gain = {"mean": self.gain.mean, "low": self.gain.low, "high": self.gain.high, "n": self.gain.n}
        figures = {"metric": self.metric, "value": self.value, "held_out_gain": gain, "trials": self.trials}
        return {"label": self.best.label} | self.best.settings() | figures

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict`` as JSON, complete or not at all."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(json.dumps(self.to_dict(), indent=1))
        return partial.replace(path)


def tune(
    explainer: Explainer,
    examples: Examples,
    metric: Metric,
    *,
    postprocessor: PostProcessor | None = None,
    traits: Traits | None = None,
    n_trials: int = 20,
    timeout: float | None = None,
    sampler: str = "auto",
    tuning_fraction: float = 0.5,
    seed: int = 0,
    shared: SharedRuns | None = None,
    show_progress: bool = True,
) -> TuningResult:
    """Search the settings of an explainer and its post-processing for the best mean value of a metric.

    The defaults are tried first. The examples are split: what is searched on is not what the gain is measured on.

    Args:
        explainer: where the search starts; settings that are not searched stay as they are.
        examples: at least two.
        metric: what to be good at; it knows its direction.
        postprocessor: where the search of the post-processing starts.
        traits: facts about the data; strategies that do not suit it are not searched.
        n_trials: number of trials.
        timeout: stop after so many seconds.
        sampler: "tpe", "random", "brute_force", or "auto": brute force where the trials cover all configurations.
        tuning_fraction: share of the examples to search on.
        seed: fixes the split, the sampler and all draws.
        shared: masked runs to share with other searches.
        show_progress: show a bar with the best value so far.

    Raises:
        ArgumentError: a setting is out of range, nothing can be searched, or no settings worked (with the reason).
    """
    if isinstance(n_trials, bool) or not isinstance(n_trials, int) or n_trials < 1:
        raise ArgumentError(f"n_trials: expected a whole number >= 1, got {n_trials!r}")
    label = type(explainer).__name__
    post = postprocessor or (PostProcessor() if traits is None else PostProcessor.on(traits))
    start = Candidate(label, explainer, post)
    shared = SharedRuns() if shared is None else shared
    searched, held_out = examples.split(tuning_fraction, seed)
    objective = Objective(start, metric, searched, traits, seed, shared)
    count = size(explainer, traits) * size(post, traits)
    kind = _sampler_kind(sampler, count, n_trials)
    wanted = int(min(n_trials, count)) if kind == "brute_force" else n_trials
    with _quiet():
        study = optuna.create_study(direction="maximize" if metric.higher_is_better else "minimize")
        if contained(explainer, traits) and contained(post, traits):
            study.enqueue_trial(parameters(explainer, "explainer", traits) | parameters(post, "postprocessor", traits))
        _search(study, objective, kind, wanted, timeout, seed, show_progress, label)
    done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    refused = [t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    best, value = _best(study, objective, start, done)
    if best is None:
        reasons = {t.user_attrs.get("reason", "unknown") for t in refused}
        raise ArgumentError(
            f"tune: none of {len(study.trials)} settings of {label} worked: {'; '.join(sorted(reasons))}"
        )
    sign = 1.0 if metric.higher_is_better else -1.0
    after, before = (evaluate(c, metric, held_out, seed, shared).array() for c in (best, start))
    gain = bootstrap(sign * (after - before), seed=seed)
    return TuningResult(best, start, type(metric).__name__, value, gain, len(study.trials), len(refused), study)


def _search(
    study: optuna.Study, objective: Objective, kind: str, n_trials: int, timeout: float | None, seed: int, show: bool,
    label: str,
) -> None:  # fmt: skip
    with tqdm(total=n_trials, desc=label, unit="trial", disable=not show) as bar:

        def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            bar.update()
            with contextlib.suppress(ValueError):  # no trial has a value yet
                bar.set_postfix(best=f"{study.best_value:.3f}")

        # a sampler of its own for each trial: what a trial suggests depends on the seed, its number and the past alone
        for number in range(n_trials):
            if timeout is not None and bar.format_dict["elapsed"] > timeout:
                break
            study.sampler = _sampler(kind, seed * 100_003 + number)
            study.optimize(objective, n_trials=1, callbacks=[note])


def _best(
    study: optuna.Study, objective: Objective, start: Candidate, done: list[optuna.trial.FrozenTrial]
) -> tuple[Candidate | None, float]:
    """Return the best candidate; the start, where nothing is better."""
    found: list[tuple[float, Candidate]] = []
    value = mean_value(objective.cell(start))
    if value is not None:
        found.append((value, start))
    for trial in done:
        found.append((float(trial.values[0]), objective.candidate(optuna.trial.FixedTrial(trial.params))))  # type: ignore[arg-type]
    if not found:
        return None, float("nan")
    sign = 1.0 if objective.metric.higher_is_better else -1.0
    value, candidate = max(found, key=lambda pair: sign * pair[0])
    return candidate, value


_SAMPLERS = ("auto", "tpe", "random", "brute_force")


def _sampler_kind(name: str, count: float, n_trials: int) -> str:
    if name not in _SAMPLERS:
        raise ArgumentError(f"sampler: no sampler {name!r}{did_you_mean(name, _SAMPLERS)}")
    return ("brute_force" if count <= n_trials else "tpe") if name == "auto" else name


def _sampler(kind: str, seed: int) -> optuna.samplers.BaseSampler:
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if kind == "brute_force":
        return optuna.samplers.BruteForceSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log lines and warnings about experimental options to itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
