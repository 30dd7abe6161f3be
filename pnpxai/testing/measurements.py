"""Laws of metrics: one number per example or NaN with a reason, whoever makes the maps."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.errors import UnsuitableError
from pnpxai.metrics.base import Measurement, Metric
from pnpxai.model_types import Attributions
from pnpxai.testing.subject import Subject, bright_positions, close, require
from pnpxai.testing.zoo import Case

__all__ = [
    "check_facts",
    "check_flat_maps",
    "check_function_target",
    "check_given_maps",
    "check_precisions",
    "check_reasons",
    "check_undefined_maps",
]


def check_facts(metric: type[Metric]) -> None:
    """A metric says which direction is good, and what it asks of a map."""
    for fact in ("higher_is_better", "category"):
        require(hasattr(metric, fact), "facts", f"{metric.__name__}.{fact} is missing")
    require(isinstance(metric.higher_is_better, bool), "facts", f"{metric.__name__}.higher_is_better is no bool")


def check_reasons(subject: Subject, case: Case) -> None:
    """A number is finite, or NaN with a reason; ``evaluate`` gives the same numbers."""
    made: Metric = subject.make(case.model)
    measurement = _measured(made, case)
    _require_reasons("reasons", measurement, case)
    values = made.evaluate(case.inputs, case.targets, masks=bright_positions(made, case.inputs))
    require(close((values,), (measurement.values,), 0.0), "reasons", "evaluate gives other numbers than measure")
    for name, curve in measurement.curves.items():
        require(curve.shape[0] == len(case), "reasons", f"curve {name!r} has shape {tuple(curve.shape)}")


def check_given_maps(subject: Subject, case: Case) -> None:
    """Maps that are given count as those that the explainer makes, and are not touched."""
    made: Metric = subject.make(case.model)
    maps = _maps(made, case)
    before = [m.clone() for m in maps]
    given, own = _measured(made, case, maps), _measured(made, case)
    require(
        close((given.values,), (own.values,), 1e-10), "given maps", "they get another number than the same maps made"
    )
    require(close(maps, tuple(before), 0.0), "given maps", "they were changed")


def check_undefined_maps(subject: Subject, case: Case) -> None:
    """A map that holds NaN gets NaN and a reason; the other examples' numbers stay."""
    made: Metric = subject.make(case.model)
    maps = _maps(made, case)
    spoiled = tuple(m.clone() for m in maps)
    spoiled[0][1].view(-1)[0] = float("nan")
    measurement, whole = _measured(made, case, spoiled), _measured(made, case, maps)
    require(
        measurement.reasons[1] is not None and torch.isnan(measurement.values[1]), "undefined maps", "NaN got a number"
    )
    others = [k for k in range(len(case)) if k != 1]
    require(
        close((measurement.values[others],), (whole.values[others],), 1e-10),
        "undefined maps",
        "others' numbers changed",
    )


def check_flat_maps(subject: Subject, case: Case) -> None:
    """A map of zeros, and a constant one, gets a number or a reason."""
    made: Metric = subject.make(case.model)
    maps = _maps(made, case)
    for value in (0.0, 1.0, -1.0):
        flat = tuple(torch.full_like(m, value) for m in maps)
        _require_reasons(f"maps of {value}", _measured(made, case, flat), case)


def check_function_target(subject: Subject, case: Case) -> None:
    """A function as the target sees the raw output, also where a metric looks at probabilities."""
    made: Metric = subject.make(case.model)
    transform = made.followed()

    def second(output: Tensor) -> Tensor:
        return (output if transform is None else transform(output))[:, 1]

    maps = made.explained(made.arguments(case.inputs), 1)
    masks = bright_positions(made, case.inputs)
    wanted = made.measure(case.inputs, 1, maps, masks=masks).values
    try:
        measurement = made.measure(case.inputs, second, maps, masks=masks).values
    except UnsuitableError:  # it says that it needs classes
        return
    require(
        close((measurement,), (wanted,), 1e-10),
        "function target",
        "it gets another number than the index it stands for",
    )


def check_precisions(subject: Subject, case: Case) -> None:
    """Single precision gives the same numbers, half precision finite ones."""
    exact = _measured(subject.make(case.model), case)
    single = case.to(torch.float32)
    measurement = _measured(subject.make(single.model), single)
    require(measurement.reasons == exact.reasons, "precision", f"in float32 the reasons are {measurement.reasons}")
    require(
        close((measurement.values,), (exact.values,), 1e-3),
        "precision",
        f"in float32 {measurement.values}, not {exact.values}",
    )
    for dtype in (torch.bfloat16, torch.float16):
        half = case.to(dtype)
        _require_reasons(f"precision: {dtype}", _measured(subject.make(half.model), half), half)


def _maps(made: Metric, case: Case) -> tuple[Tensor, ...]:
    maps = made.explained(made.arguments(case.inputs), case.targets)
    return maps if isinstance(maps, tuple) else (maps,)


def _measured(made: Metric, case: Case, maps: Attributions = None) -> Measurement:
    return made.measure(case.inputs, case.targets, maps, masks=bright_positions(made, case.inputs))


def _require_reasons(law: str, measurement: Measurement, case: Case) -> None:
    require(len(measurement.reasons) == len(case), law, f"{len(measurement.reasons)} reasons for {len(case)} examples")
    for value, reason in zip(measurement.values, measurement.reasons, strict=True):
        explained = bool(torch.isnan(value)) and bool(reason) if reason is not None else bool(torch.isfinite(value))
        require(explained, law, f"{float(value)} with reason {reason!r}")
