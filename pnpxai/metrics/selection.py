"""Metrics and candidates as a user names them: by name, by class, or as configured objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeVar

from pnpxai.declare.encoding import labels
from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.model_types import Model
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits

__all__ = ["ExplainerSpec", "MetricSpec", "as_candidates", "as_explainer", "as_metric", "as_metrics", "several"]


class Tuned(Protocol):
    """A result that has a best candidate, such as a tuning result."""

    @property
    def best(self) -> Candidate:
        """The candidate that did best."""
        ...


ExplainerSpec: TypeAlias = str | type[Explainer] | Explainer | Candidate | Tuned
"""A name, a class, a configured explainer, a candidate, or anything with a candidate as ``best`` (a tuning result)."""
D = TypeVar("D", Explainer, Metric)
MetricSpec: TypeAlias = str | type[Metric] | Metric


def as_explainer(spec: ExplainerSpec, model: Model, common: dict[str, object] | None = None) -> Explainer:
    """Return the explainer that ``spec`` names, on a model; settings in ``common`` that it does not have are left out.

    Raises:
        ArgumentError: nothing is called so, or it is no explainer.
    """
    return _built(Explainer, spec, model, common)


def as_metric(spec: MetricSpec, model: Model, common: dict[str, object] | None = None) -> Metric:
    """Return the metric that ``spec`` names, on a model; settings in ``common`` that it does not have are left out.

    Raises:
        ArgumentError: nothing is called so, or it is no metric.
    """
    return _built(Metric, spec, model, common)


def as_metrics(
    specs: Sequence[MetricSpec], model: Model, common: dict[str, object] | None = None, name: str = "metrics"
) -> dict[str, Metric]:
    """Return metrics by labels: the class's name, with the settings that differ where it comes again.

    Raises:
        ArgumentError: a spec names nothing, or the same metric is given twice (said of the argument ``name``).
    """
    metrics = [as_metric(spec, model, common) for spec in several(specs)]
    return dict(zip(_unique(labels(metrics), name), metrics, strict=True))


def several(specs: object) -> Sequence[Any]:
    """Return a list of what is given one by one or as a list."""
    return specs if isinstance(specs, (list, tuple)) else [specs]


def _built(base: type[D], spec: object, model: Model, common: dict[str, object] | None) -> D:
    if isinstance(spec, base):
        return spec
    kind = base.__name__.lower()
    cls = by_name(base, spec, kind) if isinstance(spec, str) else spec
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ArgumentError(f"{kind}: expected a name, a class or a configured object, got {spec!r}")
    return cls(model, **{name: value for name, value in (common or {}).items() if name in cls.defaults()})  # type: ignore[call-arg]


def as_candidates(
    specs: Sequence[ExplainerSpec], model: Model, traits: Traits, common: dict[str, object] | None = None
) -> list[Candidate]:
    """Return candidates with unique labels: the class's name, with the settings that differ where it comes again.

    Raises:
        ArgumentError: a spec names nothing, or the same explainer is given twice.
    """
    candidates = [_candidate(spec, model, traits, common) for spec in several(specs)]
    own = [candidate.label for candidate in candidates]
    with_settings = labels([candidate.explainer for candidate in candidates])
    pairs = zip(own, with_settings, strict=True)
    unique = _unique([full if own.count(short) > 1 else short for short, full in pairs], "explainers")
    return [replace(candidate, label=label) for candidate, label in zip(candidates, unique, strict=True)]


def _unique(names: list[str], what: str) -> list[str]:
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None:
        raise ArgumentError(f"{what}: {again} is given twice with the same settings")
    return names


def _candidate(spec: ExplainerSpec, model: Model, traits: Traits, common: dict[str, object] | None) -> Candidate:
    if isinstance(spec, Candidate):
        return spec
    best = getattr(spec, "best", None)
    if isinstance(best, Candidate):
        return replace(best, label=f"{best.label} (tuned)")
    explainer = as_explainer(spec, model, traits.shared(common))
    return Candidate(type(explainer).__name__, explainer, PostProcessor.on(traits))
