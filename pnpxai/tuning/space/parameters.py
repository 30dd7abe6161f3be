"""From declared settings to what Optuna searches, under the parameter names of the original framework.

A number is called ``prefix.name``; a strategy ``prefix.name.method``, its own settings ``prefix.name.setting``. Where a
model has several inputs, each has a strategy of its own, with its modality in the name:
``explainer.baseline_fn.ImageModality.method``, ``postprocessor.TextModality.pooling_fn.method``; of two of a kind the
second is ``ImageModality2``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import optuna

from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import by_name
from pnpxai.modalities import Modality
from pnpxai.strategies.base import Strategy, for_each
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits

__all__ = ["choices", "configuration", "contained", "parameters", "size", "suggest"]

D = TypeVar("D", bound=Declared)
Entry = tuple[type, dict[str, Any]]


@dataclass(frozen=True)
class _Slot:
    """One setting that is searched; of a strategy of several inputs, that of one of them.

    Attributes:
        field: the field's name.
        name: what it is called in a study, after the prefix.
        present: what it is now.
        entry: what is searched.
        traits: facts about the input that it is for.
        member: that input's number, where there are several, and
        of: how many these are.
    """

    field: str
    name: str
    present: Any
    entry: Entry
    traits: Traits | None
    member: int | None = None
    of: int = 1


def suggest(trial: optuna.Trial, value: D, prefix: str, traits: Traits | None = None) -> D:
    """Return ``value`` with every searched setting replaced by what the trial suggests.

    Raises:
        ArgumentError: the suggested settings are not legal together.
    """
    changes: dict[str, Any] = {}
    for slot in _slots(value, traits):
        found = _one(trial, f"{prefix}.{slot.name}", slot)
        present = changes.get(slot.field, getattr(value, slot.field))
        changes[slot.field] = found if slot.member is None else _with_member(present, slot, found)
    for name, found in changes.items():
        each = getattr(found, "strategies", ())
        if each and not hasattr(getattr(value, name), "strategies") and all(one == each[0] for one in each):
            changes[name] = each[0]  # the same for all, as it was
    return value.replace(**changes)


def _with_member(present: Any, slot: _Slot, found: Any) -> Any:
    """Return the strategies of several inputs, with that of one replaced."""
    kind, inputs = slot.entry[0], range(slot.of)
    each = [found if k == slot.member else own for k, own in zip(inputs, for_each(present, inputs), strict=True)]
    return by_name(kind, "each", kind.__name__)(tuple(each))


def _one(trial: optuna.Trial, name: str, slot: _Slot) -> Any:
    kind, options = slot.entry
    if kind is float:
        found = trial.suggest_float(name, **options)
        return round(found, 12) if "step" in options else found  # 0.7, not 0.7000000000000001
    if kind is int:
        return trial.suggest_int(name, **options)
    if kind is list:
        return trial.suggest_categorical(name, options["choices"])
    chosen = trial.suggest_categorical(f"{name}.method", options["choices"])
    return suggest(trial, _strategy(slot, chosen), name, slot.traits)


def _strategy(slot: _Slot, chosen: str) -> Any:
    """Return a strategy by name. What is not searched (the id of a mask token) stays as it was given."""
    kind, _ = slot.entry
    ready = (slot.present, *(() if slot.traits is None else slot.traits.ready))
    made = (s for s in ready if isinstance(s, kind) and getattr(s, "name", None) == chosen)
    return next(made, None) or by_name(kind, chosen, kind.__name__)()


def parameters(value: Declared, prefix: str, traits: Traits | None = None) -> dict[str, Any]:
    """Return the settings of ``value`` as the parameters of a trial."""
    found: dict[str, Any] = {}
    for slot in _slots(value, traits):
        name = f"{prefix}.{slot.name}"
        if isinstance(slot.present, Strategy):
            found[f"{name}.method"] = slot.present.name
            found |= parameters(slot.present, name, slot.traits)
        else:
            found[name] = slot.present
    return found


def choices(value: Declared, prefix: str, traits: Traits | None = None) -> dict[str, str]:
    """Return what is searched of the settings of ``value``, in words."""
    return {f"{prefix}.{slot.name}": str(slot.entry) for slot in _slots(value, traits)}


def contained(value: Declared, traits: Traits | None = None) -> bool:
    """Tell whether the settings of ``value`` lie in what is searched."""
    return all(_holds(slot) for slot in _slots(value, traits))


def _holds(slot: _Slot) -> bool:
    present, (kind, options) = slot.present, slot.entry
    if kind is list:
        return present in options["choices"]
    if kind in (int, float):
        if not options["low"] <= present <= options["high"]:
            return False
        steps = (present - options["low"]) / options["step"] if "step" in options else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-6)
    return present.name in options["choices"] and contained(present, slot.traits)


def size(value: Declared, traits: Traits | None = None, points: int | None = None) -> float:
    """Return the number of configurations, infinite where a range has no steps and no number of ``points`` is given."""
    return math.prod(_count(slot, points) for slot in _slots(value, traits))


def configuration(
    value: Declared, prefix: str, number: int, traits: Traits | None = None, points: int | None = None
) -> dict[str, Any]:
    """Return the parameters of one of ``size(value, traits, points)`` configurations, by its number."""
    found: dict[str, Any] = {}
    for slot in _slots(value, traits):
        number, place = divmod(number, int(_count(slot, points)))
        found |= _option(slot, f"{prefix}.{slot.name}", place, points)
    return found


def _count(slot: _Slot, points: int | None) -> float:
    kind, options = slot.entry
    if kind is list:
        return len(options["choices"])
    if kind in (int, float):
        step = _step(slot.entry)
        if step is None:
            return math.inf if points is None else points
        return round((options["high"] - options["low"]) / step) + 1
    return sum(size(_strategy(slot, name), slot.traits, points) for name in options["choices"])


def _option(slot: _Slot, name: str, place: int, points: int | None) -> dict[str, Any]:
    kind, options = slot.entry
    if kind is list:
        return {name: options["choices"][place]}
    if kind in (int, float):
        low, high, step = options["low"], options["high"], _step(slot.entry)
        if step is not None:
            chosen = round(low + place * step, 12)
        else:
            share = place / max((points or 2) - 1, 1)
            chosen = low * (high / low) ** share if options.get("log") else low + (high - low) * share
            chosen = min(max(chosen, low), high)
        return {name: kind(chosen)}
    for method in options["choices"]:
        strategy = _strategy(slot, method)
        count = int(size(strategy, slot.traits, points))
        if place < count:
            return {f"{name}.method": method} | configuration(strategy, name, place, slot.traits, points)
        place -= count
    raise IndexError(place)


def _step(entry: Entry) -> float | None:
    kind, options = entry
    return options.get("step", 1 if kind is int and not options.get("log") else None)


def _slots(value: Declared, traits: Traits | None) -> Iterator[_Slot]:
    """Yield what is searched; a strategy that holds data (a background) is not, as none could take its place."""
    inputs = _inputs(value, traits)
    for name, entry in _tunables(value, traits).items():
        present = getattr(value, name)
        if not inputs or not isinstance(present, Strategy):
            if not _holds_data(present):
                yield _Slot(name, name, present, entry, traits)
            continue
        for k, (member, (called, own)) in enumerate(zip(for_each(present, inputs), inputs, strict=True)):
            full = f"{called}.{name}" if isinstance(value, PostProcessor) else f"{name}.{called}"
            if not _holds_data(member):
                yield _Slot(name, full, member, _tunables(value, own)[name], own, k, len(inputs))


def _inputs(value: Declared, traits: Traits | None) -> list[tuple[str, Traits]]:
    """Return name and facts of each of several inputs; none, where one layer is explained in their place."""
    layer = getattr(value, "layer", None)
    if traits is None or not traits.others:
        return []
    if layer is not None and not (isinstance(layer, (tuple, list)) and len(layer) == len(traits.each)):
        return []
    seen: Counter[str] = Counter()
    found = []
    for own in traits.each:
        name = by_name(Modality, own.modality, "modality").__name__
        seen[name] += 1
        found.append((name if seen[name] == 1 else f"{name}{seen[name]}", own))
    return found


def _holds_data(present: Any) -> bool:
    return any(field.required for field in getattr(present, "_fields", {}).values())


def _tunables(value: Declared, traits: Traits | None) -> dict[str, Entry]:
    """Return the tunables; where ids are explained at their embedding, what suits either of them suits."""
    found = value.get_tunables(traits)
    at_embedding = getattr(value, "needs_gradient", False) or getattr(value, "layer", None) is not None
    if traits is None or not traits.discrete or not at_embedding:
        return found
    for name, (kind, options) in value.get_tunables(replace(traits, discrete=False)).items():
        if kind is not list and "choices" in options:
            found[name] = (kind, {"choices": sorted({*found[name][1]["choices"], *options["choices"]})})
    return found
