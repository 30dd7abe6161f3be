"""Checks whether a model computes the rows of a batch independently, by running two batches as one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.running.places import Place, Site
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.score import Score, select_output
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.errors import ArgumentError, ConfinedError, OutOfMemoryError, ShapeError
from pnpxai.model_types import Model, ModelOutput
from pnpxai.tensors import Tensors, alike, flat, take_rows

__all__ = ["facts_of", "layer_rows_are_apart", "model_behind", "rows_are_apart"]

_FACTS: weakref.WeakKeyDictionary[Model, dict[Hashable, dict[Hashable, Any]]] = weakref.WeakKeyDictionary()
_MOST_WAYS = 256  # of a model, such as targets that are functions


def rows_are_apart(score: Score, inputs: Tensors, limit: int) -> bool:
    """Return True if steps may share a pass and a batch may be split: no row's output depends on its neighbours.

    The first examples are run once alone, and once behind as many rows of other content; their outputs must be the
    same. A model that exchanges messages along edges, attends over rows, normalises by its batch or compares neighbours
    gives other outputs, one that is made for a batch size fails. A model whose rows are apart is asked once, for inputs
    of one form.

    Args:
        score: what will be run in many passes.
        inputs: the inputs of all its examples.
        limit: the number of rows that a pass may have. All examples are run if twice as many fit into it, since a
            graph's edges reach all of its nodes; else half as many rows as fit.

    Raises:
        ConfinedError: the model keeps values between its calls, so that the same rows get other outputs.
    """
    return _apart(score, inputs, limit, score.forward, _outputs)


def layer_rows_are_apart(
    score: Score, inputs: Tensors, places: Sequence[Place], limit: int, *, values_only: bool = False
) -> bool:
    """Return ``rows_are_apart``, and False too if the first axis of a value at a place does not count the examples.

    Args:
        score: what will be run in many passes.
        inputs: the inputs of all its examples.
        places: layers that are looked at.
        limit: as for ``rows_are_apart``.
        values_only: compare what the places hold, which may be integers, and not the output, which has no target then.

    Raises:
        ArgumentError: the places cannot be read.
        ConfinedError: the model keeps values between its calls.
    """
    if not places:
        return rows_are_apart(score, inputs, limit)
    at = AtSites(score.forward, places)

    def values(part: Score, rows: Tensors) -> Tensors:
        read = at.read(Call((*rows, *part.extra)), alone=False, numbers=not values_only)
        others = [m for held in read.members for m in held if m is not None and not m.is_floating_point()]
        scored = () if values_only else _of_output(part, read.output)
        return (*scored, *read.values, *others)

    return _apart(score, inputs, limit, at, values, values_only)


_Run = Callable[[Score, Tensors], Tensors]


def _apart(score: Score, inputs: Tensors, limit: int, forward: Model, run: _Run, values_only: bool = False) -> bool:
    size = score.size
    rows = size if 2 * size < limit else max(1, (min(size, limit) - 1) // 2)
    tensors = flat((inputs, score.extra))
    form = (values_only, *((t.ndim and t.shape[0] == size, t.shape[1:], t.dtype, t.device) for t in tensors))
    facts = facts_of(forward, score.target)
    if ("apart", form) in facts:
        return True
    if ("together", form, size, limit) in facts:
        return False
    try:
        apart = _unmoved_by_others(score, inputs, rows, run)
    except (torch.OutOfMemoryError, OutOfMemoryError):
        return rows == 1 or _apart(score, inputs, rows, forward, run, values_only)  # half as many
    facts[("apart", form) if apart else ("together", form, size, limit)] = None
    return apart


def facts_of(forward: Model, target: object = None) -> dict[Hashable, Any]:
    """Return a dictionary that lives as long as a model, one for each target function and each way to run the model."""
    try:
        kind = weakref.ref(target) if callable(target) else target is None
        model, way = model_behind(forward)
        ways = _FACTS.setdefault(model, {})
        if len(ways) > _MOST_WAYS:
            ways.clear()
        return ways.setdefault((_weak(way), kind), {})
    except TypeError:  # no weak reference to it, or no key of it
        return {}


def model_behind(forward: Any) -> tuple[Any, tuple[Hashable, ...]]:
    """Return the model inside a function, and how it runs; wrappers state both by a method ``runs_model()``."""
    way: tuple[Hashable, ...] = ()
    while not isinstance(forward, torch.nn.Module) and hasattr(type(forward), "runs_model"):
        forward, own = forward.runs_model()
        way = (*way, own)
    if hasattr(forward, "__func__"):  # a bound method is made anew each time it is looked up
        forward, way = forward.__self__, (*way, forward.__func__)
    return forward, way


def _weak(way: Hashable) -> Hashable:
    """Return a key that does not keep a layer alive, since a fact about a model must not outlive the model."""
    if isinstance(way, Site):
        return weakref.ref(way.module), way.side
    return tuple(map(_weak, way)) if type(way) is tuple else way


def _unmoved_by_others(score: Score, inputs: Tensors, rows: int, run: _Run) -> bool:
    first = torch.arange(rows)
    part = take_rows(inputs, first, score.size)
    others = torch.cat([first, first[:1]])  # one more than there are, so that pairs of neighbours are torn apart
    with torch.no_grad(), probing():
        try:
            alone = run(score.take(first), part)
        except Exception as problem:
            if rows == score.size or _is_final(problem):  # it cannot be run at all
                raise
            return False
        if any(value.shape[:1] != (rows,) for value in alone):
            return False
        try:
            both = run(score.take(torch.cat([others, first])), tuple(torch.cat([_unlike(x), x]) for x in part))
        except Exception as problem:
            if _is_final(problem):
                raise
            return False  # whatever a model raises where it takes no other batch
        apart = all(
            value.shape[:1] == (2 * rows + 1,) and alike(one, value[rows + 1 :])
            for one, value in zip(alone, both, strict=True)
        )
        if not apart and not all(map(alike, alone, run(score.take(first), part))):
            raise ConfinedError(
                "model: a second run of the same inputs gives other outputs, as the model keeps values between its "
                "calls; wrap it in a module whose forward resets them first"
            )
        return apart


def _is_final(problem: Exception) -> bool:
    own = isinstance(problem, ArgumentError) and not isinstance(problem, ShapeError)
    return own or isinstance(problem, torch.OutOfMemoryError)


def _outputs(score: Score, inputs: Tensors) -> Tensors:
    return _of_output(score, score.checked_output(inputs))


def _of_output(score: Score, output: ModelOutput) -> Tensors:
    return (score.target(output) if callable(score.target) else select_output(output),)


def _unlike(x: Tensor) -> Tensor:
    """Return other rows of the same kind, and one more: in reverse order, numbers halved, ids in reverse too.

    The last row is larger than all others, since a model may scale its rows by their largest value. Each column of a
    table keeps its own values: codes among them must stay within what an embedding knows.
    """
    if not x.is_floating_point():
        return torch.cat([x, x[:1]]).flip(tuple(range(x.ndim)))
    larger = torch.where(x[:1] == x[:1].round(), x[:1], 3 * x.abs().amax(0, keepdim=True) * x[:1].sign())
    return torch.cat([x.flip(0) / 2, larger])
