"""Filter by facts, tune under one budget, decide on examples that nothing was tuned on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from pydantic import BeforeValidator

from pnpxai.declare.declared import Declared
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import as_candidates
from pnpxai.model_types import Model
from pnpxai.recommender.fit import ModalitySpec, by_facts, classes_of, needed_traits, recommend, traits_of
from pnpxai.recommender.ranking import Ranking
from pnpxai.recommender.recommendation import Recommendation
from pnpxai.statistics import DecisionRule, bootstrap, default_rule
from pnpxai.traits import Traits
from pnpxai.tuning import (
    Budget,
    Judge,
    Judges,
    Shared,
    StorageSpec,
    has_masks,
    judges_of,
    limits_of,
    panel,
    race,
    with_masks,
)

__all__ = ["Recommender", "XaiRecommender", "rank"]

_RANDOM_MAPS = 3
_Several = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class Recommender(Declared, keyword_only=True):
    """Says which explainers fit a model and data (``recommend``), and which of them, tuned, ranks first (``rank``).

    ``rank`` tunes each explainer on one part of the examples, and ranks them, with controls, on the other. While
    tuning, a candidate's value on an example is its mean percentile, over the deciding metrics, among random maps and
    all explainers' defaults: unlike a rank, it does not move as others are tuned. Those that are clearly worse are
    given up early. The verdict is made by ``rule`` on the other part: one explainer, or the set that cannot be told
    from the best, among those that beat maps that ignore the model.
    """

    explainers: Annotated[tuple[Any, ...] | None, _Several] = None
    """What to consider: names, classes or configured explainers; by default all that there are. Those that are named
    are ranked whether or not they state that they fit."""
    metric: Any = None
    """Tune for this metric alone instead of the percentile."""
    deciding: Annotated[tuple[Any, ...], _Several] = ("MultiScaleCorrelation",)
    """The metrics that the ranking goes by; one metric may come with several settings."""
    limits: Mapping[Any, float] | None = None
    """What the tuned explainers must keep within, such as ``{"Sensitivity": 0.5, "seconds": 1.0}``; see ``tune``."""
    rule: DecisionRule | None = None
    """How it is decided; by default ``WithPrior`` on ``MultiScaleCorrelation``, ``MeanRank`` over other metrics."""
    budget: str | int | Budget | None = None
    """What tuning may cost in all: ``"5min"``, ``"20000 rows"``, ``"300 trials"``; every default is tried in any case.
    By default ``n_trials`` for each explainer."""
    n_trials: Annotated[int, Ge(1)] = 10
    """Without a budget, trials for each explainer, on average."""
    tuning_fraction: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the examples to tune on."""
    seed: int = 0
    """Fixes the split, the samplers and all draws."""

    def check(self) -> None:
        """Refuse what is no budget."""
        if self.budget is not None:
            Budget.of(self.budget)

    def recommend(self, modality: ModalitySpec, model: Model, inputs: object = None) -> Recommendation:
        """Return which explainers fit, and why the others do not.

        Args:
            modality: what the data is: a ``Modality``, its name, ``Traits``, or a tuple with one for each input.
            model: the model.
            inputs: a batch, whose first example is explained, so that what fits is what was seen.

        Raises:
            ArgumentError: there is no such modality or explainer.
        """
        return recommend(model, traits_of(modality), classes_of(self.explainers), inputs)

    def rank(
        self,
        modality: ModalitySpec,
        model: Model,
        examples: Examples,
        *,
        common: dict[str, object] | None = None,
        masks: object = None,
        storage: StorageSpec = None,
        show_progress: bool = True,
    ) -> Ranking:
        """Tune each explainer on one part of the examples, and rank them, with controls, on the other.

        Args:
            modality: what the data is, as for ``recommend``.
            model: the model.
            examples: at least two.
            common: settings that all explainers and metrics share (extractors, layer, channel_dim).
            masks: what is known to matter in each example, for metrics that compare with it; see ``tune``.
            storage: where trials are kept, so that the same call goes on where it stopped; see ``tune``.
            show_progress: show a progress bar.

        Raises:
            ArgumentError: nothing fits, nothing could be tuned (with the reasons), or a setting is out of range.
        """
        start = time.monotonic()
        masked = has_masks(examples, masks)
        traits = needed_traits(modality)
        common = traits.shared(common)
        fit = by_facts(model, traits)
        specs = list(fit.explainers) if self.explainers is None else list(self.explainers)
        if not specs:
            raise ArgumentError(f"explainers: none fits {fit.facts.name}: {_listed(fit.reasons)}")
        candidates = as_candidates(specs, model, traits, common)
        controls = as_candidates(list(fit.controls), model, traits, common)
        deciding = judges_of(self.deciding, model, common, examples, traits, masked=masked, name="deciding")
        metrics = [metric for judge in deciding for metric in judge.metrics]
        if len(metrics) < len(deciding):
            raise ArgumentError("deciding: expected metrics; what explaining costs can be limited: limits=")
        wanted: tuple[Judge, ...] = ()
        if self.metric is not None:
            wanted = judges_of(self.metric, model, common, examples, traits, masked=masked)
        if len(wanted) > 1:
            raise ArgumentError(f"metric: expected one, got {len(wanted)}")
        limits = limits_of(self.limits, model, common, examples, traits, masked=masked, judges=wanted or deciding)
        judged_by = [*deciding, *wanted, *(limit.judge for limit in limits)]
        examples = with_masks(examples, masks, judged_by, candidates[0].explainer)
        shared = Shared()
        judge = wanted[0] if wanted else panel(metrics, _fixed(candidates, controls), examples, self.seed, shared)
        raced = race(
            candidates, judge, examples, budget=Budget.of(self.budget or self.n_trials * len(candidates)),
            traits=traits, tuning_fraction=self.tuning_fraction, seed=self.seed, shared=shared, storage=storage,
            show_progress=show_progress, limits=limits,
        )  # fmt: skip
        if not raced.tuned:
            raise ArgumentError(f"explainers: none could be tuned: {_listed(raced.failed)}")
        _, held_out = examples.split(self.tuning_fraction, self.seed)
        judges = Judges(deciding, self.seed, shared)
        compared = [*(result.best for result in raced.tuned.values()), *controls]
        measured = {candidate.label: judges.on(candidate, held_out) for candidate in compared}
        directions = {judge.name: judge.higher_is_better for judge in deciding}
        values = {n: {of: cells[k].values for of, cells in measured.items()} for k, n in enumerate(directions)}
        rule = default_rule(traits, tuple(directions)) if self.rule is None else self.rule
        return Ranking(
            decision=rule.decide(values, directions, [c.label for c in controls]),
            tuned=raced.tuned,
            means={n: {label: bootstrap(own, seed=self.seed) for label, own in values[n].items()} for n in directions},
            failed=raced.failed,
            dropped=raced.dropped,
            rejected=fit.reasons if self.explainers is None else {},
            rows=shared.count,
            seconds=time.monotonic() - start,
            trials=raced.trials,
        )


