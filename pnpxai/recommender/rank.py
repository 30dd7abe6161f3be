"""Filter by facts, tune under one budget, decide on examples that nothing was tuned on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.choose import ExplainerSpec, MetricSpec, as_candidates, as_metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.recommender.fit import recommend
from pnpxai.recommender.ranking import Ranking
from pnpxai.statistics import DecisionRule, MeanRank, bootstrap
from pnpxai.traits import Traits
from pnpxai.tuning import Budget, Judge, Judges, Shared, StorageSpec, panel, race

__all__ = ["rank"]

_RANDOM_MAPS = 3


def rank(
    model: Any,
    examples: Examples,
    traits: Traits,
    *,
    explainers: Sequence[ExplainerSpec] | None = None,
    metric: MetricSpec | None = None,
    deciding: Sequence[MetricSpec] = ("AbPC", "FaithfulnessCorrelation"),
    rule: DecisionRule | None = None,
    budget: str | int | Budget | None = None,
    n_trials: int = 10,
    tuning_fraction: float = 0.5,
    seed: int = 0,
    common: dict[str, Any] | None = None,
    storage: StorageSpec = None,
    show_progress: bool = True,
) -> Ranking:
    """Tune each explainer that fits on one part of the examples, and rank them, with controls, on the other.

    While tuning, a candidate's value on an example is its mean percentile, over the deciding metrics, among random maps
    and all explainers' defaults: unlike a rank, it does not move as others are tuned. Those that are clearly worse are
    given up early. The verdict is made by ``rule`` on the other part: one explainer, or the set that cannot be told
    from the best, among those that beat maps that ignore the model.

    Args:
        model: the model.
        examples: at least two.
        traits: facts about the data.
        explainers: what to consider; by default all that fit.
        metric: tune for this metric alone instead.
        deciding: the metrics that the ranking goes by.
        rule: how it is decided; by default ``MeanRank`` over the deciding metrics.
        budget: what tuning may cost in all: ``"5min"``, ``"20000 rows"``, ``"300 trials"``.
        n_trials: without a budget, trials for each explainer, on average.
        tuning_fraction: share of the examples to tune on.
        seed: fixes the split, the samplers and all draws.
        common: settings that all explainers and metrics share (extractors, layer, channel_dim).
        storage: where trials are kept, so that the same call goes on where it stopped; see ``tune``.
        show_progress: show a progress bar.

    Raises:
        ArgumentError: nothing fits, nothing could be tuned (with the reasons), or a setting is out of range.
    """
    start = time.monotonic()
    fit = recommend(model, traits)
    specs = list(fit.explainers) if explainers is None else list(explainers)
    if not specs:
        raise ArgumentError(f"explainers: none fits {fit.facts.name}: {_listed(fit.reasons)}")
    candidates = as_candidates(specs, model, traits, common)
    controls = as_candidates(list(fit.controls), model, traits, common)
    metrics = [as_metric(m, model, common) for m in deciding]
    if not metrics:
        raise ArgumentError("deciding: expected at least one metric, got none")
    shared = Shared()
    wanted = Budget.of(n_trials * len(candidates) if budget is None else budget)
    if metric is None:
        judge = panel(metrics, _fixed(candidates, controls), examples, seed, shared)
    else:
        judge = Judge.of(as_metric(metric, model, common))
    found = race(
        candidates, judge, examples, budget=wanted, traits=traits, tuning_fraction=tuning_fraction, seed=seed,
        shared=shared, storage=storage, show_progress=show_progress,
    )  # fmt: skip
    if not found.tuned:
        raise ArgumentError(f"explainers: none could be tuned: {_listed(found.failed)}")
    _, held_out = examples.split(tuning_fraction, seed)
    names = [type(m).__name__ for m in metrics]
    judges = Judges([Judge.of(m) for m in metrics], seed, shared)
    compared = [*(result.best for result in found.tuned.values()), *controls]
    measured = {candidate.label: judges.measured(candidate, held_out) for candidate in compared}
    values = {name: {label: cells[name].values for label, cells in measured.items()} for name in names}
    directions = {type(m).__name__: m.higher_is_better for m in metrics}
    rule = MeanRank(metrics=tuple(names)) if rule is None else rule
    return Ranking(
        decision=rule.decide(values, directions, [c.label for c in controls]),
        tuned=found.tuned,
        means={name: {label: bootstrap(own, seed=seed) for label, own in values[name].items()} for name in names},
        failed=found.failed,
        dropped=found.dropped,
        rejected=fit.reasons if explainers is None else {},
        rows=shared.count,
        seconds=time.monotonic() - start,
        trials=found.trials,
    )


def _fixed(candidates: Sequence[Candidate], controls: Sequence[Candidate]) -> list[tuple[Candidate, int]]:
    """Return what tuned candidates are held against: all defaults, and random maps several times."""
    drawn = [(c, k) for c in controls if c.explainer.stochastic for k in range(_RANDOM_MAPS)]
    return [*((candidate, 0) for candidate in candidates), *drawn]


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{label}: {reason}" for label, reason in reasons.items()) or "there are no explainers"
