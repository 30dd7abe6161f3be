"""Which metrics, costs and limits a search is asked for, checked; and the masks that some metrics need."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pnpxai.declare.marks import Settings
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.examples import EvidenceMasks, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.faithfulness.scales import ROWS, suited_to_data
from pnpxai.metrics.positions import position_masks
from pnpxai.metrics.selection import MetricSpec, as_metrics, several
from pnpxai.model_types import Model
from pnpxai.traits import Traits
from pnpxai.tuning.trials.judging import COSTS, Judge

__all__ = ["Limit", "Limits", "judges_of", "has_masks", "limits_of", "with_masks"]

Limits: TypeAlias = Mapping[MetricSpec, float]
"""For a metric or a cost the worst mean value that is taken: the most, or of what should be high the least."""


@dataclass(frozen=True)
class Limit:
    """What settings must keep within.

    Attributes:
        judge: says how good or costly they are.
        bound: the worst mean value that is taken.
    """

    judge: Judge
    bound: float

    def excess(self, value: float | None) -> float:
        """Return how far outside a mean value is, in parts of the bound; at most 0 within. Unknown is outside."""
        if value is None:
            return 1.0
        over = self.bound - value if self.judge.higher_is_better else value - self.bound
        return over / abs(self.bound) if self.bound else over

    def __str__(self) -> str:
        return f"{self.judge.name} at {'least' if self.judge.higher_is_better else 'most'} {self.bound:g}"


def judges_of(
    metric: MetricSpec | Sequence[MetricSpec],
    model: Model,
    common: Settings | None,
    examples: Examples,
    traits: Traits | None,
    *,
    masked: bool,
    name: str = "metric",
) -> tuple[Judge, ...]:
    """Return a judge for each metric or cost, given alone or as several; it is called and it measures as a comparison.

    Args:
        metric: names, classes or configured objects; "seconds", "rows".
        model: the model.
        common: settings that metrics share.
        examples: what the rows of a table are drawn from; see ``suited_to_data``.
        traits: facts about the data; without them no rows are drawn.
        masked: whether it is known what matters in the examples.
        name: what the argument is called in errors.

    Raises:
        ArgumentError: nothing is called so, none is given or one twice with the same settings, or it needs masks.
    """
    specs = several(metric)
    if not specs:
        raise ArgumentError(f"{name}: expected at least one metric, got none")
    judges = _judges(specs, model, common, examples, traits, name)
    _check_masks(judges, name, masked)
    metrics = [metric for judge in judges for metric in judge.metrics]
    if metrics and all(metric.category == "complexity" for metric in metrics):
        names = ", ".join(type(metric).__name__ for metric in metrics)
        warnings.warn(
            f"{name}: {names} says nothing of truth: a single wrong position is perfect. Search by a metric of "
            "faithfulness such as 'AbPC', and give a bound of complexity by limits=",
            stacklevel=2,
        )
    return judges


def limits_of(
    limits: Limits | None,
    model: Model,
    common: Settings | None,
    examples: Examples,
    traits: Traits | None,
    *,
    masked: bool,
    judges: Sequence[Judge] = (),
) -> tuple[Limit, ...]:
    """Return limits, checked; see ``judges_of``.

    Args:
        limits: what is limited, and to what.
        model: the model.
        common: settings that metrics share.
        examples: what the rows of a table are drawn from.
        traits: facts about the data.
        masked: whether it is known what matters in the examples.
        judges: what is searched for; a limit on one of these is on the same values.

    Raises:
        ArgumentError: nothing is called so, a bound is no finite number, or masks are needed.
    """
    if not isinstance(limits, Mapping | None):
        raise ArgumentError(
            f"limits: expected a mapping such as {{'Sensitivity': 0.5, 'seconds': 1.0}}, got {limits!r}"
        )
    judge_of: dict[object, Judge] = {judge.name: judge for judge in judges}
    others = [spec for spec in limits or {} if not (isinstance(spec, str) and spec in judge_of)]
    other_judges = _judges(others, model, common, examples, traits, "limits")
    judge_of |= {spec: _searched(judge, judges) for spec, judge in zip(others, other_judges, strict=True)}
    checked = []
    for spec, bound in (limits or {}).items():
        judge = judge_of[spec]
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound):
            raise ArgumentError(f"limits: {judge.name}: expected a number, got {bound!r}")
        checked.append(Limit(judge, float(bound)))
    _check_masks([limit.judge for limit in checked], "limits", masked)
    return tuple(checked)


def has_masks(examples: Examples, masks: EvidenceMasks) -> bool:
    """Tell whether masks say what matters in each example: the argument ``masks``, or masks that the examples hold.

    Raises:
        ArgumentError: these are no examples.
    """
    if not isinstance(examples, Examples):
        raise ArgumentError(
            f"examples: expected Examples, got {type(examples).__name__}; Examples.of([(inputs, targets, None)]) makes "
            "them of a batch, and auto_explain(model, data) of any data"
        )
    return masks is not None or all(batch.masks is not None for batch in examples)


def with_masks(examples: Examples, masks: EvidenceMasks, judges: Sequence[Judge], explainer: Explainer) -> Examples:
    """Return the examples that have a target, with masks of what matters, checked if a judge uses them.

    Raises:
        ArgumentError: masks do not fit the examples.
    """
    masked = examples if masks is None else examples.with_masks(masks)
    metrics = [metric for judge in judges for metric in judge.metrics if metric.needs_masks]
    for metric in metrics:
        for batch in masked:
            explained = metric.replace(explainer=explainer).arguments(batch.inputs).explained
            position_masks(batch.masks, explained, metric.channel_dim, "masks")
    return masked.with_targets


def _judges(
    specs: Sequence[MetricSpec],
    model: Model,
    common: Settings | None,
    examples: Examples,
    traits: Traits | None,
    name: str,
) -> tuple[Judge, ...]:
    costs = [spec for spec in specs if isinstance(spec, str) and spec in COSTS]
    others = [spec for spec in specs if spec not in costs]
    for spec in others:
        hint = did_you_mean(spec, COSTS) if isinstance(spec, str) else ""
        if "did you mean" in hint:
            raise ArgumentError(f"metric: no metric or cost {spec!r}{hint}")
    if len(set(costs)) < len(costs):
        raise ArgumentError(f"{name}: expected different ones, got {', '.join(costs)}")
    by_label = as_metrics(others, model, common, name)
    if traits is not None and len(examples):
        by_label = suited_to_data(by_label, examples.first(ROWS), traits)
    metrics = iter([Judge.of(metric, label) for label, metric in by_label.items()])
    return tuple(Judge(spec) if isinstance(spec, str) and spec in costs else next(metrics) for spec in specs)


def _searched(limited: Judge, judges: Sequence[Judge]) -> Judge:
    """Return what is searched for, where that is what is limited; refuse to limit it under other settings."""
    for metric in limited.metrics:
        alike = [judge for judge in judges if any(type(one) is type(metric) for one in judge.metrics)]
        for judge in alike:
            if metric in judge.metrics:
                return judge
        if alike:
            names = " or ".join(repr(judge.name) for judge in alike)
            raise ArgumentError(
                f"limits: {type(metric).__name__} is searched for with other settings; limit it by its name, {names}"
            )
    return limited


def _check_masks(judges: Sequence[Judge], name: str, masked: bool) -> None:
    for judge in judges:
        if not masked and any(metric.needs_masks for metric in judge.metrics):
            raise ArgumentError(
                f"{name}: {judge.name} compares with what is known to matter in each example: give masks="
            )
