"""``tune``: search settings on one part of the examples, and measure the gain on the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from torch import Tensor

from pnpxai.declare.counts import whole_number
from pnpxai.declare.marks import Settings
from pnpxai.declare.registry import qualified_name
from pnpxai.engine.running.keys import content_key, model_key, settings_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import EvidenceMasks, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import MetricSpec
from pnpxai.model_types import Model
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import flat
from pnpxai.traits import Traits
from pnpxai.tuning.result import TuningResult
from pnpxai.tuning.search.best_settings import result_of
from pnpxai.tuning.search.plan import SearchPlan, quiet
from pnpxai.tuning.search.samplers import SamplerSpec, Sampling
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.storage.optuna_private import Callback
from pnpxai.tuning.storage.storages import StorageSpec
from pnpxai.tuning.trials.judging import Judge
from pnpxai.tuning.trials.requirements import Limit, Limits, has_masks, judges_of, limits_of, with_masks
from pnpxai.tuning.trials.shared_runs import Shared

__all__ = ["planned_search", "tune"]


def tune(
    explainer: Explainer | Candidate | Sequence[Explainer | Candidate],
    examples: Examples,
    metric: MetricSpec | Sequence[MetricSpec],
    *,
    limits: Limits | None = None,
    masks: EvidenceMasks = None,
    postprocessor: PostProcessor | None = None,
    traits: Traits | None = None,
    common: Settings | None = None,
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
            better than in all of them; the best is then the one of them that is best in the first metric. One metric
            with several settings is several: what differs stands in their names. What explaining one example costs
            counts as a metric: "seconds" (run time, nothing shared) and "rows" (through the model).
        limits: what the best must keep within, such as ``{"Sensitivity": 0.5, "seconds": 1.0}``: for a metric or a cost
            the worst mean value that is taken.
        masks: what is known to matter in each example, for metrics that compare with it: (examples, *positions) truth
            values; a tuple with one (or None) for each input where there are several.
        postprocessor: where the search of the post-processing starts.
        traits: facts about the data; strategies that do not suit it are not searched.
        common: settings for metrics that are given by name, beside the axis of channels, from ``traits``.
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
            another run, no settings worked (with the reasons), or none keeps within the limits.
        MissingExtraError: the storage's driver is not installed.
    """
    starts = _starts(explainer, postprocessor, traits)
    model = starts[0].explainer.model
    common = common if traits is None else traits.shared(common)
    masked = has_masks(examples, masks)
    judges = judges_of(metric, model, common, examples, traits, masked=masked)
    bounds = limits_of(limits, model, common, examples, traits, masked=masked, judges=judges)
    examples = with_masks(examples, masks, [*judges, *(bound.judge for bound in bounds)], starts[0].explainer)
    workers, n_seeds = whole_number("workers", workers), whole_number("n_seeds", n_seeds, 0)
    n_trials, seed = _trials(n_trials, timeout), whole_number("seed", seed, 0)
    part, held_out = examples.split(tuning_fraction, seed)
    shared = Shared() if shared is None else shared
    space = Space(starts, traits)
    label = starts[0].label if len(starts) == 1 else f"{len(starts)} explainers"
    plan = planned_search(
        space, judges, part, sampler=sampler, n_trials=n_trials, timeout=timeout, seed=seed, storage=storage,
        name=study_name or f"{label}, {', '.join(judge.name for judge in judges)}", prune=prune, limits=bounds,
    )  # fmt: skip
    with quiet():
        study, objective = plan.run(shared, workers=workers, callbacks=callbacks, show_progress=show_progress)
        return result_of(study, objective, held_out, n_seeds)


def planned_search(
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
    limits: tuple[Limit, ...] = (),
) -> SearchPlan:
    """Return a search that is ready to run, its arguments checked.

    Raises:
        ArgumentError: there is nothing to search, or nothing to search it with.
    """
    if space.size() < 2:
        labels = ", ".join(start.label for start in space.starts)
        raise ArgumentError(f"explainer: {labels} has no settings to search on such data")
    sampling = Sampling.of(sampler, space, n_trials, seed, len(judges))
    model = space.starts[0].explainer.model
    identity = {
        "what is searched": space.key(),
        "model": _model_key(model),
        "examples": _examples_key(examples),
        "metric": {j.name: [repr(m) for m in j.metrics] for j in judges},
        "limits": {str(limit): [repr(m) for m in limit.judge.metrics] for limit in limits},
        "seed": seed,
    }
    deadline = None if timeout is None else time.time() + timeout
    return SearchPlan(
        space, judges, examples, sampling, identity, n_trials, deadline, seed, storage, name, prune, limits=limits
    )


def _starts(
    explainer: Explainer | Candidate | Sequence[Explainer | Candidate],
    postprocessor: PostProcessor | None,
    traits: Traits | None,
) -> tuple[Candidate, ...]:
    members = list(explainer) if isinstance(explainer, Iterable) else [explainer]
    if not isinstance(traits, Traits | None):
        raise ArgumentError(f"traits: expected Traits such as Traits.image(), got {traits!r}")
    if not isinstance(postprocessor, PostProcessor | None):
        raise ArgumentError(f"postprocessor: expected a PostProcessor, got {postprocessor!r}")
    post = postprocessor or (PostProcessor() if traits is None else PostProcessor.on(traits))
    for member in members:
        if not isinstance(member, (Explainer, Candidate)):
            raise ArgumentError(f"explainer: expected a configured explainer such as SmoothGrad(model), got {member!r}")
    if not members:
        raise ArgumentError("explainer: expected at least one, got none")
    return tuple(
        member if isinstance(member, Candidate) else Candidate(type(member).__name__, member, post)
        for member in members
    )


def _trials(n_trials: int | None, timeout: float | None) -> int | None:
    """Return how many trials a search has at most, None for any; by default 20, unless there is a time."""
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise ArgumentError(f"timeout: expected a number of seconds > 0, got {timeout!r}")
    if n_trials is None:
        return 20 if timeout is None else None
    return whole_number("n_trials", n_trials)


def _examples_key(examples: Examples) -> str:
    masks = [mask for batch in examples for mask in flat(batch.masks)]
    known = {"masks": [content_key(mask) for mask in masks]} if masks else {}
    return settings_key({"keys": list(examples.keys), "targets": [_target_name(b.targets) for b in examples]} | known)


def _target_name(targets: object) -> str:
    return qualified_name(targets) if callable(targets) and not isinstance(targets, Tensor) else str(targets)


def _model_key(model: Model) -> str:
    try:
        return model_key(model)
    except ArgumentError:  # a function, whose state cannot be seen
        return getattr(model, "__qualname__", type(model).__name__)
