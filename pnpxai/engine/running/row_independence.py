"""Checks whether a model computes the rows of a batch independently, by running two batches as one."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.running.guard import model_behind
from pnpxai.engine.running.places import Place, Site
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.score import Score, select_output
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.errors import ArgumentError, ConfinedError, OutOfMemoryError, ShapeError
from pnpxai.model_types import Model, ModelOutput
from pnpxai.tensors import Tensors, alike, flat, take_rows

__all__ = ["facts_of", "layer_rows_are_apart", "refuse_kept_values", "rows_are_apart"]

_FACTS: weakref.WeakKeyDictionary[Model, dict[Hashable, dict[Hashable, Any]]] = weakref.WeakKeyDictionary()
_MOST_WAYS = 256  # of a model, such as targets that are functions


def rows_are_apart(score: Score, inputs: Tensors, limit: int) -> bool:
    """Return True if steps may share a pass and a batch may be split: no row's output depends on its neighbours.

    The first examples are run alone, among twice as many rows of other content, and among copies of one of them; their
    outputs must be the same. A model that exchanges messages along edges, attends over rows, normalises by its batch,
    compares neighbours or keeps a share of its rows gives other outputs, one that is made for a batch size fails. A
    model whose rows are apart is asked once, for inputs of one form.

    Args:
        score: what will be run in many passes.
        inputs: the inputs of all its examples.
        limit: the number of rows that a pass may have. All examples are run if three times as many fit into it, since a
            graph's edges reach all of its nodes; else a third of the rows that fit.

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
        held = [member for members in read.members for member in members if member is not None]
        others = [member for member in held if member.numel() or not member.is_floating_point()]
        scored = () if values_only else _of_output(part, read.output)
        return (*scored, *read.values, *others)

    return _apart(score, inputs, limit, at, values, values_only)


_Run = Callable[[Score, Tensors], Tensors]


def _apart(score: Score, inputs: Tensors, limit: int, forward: Model, run: _Run, values_only: bool = False) -> bool:
    size = score.size
    rows = size if 3 * size < limit else max(1, (min(size, limit) - 1) // 3)
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


def _weak(way: Hashable) -> Hashable:
    """Return a key that does not keep a layer alive, since a fact about a model must not outlive the model."""
    if isinstance(way, Site):
        return weakref.ref(way.module), way.side
    return tuple(map(_weak, way)) if type(way) is tuple else way


def _unmoved_by_others(score: Score, inputs: Tensors, rows: int, run: _Run) -> bool:
    first = torch.arange(rows)
    part = take_rows(inputs, first, score.size)
    with torch.no_grad(), probing():
        try:
            alone = run(score.take(first), part)
        except Exception as problem:
            if rows == score.size or _is_final(problem):  # it cannot be run at all
                raise
            return False
        if any(value.shape[:1] != (rows,) for value in alone):
            return False
        for others, neighbours in ((torch.cat([first[:1], first, first[1:], first, first[:1]]), _among_others),
                                   (torch.cat([first[:1], first, 0 * first]), _among_copies)):  # fmt: skip
            try:
                both = run(score.take(others), tuple(map(neighbours, part)))
            except Exception as problem:
                if _is_final(problem):
                    raise
                return False  # whatever a model raises where it takes no other batch
            if not all(
                value.shape[:1] == (len(others),) and alike(one, value[1 : rows + 1])
                for one, value in zip(alone, both, strict=True)
            ):
                if not all(map(alike, alone, run(score.take(first), part))):
                    raise _keeps_values()
                return False
        return True


def refuse_kept_values(score: Score, inputs: Tensors, limit: int) -> None:
    """Refuse a model whose second run of the same inputs gives other outputs. A model is run twice once.

    Raises:
        ConfinedError: the model keeps values between its calls, where they cannot be reset.
    """
    facts = facts_of(score.forward, score.target)
    if "steady" not in facts:
        part, of_rows = score, inputs
        with torch.no_grad(), probing():
            before: Tensors | None = None
            if score.size > limit:
                rows = torch.arange(limit)
                part, of_rows = score.take(rows), take_rows(inputs, rows, score.size)
                with contextlib.suppress(Exception):  # such as a graph, which is taken whole or not at all
                    before = _outputs(part, of_rows)
            if before is None:
                part, of_rows = score, inputs
                before = _outputs(part, of_rows)
            with contextlib.suppress(Exception):  # whatever a model raises where it takes no other values
                _outputs(part, tuple(_among_others(x)[len(x) + 1 : 2 * len(x) + 1] for x in of_rows))
            if not all(map(alike, before, _outputs(part, of_rows))):
                raise _keeps_values()
        facts["steady"] = None


def _keeps_values() -> ConfinedError:
    return ConfinedError(
        "model: a second run of the same inputs gives other outputs, as the model keeps values between its calls; wrap "
        "it in a module whose forward resets them first"
    )


def _is_final(problem: Exception) -> bool:
    own = isinstance(problem, ArgumentError) and not isinstance(problem, ShapeError)
    return own or isinstance(problem, torch.OutOfMemoryError)


def _outputs(score: Score, inputs: Tensors) -> Tensors:
    return _of_output(score, score.checked_output(inputs))


def _of_output(score: Score, output: ModelOutput) -> Tensors:
    value = score.target(output) if callable(score.target) else select_output(output)
    if not isinstance(value, Tensor):
        raise ArgumentError(f"target: expected a function that returns a tensor, got {type(value).__name__} from it")
    return (value,)


def _among_others(x: Tensor) -> Tensor:
    """Return a row of other content, the rows, and twice as many others: what neighbours may do shows in some place.

    The first row is moved by one, so that it changes its place in every chunk. Others are the rows times 1.25 and times
    0.9, so that whatever is largest or smallest in a batch is one of them, and still are such as the model may be
    given. A column of whole numbers keeps its own values, in reverse order: codes must stay within what an embedding
    knows.
    """
    if not x.is_floating_point():
        turned = x.flip(tuple(range(x.ndim)))
        return torch.cat([turned[:1], x, turned[1:], turned, turned[:1]])
    turned, codes = x.flip(0), (x == x.round()).all(0)
    larger, smaller = (torch.where(codes, turned, factor * x) for factor in (1.25, 0.9))
    return torch.cat([larger[:1], x, larger[1:], smaller, torch.where(codes, turned, turned / 2)[:1]])


def _among_copies(x: Tensor) -> Tensor:
    """Return the rows among as many copies of the first: what keeps a share of a batch by rank keeps others."""
    first = x[:1] if not x.is_floating_point() else torch.where((x == x.round()).all(0), x[:1], 1.25 * x[:1])
    return torch.cat([first, x, *[first] * len(x)])
