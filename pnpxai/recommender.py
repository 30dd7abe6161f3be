"""Which explainers fit, and which of them, tuned, explains best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pnpxai.detector import ModelFacts, detect
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.base import Explainer, fitting
from pnpxai.metrics.choose import MetricSpec, as_candidates, as_metric
from pnpxai.metrics.evaluation import evaluate_all
from pnpxai.registry import every
from pnpxai.statistics import Decision, DecisionRule, MeanRank
from pnpxai.traits import Traits
from pnpxai.tuning import Shared, TuningResult, tune

__all__ = ["Ranking", "Recommendation", "rank", "recommend"]


@dataclass(frozen=True)
class Recommendation:
    """Which explainers fit a model and data.

    Attributes:
        facts: what the model is made of.
        explainers: those that fit, by name.
        controls: maps that ignore the model, to compare with.
        reasons: why the others do not fit, by name.
    """

    facts: ModelFacts
    explainers: tuple[type[Explainer], ...]
    controls: tuple[type[Explainer], ...]
    reasons: dict[str, str]

    def __iter__(self) -> Any:
        return iter(self.explainers)

    def __len__(self) -> int:
        return len(self.explainers)

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer: whether it fits, why not."""
        fit = [(cls.__name__, "yes", "") for cls in self.explainers]
        return pd.DataFrame(
            [*fit, *((n, "no", r) for n, r in self.reasons.items())], columns=["explainer", "fits", "why not"]
        )

    def __str__(self) -> str:
        parts = ", ".join(sorted(self.facts.parts)) or "nothing that is known"
        return f"{self.facts.name} is made of {parts}\n{self.table().to_string(index=False, justify='left')}"


def recommend(
    model: Any,
    traits: Traits | None = None,
    explainers: Sequence[type[Explainer]] | None = None,
    inputs: Any = None,
) -> Recommendation:
    """Return which explainers fit, computed from what they state about themselves.

    Args:
        model: the model.
        traits: facts about the data.
        explainers: classes to consider; by default all that there are.
        inputs: a batch, whose first example is run, so that the facts are what was seen; see ``detect``.
    """
    answers = fitting(model, traits, list(explainers) if explainers is not None else every(Explainer), inputs)
    fit = [cls for cls, reason in answers.items() if reason is None]
    return Recommendation(
        detect(model, inputs),
        tuple(cls for cls in fit if not cls.control),
        tuple(cls for cls in fit if cls.control),
        {cls.__name__: reason for cls, reason in answers.items() if reason is not None},
    )


@dataclass(frozen=True)
class Ranking:
    """Tuned explainers, ranked on examples that they were not tuned on.

    Attributes:
        decision: the verdict.
        tuned: the tuning results by label.
        failed: explainers that could not be tuned, with the reason.
        rows_saved: forward rows that sharing masked runs saved.
    """

    decision: Decision
    tuned: dict[str, TuningResult]
    failed: dict[str, str]
    rows_saved: int

    @property
    def best(self) -> Any:
        """The best candidate, ready to use.

        Raises:
            ArgumentError: nothing does better than the controls.
        """
        if self.decision.best is None:
            raise ArgumentError(self.decision.sentence())
        return self.tuned[self.decision.best].best

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer, best first."""
        rows = []
        for label, interval in sorted(self.decision.mean_rank.items(), key=lambda item: item[1].mean):
            result = self.tuned.get(label)
            place = "best" if label == self.decision.best else "ties" if label in self.decision.set else ""
            rows.append(
                (
                    label,
                    str(interval),
                    place or self.decision.dropped.get(label, ""),
                    str(result.gain) if result else "",
                )
            )
        return pd.DataFrame(rows, columns=["explainer", "mean rank", "verdict", "gain over default"])

    def __str__(self) -> str:
        lines = [self.decision.sentence(), self.table().to_string(index=False, justify="left")]
        return "\n".join([*lines, *(f"{label} failed: {reason}" for label, reason in self.failed.items())])


def rank(
    model: Any,
    examples: Examples,
    traits: Traits,
    *,
    explainers: Sequence[Any] | None = None,
    metric: MetricSpec = "AbPC",
    deciding: Sequence[MetricSpec] = ("AbPC", "FaithfulnessCorrelation"),
    rule: DecisionRule | None = None,
    n_trials: int = 10,
    tuning_fraction: float = 0.5,
    seed: int = 0,
    common: dict[str, Any] | None = None,
    show_progress: bool = True,
) -> Ranking:
    """Tune each explainer that fits on one part of the examples, and rank them, with controls, on the other.

    Args:
        model: the model.
        examples: at least two.
        traits: facts about the data.
        explainers: what to consider; by default all that fit.
        metric: what each is tuned for.
        deciding: what the ranking goes by.
        rule: how it is decided.
        n_trials: trials for each explainer.
        tuning_fraction: share of the examples to tune on.
        seed: fixes the split, the samplers and all draws.
        common: settings that all explainers and metrics share (extractors, layer, channel_dim).
        show_progress: show progress bars.
    """
    fit = recommend(model, traits)
    chosen = as_candidates(list(explainers) if explainers is not None else list(fit.explainers), model, traits, common)
    shared = Shared()
    target = as_metric(metric, model, common)
    tuned: dict[str, TuningResult] = {}
    failed: dict[str, str] = {}
    for candidate in chosen:
        try:
            tuned[candidate.label] = tune(
                candidate.explainer, examples, target, postprocessor=candidate.postprocessor, traits=traits,
                n_trials=n_trials, tuning_fraction=tuning_fraction, seed=seed, shared=shared,
                show_progress=show_progress,
            )  # fmt: skip
        except ArgumentError as refusal:
            failed[candidate.label] = str(refusal)
    controls = as_candidates(list(fit.controls), model, traits, common)
    _, held_out = examples.split(tuning_fraction, seed)
    metrics = [as_metric(m, model, common) for m in deciding]
    rows = evaluate_all(
        [*(r.best for r in tuned.values()), *controls],
        metrics,
        held_out,
        seed=seed,
        shared=shared.runs,
        show_progress=show_progress,
    )
    values = {type(m).__name__: {r.candidate.label: r.cells[type(m).__name__].values for r in rows} for m in metrics}
    directions = {type(m).__name__: m.higher_is_better for m in metrics}
    decision = (rule or MeanRank()).decide(values, directions, [c.label for c in controls])
    return Ranking(decision, tuned, failed, shared.runs.rows_saved)
