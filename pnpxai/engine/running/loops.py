"""Holds the two loops of all methods: weighted sums of gradients, and scores of perturbed inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor

from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.gradients import gradient, refuse_integers
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import Score, WholeBatchOutput
from pnpxai.engine.speed.layout import in_fast_layout
from pnpxai.engine.speed.row_cache import remembered
from pnpxai.tensors import Tensors

__all__ = ["gradient_sum", "perturbed_scores"]

Points = Callable[[Block], Tensors]
"""Function that returns the rows of a block: tensors (len(block), ...), step after step, each for all examples."""


def gradient_sum(
    score: Score, like: Tensors, points: Points, weights: Sequence[float], limit: int, *, show_progress: bool = False
) -> Tensors:
    """Return, for each example, the sum over steps of ``weights[step] * gradient(score)(points[step])``.

    The sum is streamed: memory does not grow with the number of steps. Where rows depend on each other, every pass
    holds one step of all examples.
    """
    refuse_integers(like)
    totals = tuple(torch.zeros_like(tensor) for tensor in like)
    weight = torch.tensor(list(weights), dtype=torch.float64)
    apart = cache(partial(rows_are_apart, score, like, limit))

    def visit(block: Block) -> None:
        *gradients, values = remembered("gradient", score.take(block.rows), points(block), _gradients, apart)
        if values.numel() == 1 and len(block) not in (1, score.size):
            raise _one_value()
        shape = (len(block.steps), len(block.examples))
        for total, part in zip(totals, gradients, strict=True):
            if len(block.steps) == 1:
                total[block.examples.start : block.examples.stop].add_(part, alpha=float(weight[block.steps.start]))
                continue
            scale = weight[block.steps.start : block.steps.stop].to(total.device, total.dtype)
            stepwise = part.reshape(*shape, *part.shape[1:])
            total[block.examples.start : block.examples.stop] += torch.tensordot(scale, stepwise, dims=1)

    in_blocks(score.size, len(weights), limit, visit, apart=apart, show_progress=show_progress, label="gradients")
    return totals


def perturbed_scores(
    score: Score,
    points: Points,
    n_steps: int,
    like: Tensors,
    *,
    at_most: int | None = None,
    name: str = "perturbations_per_eval",
    show_progress: bool = False,
    label: str = "",
    joint: bool = False,
) -> Tensor:
    """Return (examples, steps) scores of the perturbed inputs that ``points`` returns, computed without gradients.

    Where rows depend on each other, every pass holds one perturbed copy of all examples.

    Args:
        score: what is computed.
        points: gives the perturbed inputs.
        n_steps: number of perturbed inputs for each example.
        like: tensors whose rows are as large as those of the points.
        at_most: at most so many perturbed inputs of each example in one pass.
        name: what ``at_most`` is called.
        show_progress: show a progress bar.
        label: what the bar says.
        joint: of a model that gives one value for its whole batch, return (1, steps): all examples, step by step.

    Raises:
        WholeBatchOutput: there is one value for a batch of several examples, and ``joint`` is False.
    """
    results: list[Tensor] = []
    limit = row_limit(like, score.extra, at_most=None if at_most is None else at_most * score.size, name=name)
    apart = cache(partial(rows_are_apart, score, like, limit))

    def visit(block: Block) -> None:
        (values,) = remembered("score", score.take(block.rows), points(block), _scores, apart)
        together = values.numel() == 1 and len(block) > 1 and n_steps > 1
        if together and not (joint and len(block) == score.size):
            raise _one_value()
        examples, n_rows = (range(1), 1) if together else (block.examples, score.size)
        if not results:
            results.append(values.new_empty(n_rows, n_steps))
        part = values.expand(len(examples) * len(block.steps)).reshape(len(block.steps), len(examples)).T
        results[0][examples.start : examples.stop, block.steps.start : block.steps.stop] = part

    with torch.no_grad():
        in_blocks(score.size, n_steps, limit, visit, apart=apart, show_progress=show_progress, label=label)
    return results[0]


def _gradients(score: Score, rows: Tensors) -> Tensors:
    gradients, values = gradient(score, rows)
    return (*gradients, values)


def _scores(score: Score, rows: Tensors) -> Tensors:
    return (in_fast_layout(score, score, rows),)


def _one_value() -> WholeBatchOutput:
    return WholeBatchOutput(
        "model: it returns one value for a whole batch, so its rows cannot be computed in parts; "
        "return one value per example, or explain one example at a time"
    )
