"""The two loops that methods are made of: weighted sums of gradients along points, and scores of perturbed inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pnpxai.engine.batching import Block, in_blocks, row_limit
from pnpxai.engine.score import Score, WholeBatchOutput, gradient, refuse_integers
from pnpxai.tensors import Tensors

__all__ = ["gradient_sum", "perturbed_scores"]

Points = Callable[[Block], Tensors]
"""Gives the rows of a block: tensors (len(block), ...), step after step, each for all examples of the block."""


def gradient_sum(
    score: Score, like: Tensors, points: Points, weights: Sequence[float], limit: int, *, show_progress: bool = False
) -> Tensors:
    """Return, for each example, the sum over steps of ``weights[step] * gradient(score)(points[step])``.

    The sum is streamed: memory does not grow with the number of steps.
    """
    refuse_integers(like)
    totals = tuple(torch.zeros_like(tensor) for tensor in like)
    weight = torch.tensor(list(weights), dtype=torch.float64)

    def visit(block: Block) -> None:
        gradients, values = gradient(score.take(block.rows), points(block))
        _refuse_whole_batch(values, block, score.size, len(weights))
        shape = (len(block.steps), len(block.examples))
        for total, part in zip(totals, gradients, strict=True):
            scale = weight[block.steps.start : block.steps.stop].to(total.device, total.dtype)
            stepwise = part.reshape(*shape, *part.shape[1:])
            total[block.examples.start : block.examples.stop] += torch.tensordot(scale, stepwise, dims=1)

    try:
        in_blocks(score.size, len(weights), limit, visit, show_progress=show_progress, label="gradients")
    except WholeBatchOutput:
        for total in totals:
            total.zero_()
        in_blocks(score.size, len(weights), score.size * len(weights), visit, show_progress=show_progress)
    return totals


def perturbed_scores(
    score: Score,
    points: Points,
    n_steps: int,
    like: Tensors,
    *,
    asked: int | None = None,
    name: str = "perturbations_per_eval",
    show_progress: bool = False,
    label: str = "",
) -> Tensor:
    """Return (examples, steps) scores of the perturbed inputs that ``points`` gives, computed without gradients."""
    results: list[Tensor | None] = [None]
    limit = row_limit(like, score.extra, asked=None if asked is None else asked * score.size, name=name)

    def visit(block: Block) -> None:
        values = score.take(block.rows)(points(block))
        _refuse_whole_batch(values, block, score.size, n_steps)
        if results[0] is None:
            results[0] = values.new_empty(score.size, n_steps)
        part = values.expand(len(block)).reshape(len(block.steps), len(block.examples)).T
        results[0][block.examples.start : block.examples.stop, block.steps.start : block.steps.stop] = part

    with torch.no_grad():
        in_blocks(score.size, n_steps, limit, visit, show_progress=show_progress, label=label)
    assert results[0] is not None  # noqa: S101  (n_steps > 0)
    return results[0]


def _refuse_whole_batch(values: Tensor, block: Block, n_examples: int, n_steps: int) -> None:
    if values.numel() == 1 and len(block) > 1 and len(block) < n_examples * n_steps:
        raise WholeBatchOutput(
            "model: it returns one value for a whole batch, so its rows cannot be computed in parts; "
            "return one value per example, or explain one example at a time"
        )
