"""Runs a method at a layer for a few examples at a time, and some of their steps in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from pnpxai.engine.running.batching import Block, in_blocks
from pnpxai.engine.running.row_independence import layer_rows_are_apart
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.site import Place
from pnpxai.errors import OutOfMemoryError, ShapeError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import Tensors

__all__ = ["Explain", "Pace", "in_parts", "in_steps", "joined", "stacked"]


@dataclass
class Pace:
    """Says how many steps go into one pass.

    Attributes:
        together: True if a pass must hold one step of all examples: rows depend on each other, or a layer's rows are
            not the examples. Else as many steps as suit the device share a pass.
        most: so many rows fit into memory, as far as is known.
    """

    together: bool = False
    most: int = 2**31


R = TypeVar("R")
Explain: TypeAlias = Callable[[Score, Tensors, Pace], tuple[Tensor, R]]
"""Function of some examples that returns their scores, and results as a nested structure of tensors."""


def in_parts(
    score: Score,
    inputs: Tensors,
    places: Sequence[Place],
    limit: int,
    explain: Explain[R],
    *,
    n_steps: int = 1,
    beside: Tensors = (),
    values_only: bool = False,
) -> R:
    """Return ``explain(score, (*inputs, *beside), pace)`` for at most ``limit`` examples at a time, joined.

    Where several examples or steps are wanted in parts or in one pass, it is looked up first whether the model's rows
    are computed apart, and whether the first axis of the values at the places is the examples.

    Args:
        score: of all examples.
        inputs: what the model is run on.
        places: where values are looked at.
        limit: so many examples at most.
        explain: returns the scores and what is wanted, a nested structure. It raises ShapeError where a value at a
            place has not one row for each row of the inputs.
        n_steps: how many steps there are for each example.
        beside: further tensors with one row per example.
        values_only: the values at the places alone are wanted, as of ``layer_rows_are_apart``.
    """
    parts: list[R] = []
    several = n_steps > 1 or score.size > limit
    pace = Pace(together=several and not layer_rows_are_apart(score, inputs, places, limit, values_only=values_only))

    def visit(block: Block) -> None:
        own = tuple(x[block.examples.start : block.examples.stop] for x in (*inputs, *beside))
        parts.append(explain(score.take(block.rows), own, pace)[1])

    def apart() -> bool:
        return not pace.together and (
            several or layer_rows_are_apart(score, inputs, places, limit, values_only=values_only)
        )

    try:
        in_blocks(score.size, 1, score.size if pace.together else limit, visit, apart=apart)
    except ShapeError:
        if pace.together:
            raise
        parts.clear()
        pace.together = True
        in_blocks(score.size, 1, score.size, visit, apart=lambda: False)
    return joined(parts)


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
    at_once = 1 if pace.together else max(1, min(limit, pace.most) // size)

    def run(block: Block) -> None:
        visit(block.steps, torch.arange(size).repeat(len(block.steps)))

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


def joined(parts: Sequence[ModelOutput]) -> ModelOutput:
    """Return equal structures as one, with their tensors joined along the first dimension."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, (tuple, list)):
        return type(first)(joined(members) for members in zip(*parts, strict=True))
    return first
