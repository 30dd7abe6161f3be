"""What is computed at layers, in parts: a few examples at a time, and of these a few steps in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.batching import Block, in_blocks
from pnpxai.engine.running.score import Score, WholeBatchOutput
from pnpxai.engine.running.site import AtSites, Call, Place
from pnpxai.errors import ArgumentError, OutOfMemoryError, ShapeError
from pnpxai.tensors import Tensors

__all__ = ["Explain", "Pace", "in_parts", "in_steps", "joined", "rows_are_examples", "stacked"]


@dataclass
class Pace:
    """How many steps go into one pass.

    Attributes:
        steps: one where a layer's rows are not the examples, all where the model gives one value for its whole batch,
            else as many as suit the device.
        most: so many rows fit into memory, as far as is known.
    """

    steps: Literal["one", "some", "all"] = "some"
    most: int = 2**31


Explain: TypeAlias = Callable[[Score, Tensors, Pace], tuple[Tensor, Any]]
"""Gives, for some examples, their scores and what is wanted: a nested structure of tensors."""


def in_parts(
    score: Score,
    inputs: Tensors,
    places: Sequence[Place],
    limit: int,
    explain: Explain,
    *,
    beside: Tensors = (),
    probe: bool | None = True,
) -> Any:
    """Return ``explain(score, (*inputs, *beside), pace)`` for at most ``limit`` examples at a time, joined.

    Args:
        score: of all examples.
        inputs: what the model is run on.
        places: where values are looked at.
        limit: so many examples at most; all at once where the parts could not be joined.
        explain: returns the scores and what is wanted, a nested structure. It raises ShapeError where a value at a
            place has not one row for each row of the inputs.
        beside: further tensors with one row per example.
        probe: run one example first to see whether a layer's rows are the examples. False: only where there are several
            parts (``explain`` notices by itself where steps cannot be stacked). None: it is known that they are.
    """
    parts: list[Any] = []
    pace = Pace()
    if (probe or (probe is not None and score.size > limit)) and not rows_are_examples(score, inputs, places):
        pace.steps = "one"

    def visit(block: Block) -> None:
        own = tuple(x[block.examples.start : block.examples.stop] for x in (*inputs, *beside))
        scores, result = explain(score.take(block.rows), own, pace)
        if scores.numel() == 1 and 1 < len(block) < score.size:
            raise WholeBatchOutput("model: it returns one value for a whole batch, so it cannot be run in parts")
        parts.append(result)

    while True:
        try:
            in_blocks(score.size, 1, limit if pace.steps == "some" else score.size, visit)
            return joined(parts)
        except (WholeBatchOutput, ShapeError) as problem:
            if pace.steps != "some":
                raise
            parts.clear()
            pace.steps = "all" if isinstance(problem, WholeBatchOutput) else "one"


def in_steps(
    size: int,
    n_steps: int,
    pace: Pace,
    limit: int,
    visit: Callable[[range, Tensor], Tensor],
    *,
    show_progress: bool = False,
    label: str = "",
) -> None:
    """Call ``visit(steps, rows)`` with the numbers of some steps, in order, and the example of each row of their pass.

    A visit returns the scores of its rows.
    """
    at_once = {"one": 1, "all": n_steps}.get(pace.steps, max(1, min(limit, pace.most) // size))

    def run(block: Block) -> None:
        rows = torch.arange(size).repeat(len(block.steps))
        scores = visit(block.steps, rows)
        if scores.numel() < rows.numel() and pace.steps == "some" and len(block.steps) < n_steps:
            raise WholeBatchOutput("model: it returns one value for a whole batch, so its steps cannot be run apart")

    try:
        left = in_blocks(1, n_steps, at_once, run, show_progress=show_progress, label=label)
    except OutOfMemoryError:  # of one step of these examples; fewer of them may fit
        pace.most = max(1, size // 2)
        raise
    if left < at_once:
        pace.most = left * size


def stacked(tensor: Tensor, steps: range) -> Tensor:
    """Return (steps, rows, ...) of a tensor that holds step after step."""
    return tensor.reshape(len(steps), tensor.shape[0] // len(steps), *tensor.shape[1:])


def joined(parts: Sequence[Any]) -> Any:
    """Return structures that are alike as one, their tensors joined along the first dimension."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, (tuple, list)):
        return type(first)(joined(members) for members in zip(*parts, strict=True))
    return first


def rows_are_examples(
    score: Score, inputs: Tensors, places: Sequence[Place], *, stop: bool = True, numbers: bool = True
) -> bool:
    """Run one example (two copies, of a batch of one): has each value at the places as many rows?

    Raises:
        ArgumentError: the places cannot be read.
    """
    rows = torch.zeros(1 if score.size > 1 else 2, dtype=torch.long)
    given = tuple(x.index_select(0, rows.to(x.device)) for x in inputs)
    call = Call((*given, *score.take(rows).extra))
    try:
        found = AtSites(score.forward, places).read(call, stop=stop, alone=False, numbers=numbers)
    except ArgumentError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError):  # it may run on whole batches only
        return False
    others = [m for held in found.members for m in held if m is not None and not m.is_floating_point()]
    return all(tensor.shape[:1] == rows.shape for tensor in (*found.values, *others))