XaiRecommender = Recommender
"""The name in PnPXAI 0.1."""


def rank(
    model: Model,
    examples: Examples,
    traits: Traits,
    *,
    common: dict[str, object] | None = None,
    masks: object = None,
    storage: StorageSpec = None,
    show_progress: bool = True,
    **settings: Any,
) -> Ranking:
    """Return ``Recommender(**settings).rank(traits, model, examples, ...)``.

    Args:
        model: the model.
        examples: at least two.
        traits: facts about the data.
        common: settings that all explainers and metrics share.
        masks: what is known to matter in each example.
        storage: where trials are kept.
        show_progress: show a progress bar.
        **settings: ``explainers``, ``metric``, ``deciding``, ``limits``, ``rule``, ``budget``, ``n_trials``,
            ``tuning_fraction``, ``seed``; see ``Recommender``.

    Raises:
        ArgumentError: see ``Recommender.rank``.
    """
    return Recommender(**settings).rank(
        traits, model, examples, common=common, masks=masks, storage=storage, show_progress=show_progress
    )


def _fixed(candidates: Sequence[Candidate], controls: Sequence[Candidate]) -> list[tuple[Candidate, int]]:
    """Return what tuned candidates are held against: all defaults, and random maps several times."""
    drawn = [(c, k) for c in controls if c.explainer.stochastic for k in range(_RANDOM_MAPS)]
    return [*((candidate, 0) for candidate in candidates), *drawn]


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{label}: {reason}" for label, reason in reasons.items()) or "there are no explainers"
