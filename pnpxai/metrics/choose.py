"""Metrics and candidates as a user names them: by name, by class, or as configured objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.registry import by_name
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits

__all__ = ["ExplainerSpec", "MetricSpec", "as_candidates", "as_explainer", "as_metric"]

ExplainerSpec: TypeAlias = str | type[Explainer] | Explainer | Candidate | Any
"""A name, a class, a configured explainer, a candidate, or anything with a candidate as ``best`` (a tuning result)."""
D = TypeVar("D", Explainer, Metric)
MetricSpec: TypeAlias = str | type[Metric] | Metric


def as_explainer(spec: ExplainerSpec, model: Any, common: dict[str, Any] | None = None) -> Explainer:
    """Return the explainer that ``spec`` names, on a model; settings in ``common`` that it does not have are left out.

    Raises:
        ArgumentError: nothing is called so, or it is no explainer.
    """
    return _built(Explainer, spec, model, common)


def as_metric(spec: MetricSpec, model: Any, common: dict[str, Any] | None = None) -> Metric:
    """Return the metric that ``spec`` names, on a model; settings in ``common`` that it does not have are left out.

    Raises:
        ArgumentError: nothing is called so, or it is no metric.
    """
    return _built(Metric, spec, model, common)


def _built(base: type[D], spec: Any, model: Any, common: dict[str, Any] | None) -> D:
    if isinstance(spec, base):
        return spec
    kind = base.__name__.lower()
    cls = by_name(base, spec, kind) if isinstance(spec, str) else spec
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ArgumentError(f"{kind}: expected a name, a class or a configured object, got {spec!r}")
    return cls(model, **{name: value for name, value in (common or {}).items() if name in cls.defaults()})  # type: ignore[call-arg]


def as_candidates(
    specs: Sequence[ExplainerSpec], model: Any, traits: Traits, common: dict[str, Any] | None = None
) -> list[Candidate]:
    """Return candidates with unique labels: the class's name, and the changed settings where it occurs again.

    Raises:
        ArgumentError: a spec names nothing, or the same explainer is given twice.
    """
    found = [_candidate(spec, model, traits, common) for spec in specs]
    counts: dict[str, int] = {}
    for candidate in found:
        counts[candidate.label] = counts.get(candidate.label, 0) + 1
    labelled = [
        c if counts[c.label] == 1 else Candidate(repr(c.explainer), c.explainer, c.postprocessor) for c in found
    ]
    labels = [c.label for c in labelled]
    again = next((label for label in labels if labels.count(label) > 1), None)
    if again is not None:
        raise ArgumentError(f"explainers: {again} is given twice with the same settings")
    return labelled


def _candidate(spec: ExplainerSpec, model: Any, traits: Traits, common: dict[str, Any] | None) -> Candidate:
    if isinstance(spec, Candidate):
        return spec
    found = getattr(spec, "best", None)
    if isinstance(found, Candidate):
        return Candidate(f"{found.label} (tuned)", found.explainer, found.postprocessor)
    explainer = as_explainer(spec, model, common)
    return Candidate(type(explainer).__name__, explainer, PostProcessor.on(traits))
