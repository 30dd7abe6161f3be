"""What the score loses while a window of baseline values slides over the input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Configured
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen, without
from pnpxai.attributors.perturbation.games import averaged_scores, perturbable
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["MultiScale", "Occlusion"]

Shapes: TypeAlias = tuple[int, ...] | tuple[tuple[int, ...], ...]
"""Shapes of windows: one for the only input, or one for each."""
Strides: TypeAlias = None | int | tuple[int, ...] | tuple[int | tuple[int, ...], ...]
"""Steps between windows: one for all axes and inputs, one for each axis, or these for each input."""


@dataclass(frozen=True)
class _Window:
    """One place of the sliding window: a box of one of the inputs."""

    input: int
    box: tuple[slice, ...]


class Occlusion(Attributor):
    """Mean loss of score over the windows that cover a feature. Zeiler and Fergus, 2014 (arXiv:1311.2901)."""

    _multiply_by_inputs = True

    def cost(
        self, inputs: ModelInputs, sliding_window_shapes: Shapes = (), strides: Strides = None, **settings: Any
    ) -> int:
        """Return one row for each window (and row of baselines) and one for the whole input, for each example."""
        tensors = as_tuple(inputs)
        n_rows = StandIns.of(settings.get("baselines"), tensors).n_rows
        return len(tensors[0]) * (1 + len(_windows(tensors, sliding_window_shapes, strides)) * n_rows)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        sliding_window_shapes: Shapes,
        strides: Strides = None,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, of one row where the model gives one value for its batch.

        What the model does not see, such as padding, gets zero.

        Args:
            inputs: see ``Attributor``.
            sliding_window_shapes: the window's size in each dimension but the first; one tuple for each input.
            strides: how far it moves in each dimension (a number: the same in all); 1 by default.
            baselines: what stands in the window instead: anything that broadcasts to the inputs, or ``Rows``, over
                which the score is averaged.
            target: see ``Attributor``.
            additional_forward_args: see ``Attributor``.
            perturbations_per_eval: at most so many windows of each example in one pass; 1 leaves it to the device.
            show_progress: see ``Attributor``.

        Raises:
            ArgumentError: a window or stride does not fit its input.
        """
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            windows = _windows(tensors, sliding_window_shapes, strides)
            hidden = unseen(self.forward_func, tensors, additional_forward_args)
            stand_ins = StandIns.of(baselines, tensors)

            def occluded(block: Block, steps: Tensor, rows: Tensor) -> Tensors:
                part = slice(block.examples.start, block.examples.stop)
                values = []
                for k, x in enumerate(tensors):
                    covered = torch.zeros(len(steps), 1, *x.shape[1:], dtype=torch.bool, device=x.device)
                    for position, step in enumerate(steps.tolist()):
                        if step > 0 and windows[step - 1].input == k:  # step 0 is the whole input
                            covered[(position, 0, *windows[step - 1].box)] = True
                    values.append(torch.where(covered, stand_ins.look_up(k, rows, block.examples), x[part]))
                return tuple(values)

            runs = torch.ones(1 + len(windows), stand_ins.n_rows, dtype=torch.bool)
            runs[0, 1:] = False
            scores = averaged_scores(
                score,
                tensors,
                stand_ins,
                occluded,
                1 + len(windows),
                runs=runs,
                perturbations_per_eval=perturbations_per_eval,
                show_progress=show_progress,
                label="windows",
            )
            maps = _spread(scores[:, :1] - scores[:, 1:], windows, tensors)
            return like(inputs, [without(m, out) for m, out in zip(maps, hidden, strict=True)])


class MultiScale(Attributor):
    r"""Mean of several maps, each scaled to standard deviation 1: (1 / K) \sum_k a_k / std a_k; of one map, that map.

    No mean is taken away: a loss stays a loss, and a gain a gain.

    Args:
        members: ``Occlusion``, configured with windows of several sizes; of members with the same windows one runs.
    """

    _multiply_by_inputs = True

    def __init__(self, members: Sequence[Configured]) -> None:
        if not members:
            raise ArgumentError("windows: expected at least one size, got none")
        super().__init__(members[0].forward_func)
        self.members = tuple(members)

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return the rows that all members run."""
        return sum(member.cost(inputs, **settings) for member in self._distinct(inputs))

    def attribute(
        self, inputs: ModelInputs, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> Attributions:
        """Return the mean map, in the shape of ``inputs``."""
        given = {"target": target, "additional_forward_args": additional_forward_args}
        members = self._distinct(inputs)
        tensors = as_tuple(inputs)
        hidden = unseen(self.forward_func, tensors, additional_forward_args)
        maps = [as_tuple(member.attribute(inputs, **given)) for member in members]
        if len(maps) == 1:
            return like(inputs, maps[0])
        maps = [_scaled(of, hidden) for of in maps]
        return like(inputs, [torch.stack(parts).mean(0) for parts in zip(*maps, strict=True)])

    def _distinct(self, inputs: ModelInputs) -> list[Configured]:
        windows: dict[str, Configured] = {}
        for member in self.members:
            settings = member.arguments(inputs)
            windows.setdefault(repr((settings["sliding_window_shapes"], settings["strides"])), member)
        return list(windows.values())


def _scaled(maps: Tensors, hidden: Sequence[Tensor | None]) -> Tensors:
    """Return maps whose values, without those of hidden positions, have standard deviation 1.

    A map that varies by less than a thousandth of its largest value is divided by that thousandth.
    """
    rows = len(maps[0])
    seen = [without(torch.ones_like(m), out).reshape(rows, -1).bool() for m, out in zip(maps, hidden, strict=True)]
    values = torch.cat([m.reshape(rows, -1).double() for m in maps], 1)
    counted = torch.cat(seen, 1)
    count = counted.sum(1).clamp_min(1)
    mean = (values * counted).sum(1) / count
    spread = (((values - mean[:, None]) * counted).square().sum(1) / count).sqrt()
    spread = torch.maximum(spread, 1e-3 * (values * counted).abs().amax(1))
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    scaled = (values / spread[:, None] * counted).split([s.shape[1] for s in seen], 1)
    return tuple(part.reshape(m.shape).to(m.dtype) for part, m in zip(scaled, maps, strict=True))


def _windows(tensors: Tensors, shapes: Shapes, strides: Strides) -> list[_Window]:
    if not isinstance(shapes, (tuple, list)):
        raise ArgumentError(f"sliding_window_shapes: expected a tuple, got {shapes!r}")
    nested = len(shapes) > 0 and all(isinstance(shape, (tuple, list)) for shape in shapes)
    per_input: tuple[Any, ...] = tuple(shapes) if nested else (tuple(shapes),)
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
