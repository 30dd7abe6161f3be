"""Baselines where they are needed: of inputs, of a layer's values, and of ids where they are embedded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from pnpxai.attributors.base import FromInputs
from pnpxai.attributors.perturbation.stand_ins import Rows
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.site import Call
from pnpxai.strategies.base import for_each
from pnpxai.strategies.baselines import Baseline, EachBaseline, Zeros
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.token_baselines import Token
from pnpxai.tensors import Tensors, own
from pnpxai.traits import Traits

__all__ = [
    "at_places",
    "baselines_by",
    "embedded",
    "is_background",
    "of_columns",
    "of_ids",
    "of_rows",
    "rows_by",
    "stand_ins",
    "stand_ins_by",
    "starts_by",
]


def baselines_by(baseline_fn: Baseline | str) -> FromInputs:
    """Return the setting of a backend that compares each input with its own baseline."""
    return FromInputs(lambda inputs: starts_by(baseline_fn, inputs))


def stand_ins_by(baseline_fn: Baseline | str) -> FromInputs:
    """Return the setting of a backend that perturbs: what stands in for what is absent, ``Rows`` of a background."""
    return FromInputs(lambda inputs: stand_ins(baseline_fn, inputs))


def stand_ins(baseline_fn: Baseline | str, inputs: Tensors) -> Tensors | Rows:
    """Return what stands in for what is absent from each input: one baseline for each example, or rows."""
    if isinstance(baseline_fn, _Embedded):
        return baseline_fn.values
    each = for_each(baseline_fn, inputs)
    if not any(isinstance(one, Background) and one.draw == "all" for one in each):
        return starts_by(baseline_fn, inputs)
    return Rows(
        tuple(
            one.rows_for(x)[:, None] if isinstance(one, Background) and one.draw == "all" else one(own(x))[None]
            for one, x in zip(each, inputs, strict=True)
        )
    )


def starts_by(baseline_fn: Baseline | str, inputs: Tensors) -> Tensors:
    """Return the baseline of each input."""
    if isinstance(baseline_fn, _Embedded):
        return baseline_fn.values
    return tuple(one(own(x)) for one, x in zip(for_each(baseline_fn, inputs), inputs, strict=True))


def is_background(baseline_fn: object) -> bool:
    """Tell whether it holds rows that all examples can be compared with (``rows_by``), not one for each example."""
    return all(isinstance(one, Background) for one in getattr(baseline_fn, "strategies", (baseline_fn,)))


def rows_by(baseline_fn: Baseline | str, inputs: Tensors) -> Tensors:
    """Return the rows of a background for each input."""
    return tuple(one.examples for one in for_each(baseline_fn, inputs) if isinstance(one, Background))


def of_ids(settings: Mapping[str, object], arguments: Arguments) -> dict[str, Baseline]:
    """Return the settings that are baselines of ids, if ids are among the arguments."""
    if all(x.is_floating_point() for x in arguments.explained):
        return {}
    given = {name: value for name, value in settings.items() if isinstance(value, Baseline)}
    return {name: b for name, b in given.items() if any(map(_is_of_ids, for_each(b, arguments.explained)))}


def embedded(
    baseline_fn: Baseline,
    arguments: Arguments,
    read: Callable[[Call], Tensors],
    values: Tensors,
    owners: Sequence[int] | None = None,
) -> Baseline:
    """Return a baseline of ids as what the layer makes of it.

    Args:
        baseline_fn: gives ids for ids.
        arguments: hold the ids.
        read: gives the values at the layer, such as an embedding, for a call of the model.
        values: the layer's values for the arguments; baselines that are not of ids are made of these.
        owners: which argument each value stands for, where several values stand for one.
    """
    ids = tuple(
        one(own(x)) if _is_of_ids(one) and not x.is_floating_point() else x
        for one, x in zip(for_each(baseline_fn, arguments.explained), arguments.explained, strict=True)
    )
    starts = read(replace(arguments, explained=ids).call())
    baselines = for_each(baseline_fn, values if owners is None else arguments.explained)
    baselines = baselines if owners is None else tuple(baselines[k] for k in owners)
    each = zip(baselines, values, starts, strict=True)
    return _Embedded(tuple(start if _is_of_ids(one) else one(own(x)) for one, x, start in each))


def of_columns(settings: Mapping[str, object], arguments: Arguments, columns: Collection[int]) -> dict[str, Baseline]:
    """Return the baselines where zero stands for a column of codes: the code 0, whose embedding is seldom zero.

    Args:
        settings: of the explainer.
        arguments: hold the codes.
        columns: which explained arguments are columns of codes, with an embedding for each.
    """
    changed: dict[str, Baseline] = {}
    for name, value in settings.items():
        if not columns or not isinstance(value, Baseline):
            continue
        each = for_each(value, arguments.explained)
        if any(isinstance(each[k], Zeros) for k in columns):
            codes = [Token(0) if k in columns and isinstance(one, Zeros) else one for k, one in enumerate(each)]
            changed[name] = EachBaseline(strategies=tuple(codes))
    return changed


def at_places(settings: Mapping[str, object], arguments: Arguments, owners: Sequence[int]) -> dict[str, Baseline]:
    """Return the baselines that are given one for each argument as one for each place that stands for an argument.

    Args:
        settings: of the explainer.
        arguments: hold the arguments.
        owners: which argument each place stands for.
    """
    given = {name: value for name, value in settings.items() if isinstance(value, EachBaseline)}
    return {
        name: EachBaseline(strategies=tuple(for_each(value, arguments.explained)[k] for k in owners))
        for name, value in given.items()
    }


def of_rows(settings: Mapping[str, object], rows: Tensor) -> dict[str, Baseline]:
    """Return the settings that are baselines of ids where they are embedded, of some examples."""
    return {name: value.take(rows) for name, value in settings.items() if isinstance(value, _Embedded)}


class _Embedded(Baseline, abstract=True):
    """Values that have been found already."""

    values: Tensors

    def __init__(self, values: Tensors) -> None:
        object.__setattr__(self, "values", values)

    def take(self, rows: Tensor) -> _Embedded:
        """Return those of some examples."""
        return _Embedded(tuple(value[rows.to(value.device)] for value in self.values))


def _is_of_ids(baseline_fn: Baseline) -> bool:
    examples = getattr(baseline_fn, "examples", None)  # a background may be of ids, or of embeddings
    return baseline_fn.suits(Traits.text()) and (examples is None or not examples.is_floating_point())
