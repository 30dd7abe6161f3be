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
from typing import Any, TypeAlias, TypeVar

from optuna.trial import BaseTrial

from pnpxai.declare.declared import Declared
from pnpxai.declare.marks import Settings, Tunable
from pnpxai.declare.registry import by_name
from pnpxai.modalities import Modality
from pnpxai.strategies.base import Strategy, for_each
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits

__all__ = ["Parameters", "choices", "configuration", "contained", "parameters", "size", "suggest"]

D = TypeVar("D", bound=Declared)
Parameters: TypeAlias = dict[str, object]
"""The parameters of a trial: name -> number, truth value or name of a strategy."""


@dataclass(frozen=True)
class _Slot:
    """One setting that is searched. Where a model has several inputs, each has a slot for its own strategy.

    Attributes:
        field: the field's name.
        name: the parameter's name in a study, after the prefix.
        present: the present value.
        entry: what is searched.
        traits: facts about the input that the strategy is for.
        member: the input's number; None where there is one input.
        n_inputs: number of inputs.
    """

    field: str
    name: str
    present: object
    entry: Tunable
    traits: Traits | None
    member: int | None = None
    n_inputs: int = 1


def suggest(trial: BaseTrial, value: D, prefix: str, traits: Traits | None = None) -> D:
    """Return ``value`` with every searched setting replaced by what the trial suggests.

    Raises:
        ArgumentError: the suggested settings are not legal together.
    """
    changes: Settings = {}
    for slot in _slots(value, traits):
        suggested = _suggest_slot(trial, f"{prefix}.{slot.name}", slot)
        present = changes.get(slot.field, getattr(value, slot.field))
        changes[slot.field] = suggested if slot.member is None else _with_member(present, slot, suggested)
    for name, suggested in changes.items():
        each = getattr(suggested, "strategies", ())
        if each and not hasattr(getattr(value, name), "strategies") and all(one == each[0] for one in each):
            changes[name] = each[0]  # the same for all, as it was
    return value.replace(**changes)


def _with_member(present: Strategy, slot: _Slot, suggested: Strategy) -> Strategy:
    """Return the strategies of several inputs, with that of one replaced."""
    kind, inputs = slot.entry[0], range(slot.n_inputs)
    each = [suggested if k == slot.member else own for k, own in zip(inputs, for_each(present, inputs), strict=True)]
    return by_name(kind, "each", kind.__name__)(tuple(each))


def _suggest_slot(trial: BaseTrial, name: str, slot: _Slot) -> Any:
    kind, options = slot.entry
    if kind is float:
        number = trial.suggest_float(name, **options)
        return round(number, 12) if "step" in options else number  # 0.7, not 0.7000000000000001
    if kind is int:
        return trial.suggest_int(name, **options)
    if kind is list:
        return trial.suggest_categorical(name, options["choices"])
    chosen = trial.suggest_categorical(f"{name}.method", options["choices"])
    return suggest(trial, _strategy(slot, chosen), name, slot.traits)


def _strategy(slot: _Slot, chosen: str) -> Strategy:
    """Return a strategy by name. Its settings that are not searched (the id of a mask token) stay as they are."""
    kind, _ = slot.entry
    ready = (slot.present, *(() if slot.traits is None else slot.traits.ready))
    configured = (s for s in ready if isinstance(s, Strategy) and isinstance(s, kind) and s.name == chosen)
    return next(configured, None) or by_name(kind, chosen, kind.__name__)()


def parameters(value: Declared, prefix: str, traits: Traits | None = None) -> Parameters:
    """Return the settings of ``value`` as the parameters of a trial."""
    settings: Parameters = {}
    for slot in _slots(value, traits):
        name = f"{prefix}.{slot.name}"
        if isinstance(slot.present, Strategy):
            settings[f"{name}.method"] = slot.present.name
            settings |= parameters(slot.present, name, slot.traits)
        else:
            settings[name] = slot.present
    return settings


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
    return isinstance(present, Strategy) and present.name in options["choices"] and contained(present, slot.traits)


def size(value: Declared, traits: Traits | None = None, points: int | None = None) -> float:
    """Return the number of configurations, infinite where a range has no steps and no number of ``points`` is given."""
    return math.prod(_count(slot, points) for slot in _slots(value, traits))


def configuration(
    value: Declared, prefix: str, number: int, traits: Traits | None = None, points: int | None = None
) -> Parameters:
    """Return the parameters of one of ``size(value, traits, points)`` configurations, by its number."""
    settings: Parameters = {}
    for slot in _slots(value, traits):
        number, place = divmod(number, int(_count(slot, points)))
        settings |= _option(slot, f"{prefix}.{slot.name}", place, points)
    return settings


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


def _option(slot: _Slot, name: str, place: int, points: int | None) -> Parameters:
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


def _step(entry: Tunable) -> float | None:
    kind, options = entry
    return options.get("step", 1 if kind is int and not options.get("log") else None)


def _slots(value: Declared, traits: Traits | None) -> Iterator[_Slot]:
    """Yield the settings that are searched. A strategy that holds data (a background) is not: none can replace it."""
    inputs = _inputs(value, traits)
    for name, entry in _tunables(value, traits).items():
        present = getattr(value, name)
        if not inputs or not isinstance(present, Strategy):
            if not _holds_data(present):
                yield _Slot(name, name, present, entry, traits)
            continue
        for k, (member, (input_name, own)) in enumerate(zip(for_each(present, inputs), inputs, strict=True)):
            full = f"{input_name}.{name}" if isinstance(value, PostProcessor) else f"{name}.{input_name}"
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
    inputs = []
    for own in traits.each:
        name = by_name(Modality, own.modality, "modality").__name__
        seen[name] += 1
        inputs.append((name if seen[name] == 1 else f"{name}{seen[name]}", own))
    return inputs


def _holds_data(present: object) -> bool:
    return any(field.required for field in getattr(present, "_fields", {}).values())


def _tunables(value: Declared, traits: Traits | None) -> dict[str, Tunable]:
    """Return the tunables; where ids are explained at their embedding, what suits either of them suits."""
    tunables = value.get_tunables(traits)
    at_embedding = getattr(value, "needs_gradient", False) or getattr(value, "layer", None) is not None
    if traits is None or not traits.discrete or not at_embedding:
        return tunables
    for name, (kind, options) in value.get_tunables(replace(traits, discrete=False)).items():
        if kind is not list and "choices" in options:
            tunables[name] = (kind, {"choices": sorted({*tunables[name][1]["choices"], *options["choices"]})})
    return tunables
