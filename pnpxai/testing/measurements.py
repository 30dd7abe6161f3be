"""Laws of metrics: one number per example or NaN with a reason, whoever makes the maps."""

from __future__ import annotations

import torch

from pnpxai.metrics.base import Metric
from pnpxai.testing.subject import Subject, close, require
from pnpxai.testing.zoo import Case

__all__ = ["check_facts", "check_given_maps", "check_reasons", "check_undefined_maps"]


def check_facts(metric: type[Metric]) -> None:
    """A metric says which direction is good, and what it asks of a map."""
    for fact in ("higher_is_better", "category"):
        require(hasattr(metric, fact), "facts", f"{metric.__name__}.{fact} is missing")
    require(isinstance(metric.higher_is_better, bool), "facts", f"{metric.__name__}.higher_is_better is no bool")


def check_reasons(subject: Subject, case: Case) -> None:
    """A number is finite, or NaN with a reason; ``evaluate`` gives the same numbers."""
    made: Metric = subject.make(case.model)
    found = made.measure(case.inputs, case.targets)
    require(len(found.reasons) == len(case), "reasons", f"{len(found.reasons)} for {len(case)} examples")
    for value, reason in zip(found.values, found.reasons, strict=True):
        explained = bool(torch.isnan(value)) and bool(reason) if reason is not None else bool(torch.isfinite(value))
        require(explained, "reasons", f"{float(value)} with reason {reason!r}")
    values = made.evaluate(case.inputs, case.targets)
    require(close((values,), (found.values,), 0.0), "reasons", "evaluate gives other numbers than measure")
    for name, curve in found.curves.items():
        require(curve.shape[0] == len(case), "reasons", f"curve {name!r} has shape {tuple(curve.shape)}")


def check_given_maps(subject: Subject, case: Case) -> None:
    """Maps that are given count as those that the explainer makes, and are not touched."""
    made: Metric = subject.make(case.model)
    maps = made.explained(made.arguments(case.inputs), case.targets)
    before = [m.clone() for m in (maps if isinstance(maps, tuple) else (maps,))]
    given = made.measure(case.inputs, case.targets, maps)
    own = made.measure(case.inputs, case.targets)
    require(
        close((given.values,), (own.values,), 1e-10), "given maps", "they get another number than the same maps made"
    )
    after = maps if isinstance(maps, tuple) else (maps,)
    require(close(tuple(after), tuple(before), 0.0), "given maps", "they were changed")


def check_undefined_maps(subject: Subject, case: Case) -> None:
    """A map that holds NaN gets NaN and a reason; the other examples' numbers stay."""
    made: Metric = subject.make(case.model)
    maps = made.explained(made.arguments(case.inputs), case.targets)
    spoiled = tuple(m.clone() for m in (maps if isinstance(maps, tuple) else (maps,)))
    spoiled[0][1].view(-1)[0] = float("nan")
    found = made.measure(case.inputs, case.targets, spoiled)
    whole = made.measure(case.inputs, case.targets, maps)
    require(found.reasons[1] is not None and torch.isnan(found.values[1]), "undefined maps", "NaN got a number")
    others = [k for k in range(len(case)) if k != 1]
    require(close((found.values[others],), (whole.values[others],), 1e-10), "undefined maps", "others' numbers changed")
