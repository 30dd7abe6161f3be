"""What the score loses while a window of baseline values slides over the input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.games import blended, perturbable, stand_ins, upper_bound
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["Occlusion"]


@dataclass(frozen=True)
class _Window:
    """One place of the sliding window: a box of one of the inputs."""

    input: int
    box: tuple[slice, ...]


class Occlusion(Attributor):
    """Mean loss of score over the windows that cover a feature. Zeiler and Fergus, 2014 (arXiv:1311.2901)."""

    _multiply_by_inputs = True

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        super().__init__(forward_func)

    def cost(self, inputs: Any, sliding_window_shapes: Any = (), strides: Any = None, **settings: Any) -> int:
        """Return one row for each window and one for the whole input, for each example."""
        return super().cost(inputs) * (1 + len(_windows(as_tuple(inputs), sliding_window_shapes, strides)))

    def attribute(
        self,
        inputs: Tensor | Tensors,
        sliding_window_shapes: tuple[int, ...] | tuple[tuple[int, ...], ...],
        strides: None | int | tuple[int, ...] | tuple[int | tuple[int, ...], ...] = None,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Any:
        """Return attributions in the shape of ``inputs``, of one row where the model gives one value for its batch.

        Args:
            sliding_window_shapes: the window's size in each dimension but the first; one tuple for each input.
            strides: how far it moves in each dimension (a number: the same in all); 1 by default.
            baselines: what stands in the window instead.
            perturbations_per_eval: at most so many windows of each example in one pass; 1 leaves it to the device.

        Raises:
            ArgumentError: a window or stride does not fit its input.
        """
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            windows = _windows(tensors, sliding_window_shapes, strides)

            def kept(k: int, block: Block) -> Tensor:
                x = tensors[k]
                mask = torch.ones(len(block.steps), 1, *x.shape[1:], dtype=torch.bool, device=x.device)
                for position, step in enumerate(block.steps):
                    if step > 0 and windows[step - 1].input == k:  # step 0 is the whole input
                        mask[(position, 0, *windows[step - 1].box)] = False
                return mask

            scores = perturbed_scores(
                score,
                blended(tensors, stand_ins(baselines, tensors), kept),
                1 + len(windows),
                tensors,
                asked=upper_bound(perturbations_per_eval),
                show_progress=show_progress,
                label="windows",
                joint=True,
            )
            return like(inputs, _spread(scores[:, :1] - scores[:, 1:], windows, tensors))


def _windows(tensors: Tensors, shapes: Any, strides: Any) -> list[_Window]:
    if not isinstance(shapes, (tuple, list)):
        raise ArgumentError(f"sliding_window_shapes: expected a tuple, got {shapes!r}")
    nested = len(shapes) > 0 and all(isinstance(shape, (tuple, list)) for shape in shapes)
    per_input = tuple(shapes) if nested else (tuple(shapes),)
    if not isinstance(strides, (tuple, list)):
        moves: tuple[Any, ...] = (1 if strides is None else strides,) * len(tensors)
    elif len(tensors) == 1 and not (len(strides) == 1 and isinstance(strides[0], (tuple, list))):
        moves = (tuple(strides),) if len(strides) != 1 else tuple(strides)
    else:
        moves = tuple(strides)
    if len(per_input) != len(tensors) or len(moves) != len(tensors):
        raise ArgumentError(
            f"sliding_window_shapes, strides: expected one for each of {len(tensors)} inputs, "
            f"got {len(per_input)} and {len(moves)}"
        )
    return [
        _Window(k, box)
        for k, (tensor, shape, move) in enumerate(zip(tensors, per_input, moves, strict=True))
        for box in _boxes(tuple(tensor.shape[1:]), tuple(shape), move)
    ]


def _boxes(sizes: tuple[int, ...], window: tuple[int, ...], move: Any) -> list[tuple[slice, ...]]:
    steps = tuple(move) if isinstance(move, (tuple, list)) else (move,) * len(sizes)
    if len(window) != len(sizes) or len(steps) != len(sizes):
        raise ArgumentError(
            f"sliding_window_shapes, strides: expected {len(sizes)} numbers for an input of shape {sizes} per example, "
            f"got {window} and {steps}"
        )
    for number in (*window, *steps):
        whole_number("sliding_window_shapes, strides", number, 0)
    axes = []
    for size, width, step in zip(sizes, window, steps, strict=True):
        if not 1 <= width <= size:
            raise ArgumentError(f"sliding_window_shapes: expected sizes from 1 to {sizes}, got {window}")
        if step < 1 or (step > width and width < size):
            raise ArgumentError(f"strides: expected steps from 1 to the window {window} (else gaps stay), got {steps}")
        count = math.ceil((size - width) / step) + 1
        axes.append([slice(i * step, min(i * step + width, size)) for i in range(count)])
    return list(itertools.product(*axes))


def _spread(losses: Tensor, windows: list[_Window], tensors: Tensors) -> list[Tensor]:
    """Give every cell the mean loss of the windows that cover it."""
    totals = [
        losses.new_zeros(len(losses), *x.shape[1:], dtype=x.dtype if x.is_floating_point() else None).to(x.device)
        for x in tensors
    ]
    counts = [torch.zeros(x.shape[1:], device=x.device) for x in tensors]
    for k, window in enumerate(windows):
        total = totals[window.input]
        column = losses[:, k].to(total.device, total.dtype)
        total[(slice(None), *window.box)] += column.reshape(-1, *[1] * (total.ndim - 1))
        counts[window.input][window.box] += 1
    return [total / count.to(total.dtype) for total, count in zip(totals, counts, strict=True)]
