"""From declared settings to what Optuna searches, under the parameter names of the original framework."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

import optuna

from pnpxai.declare import Declared
from pnpxai.registry import by_name
from pnpxai.strategies.base import Strategy
from pnpxai.traits import Traits

__all__ = ["configuration", "contained", "parameters", "size", "suggest"]

D = TypeVar("D", bound=Declared)


def suggest(trial: optuna.Trial, value: D, prefix: str, traits: Traits | None = None) -> D:
    """Return ``value`` with every searched setting replaced by what the trial suggests.

    A number is called ``prefix.name``; a strategy ``prefix.name.method``, its own settings ``prefix.name.setting``.

    Raises:
        ArgumentError: the suggested settings are not legal together.
    """
    return value.replace(
        **{
            name: _one(trial, f"{prefix}.{name}", entry, getattr(value, name), traits)
            for name, entry in _entries(value, traits)
        }
    )


def _one(
    trial: optuna.Trial, name: str, entry: tuple[type, dict[str, Any]], present: Any, traits: Traits | None
) -> Any:
    kind, options = entry
    if kind is float:
        found = trial.suggest_float(name, **options)
        return round(found, 12) if "step" in options else found  # 0.7, not 0.7000000000000001
    if kind is int:
        return trial.suggest_int(name, **options)
    if kind is list:
        return trial.suggest_categorical(name, options["choices"])
    chosen = trial.suggest_categorical(f"{name}.method", options["choices"])
    return suggest(trial, _strategy(kind, chosen, present, traits), name, traits)


def _strategy(kind: type, chosen: str, present: Any, traits: Traits | None) -> Any:
    """Return a strategy by name. What is not searched (the id of a mask token) stays as it was given."""
    ready = (present, *(() if traits is None else traits.ready))
    made = (s for s in ready if isinstance(s, kind) and getattr(s, "name", None) == chosen)
    return next(made, None) or by_name(kind, chosen, kind.__name__)()


def parameters(value: Declared, prefix: str, traits: Traits | None = None) -> dict[str, Any]:
    """Return the settings of ``value`` as the parameters of a trial."""
    found: dict[str, Any] = {}
    for name, (kind, _) in _entries(value, traits):
        present = getattr(value, name)
        if isinstance(present, Strategy) and issubclass(kind, Strategy):
            found[f"{prefix}.{name}.method"] = present.name
            found |= parameters(present, f"{prefix}.{name}", traits)
        else:
            found[f"{prefix}.{name}"] = present
    return found


def contained(value: Declared, traits: Traits | None = None) -> bool:
    """Tell whether the settings of ``value`` lie in what is searched."""
    return all(_holds(getattr(value, name), entry, traits) for name, entry in _entries(value, traits))


def _holds(present: Any, entry: tuple[type, dict[str, Any]], traits: Traits | None) -> bool:
    kind, options = entry
    if kind is list:
        return present in options["choices"]
    if kind in (int, float):
        if not options["low"] <= present <= options["high"]:
            return False
        steps = (present - options["low"]) / options["step"] if "step" in options else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-6)
    return present.name in options["choices"] and contained(present, traits)


def size(value: Declared, traits: Traits | None = None, points: int | None = None) -> float:
    """Return the number of configurations, infinite where a range has no steps and no number of ``points`` is given."""
    return math.prod(_count(getattr(value, name), entry, traits, points) for name, entry in _entries(value, traits))


def configuration(
    value: Declared, prefix: str, number: int, traits: Traits | None = None, points: int | None = None
) -> dict[str, Any]:
    """Return the parameters of one of ``size(value, traits, points)`` configurations, by its number."""
    found: dict[str, Any] = {}
    for name, entry in _entries(value, traits):
        present = getattr(value, name)
        number, place = divmod(number, int(_count(present, entry, traits, points)))
        found |= _option(present, entry, f"{prefix}.{name}", place, traits, points)
    return found


def _count(present: Any, entry: tuple[type, dict[str, Any]], traits: Traits | None, points: int | None) -> float:
    kind, options = entry
    if kind is list:
        return len(options["choices"])
    if kind in (int, float):
        step = _step(entry)
        if step is None:
            return math.inf if points is None else points
        return round((options["high"] - options["low"]) / step) + 1
    return sum(size(_strategy(kind, name, present, traits), traits, points) for name in options["choices"])


def _option(
    present: Any, entry: tuple[type, dict[str, Any]], name: str, place: int, traits: Traits | None, points: int | None
) -> dict[str, Any]:
    kind, options = entry
    if kind is list:
        return {name: options["choices"][place]}
    if kind in (int, float):
        low, high, step = options["low"], options["high"], _step(entry)
        if step is not None:
            chosen = round(low + place * step, 12)
        else:
            share = place / max((points or 2) - 1, 1)
            chosen = low * (high / low) ** share if options.get("log") else low + (high - low) * share
            chosen = min(max(chosen, low), high)
        return {name: kind(chosen)}
    for method in options["choices"]:
        strategy = _strategy(kind, method, present, traits)
        count = int(size(strategy, traits, points))
        if place < count:
            return {f"{name}.method": method} | configuration(strategy, name, place, traits, points)
        place -= count
    raise IndexError(place)


def _step(entry: tuple[type, dict[str, Any]]) -> float | None:
    kind, options = entry
    return options.get("step", 1 if kind is int and not options.get("log") else None)


def _entries(value: Declared, traits: Traits | None) -> Iterator[tuple[str, tuple[type, dict[str, Any]]]]:
    """Yield what is searched; a strategy that holds data (a background) is not, as none could take its place."""
    for name, entry in _tunables(value, traits).items():
        if not any(field.required for field in getattr(getattr(value, name), "_fields", {}).values()):
            yield name, entry


def _tunables(value: Declared, traits: Traits | None) -> dict[str, tuple[type, dict[str, Any]]]:
    """Return the tunables; where ids are explained at their embedding, what suits either of them suits."""
    found = value.get_tunables(traits)
    at_embedding = getattr(value, "needs_gradient", False) or getattr(value, "layer", None) is not None
    if traits is None or not traits.discrete or not at_embedding:
        return found
    for name, (kind, options) in value.get_tunables(replace(traits, discrete=False)).items():
        if kind is not list and "choices" in options:
            found[name] = (kind, {"choices": sorted({*found[name][1]["choices"], *options["choices"]})})
    return found
