"""Whether the rows of a model's batch are computed apart: found out by running a batch beside another one."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.running.places import Site
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.score import Score, select_output
from pnpxai.errors import OutOfMemoryError
from pnpxai.tensors import Tensors, alike, flat, take_rows

__all__ = ["facts_of", "model_behind", "rows_are_apart"]

_FACTS: weakref.WeakKeyDictionary[Any, dict[Hashable, dict[Hashable, Any]]] = weakref.WeakKeyDictionary()
_MOST_WAYS = 256  # of a model, such as targets that are functions


def rows_are_apart(score: Score, inputs: Tensors, limit: int) -> bool:
    """Return True if steps may share a pass and a batch may be split: no row's output depends on its neighbours.

    The first examples are run once alone, and once behind as many rows of other content; their outputs must be the
    same. A model that exchanges messages along edges, attends over rows or normalises by its batch gives other outputs,
    one that is made for a batch size fails. A model whose rows are apart is asked once, for inputs of one form.

    Args:
        score: what will be run in many passes.
        inputs: the inputs of all its examples.
        limit: the number of rows that a pass may have. All examples are run if twice as many fit into it, since a
            graph's edges reach all of its nodes; else half as many rows as fit.
    """
    size = score.size
    rows = size if 2 * size <= limit else max(1, min(size, limit) // 2)
    form = tuple((t.ndim and t.shape[0] == size, t.shape[1:], t.dtype, t.device) for t in flat((inputs, score.extra)))
    facts = facts_of(score)
    if ("apart", form) in facts:
        return True
    if ("together", form, size, limit) in facts:
        return False
    try:
        apart = _unmoved_by_others(score, inputs, rows)
    except (torch.OutOfMemoryError, OutOfMemoryError):
        return rows == 1 or rows_are_apart(score, inputs, rows)  # half as many
    facts[("apart", form) if apart else ("together", form, size, limit)] = None
    return apart


def facts_of(score: Score) -> dict[Hashable, Any]:
    """Return a dictionary that is kept as long as the score's model lives, one for each way it is asked and run."""
    target = weakref.ref(score.target) if callable(score.target) else score.target is None
    try:
        model, way = model_behind(score.forward)
        ways = _FACTS.setdefault(model, {})
        if len(ways) > _MOST_WAYS:
            ways.clear()
        return ways.setdefault((_weak(way), target), {})
    except TypeError:  # no weak reference to it, or no key of it
        return {}


def model_behind(forward: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the model that a function runs, and how it runs it: a wrapper says so by its method ``runs_model()``."""
    way: tuple[Any, ...] = ()
    while not isinstance(forward, torch.nn.Module) and hasattr(type(forward), "runs_model"):
        forward, own = forward.runs_model()
        way = (*way, own)
    if hasattr(forward, "__func__"):  # a bound method is made anew each time it is looked up
        forward, way = forward.__self__, (*way, forward.__func__)
    return forward, way


def _weak(way: Any) -> Hashable:
    """Return a key that keeps no layer alive, since a fact about a model must not outlive it."""
    if isinstance(way, Site):
        return weakref.ref(way.module), way.side
    return tuple(map(_weak, way)) if type(way) is tuple else way


def _unmoved_by_others(score: Score, inputs: Tensors, rows: int) -> bool:
    first = torch.arange(rows)
    part = take_rows(inputs, first, score.size)
    with torch.no_grad(), probing():
        try:
            alone = _outputs(score.take(first), part)
        except Exception as problem:
            if rows == score.size or isinstance(problem, torch.OutOfMemoryError):  # it cannot be run at all
                raise
            return False
        if alone.ndim == 0 or alone.shape[0] != rows:
            return False
        try:
            both = _outputs(score.take(first.repeat(2)), tuple(torch.cat([_unlike(x), x]) for x in part))
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001  (whatever a model raises where it takes no other batch)
            return False
        return both.shape[:1] == (2 * rows,) and alike(alone, both[rows:])


def _outputs(score: Score, inputs: Tensors) -> Tensor:
    output = score.output(inputs)
    return score.target(output) if callable(score.target) else select_output(output)


def _unlike(x: Tensor) -> Tensor:
    """Return other rows of the same kind: the examples and their elements in reverse, numbers halved too."""
    turned = x.flip(tuple(range(x.ndim)))
    return turned / 2 if turned.is_floating_point() else turned
