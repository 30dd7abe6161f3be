"""Which positions the score goes by, from how it moves under smooth random masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pnpxai.attributors.base import Attributor, Baselines
from pnpxai.attributors.perturbation.games import perturbable, stand_ins, upper_bound
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.tensors import Tensors, like

__all__ = ["RISE"]

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class RISE(Attributor):
    """Mean score over random masks, weighted by how much of a position each lets through. Petsiuk et al., 2018.

    arXiv:1806.07421. The masks are coarse grids of zeros and ones, enlarged and shifted at random. Positions of ids,
    and of inputs with two dimensions (rows of a table, whose neighbours mean nothing), are drawn one by one instead.
    """

    def cost(self, inputs: Any, n_masks: int = 500, **settings: Any) -> int:
        """Return examples x n_masks."""
        return super().cost(inputs) * n_masks

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: Any = None,
        n_masks: int = 500,
        grid_size: int = 7,
        probability: float = 0.5,
        channel_axes: tuple[int | None, ...] | None = None,
        centred: bool = True,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        seed: int | RandomStream = 0,
    ) -> Any:
        """Return maps in the shape of ``inputs``, equal over channels.

        They have one row where the model gives one value for its batch. Memory does not grow with ``n_masks``, but for
        a score for each.

        Args:
            baselines: what shows where a mask lets nothing through; anything that broadcasts to the inputs.
            n_masks: number of masks.
            grid_size: cells of a grid along each axis of positions; at most one for each position.
            probability: that a cell lets the input through.
            channel_axes: for each input the axis of channels, which share a mask; by default the second of three or
                more dimensions.
            centred: take the mean score from all scores first. It moves a map by a constant, the mean score, and
                removes the noise that is that constant times how often a position happened to be let through.
            perturbations_per_eval: at most so many masks of each example in one pass; 1 leaves it to the device.
            seed: fixes the masks; mask k is the same for all examples of a batch.
        """
        count, side = whole_number("n_masks", n_masks), whole_number("grid_size", grid_size)
        if not 0 < probability < 1:
            raise ArgumentError(f"probability: expected a number between 0 and 1, got {probability!r}")
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, additional_forward_args)
            blanks = stand_ins(baselines, tensors)
            masks = [
                _Masks.of(f"input {k}", x, axis, side, probability, RandomStream.of(seed))
                for k, (x, axis) in enumerate(zip(tensors, _axes(channel_axes, tensors), strict=True))
            ]

            def points(block: Block) -> Tensors:
                part = slice(block.examples.start, block.examples.stop)
                return tuple(
                    _shown(mask.draw(block), x[part], blank[part]).flatten(0, 1)
                    for mask, x, blank in zip(masks, tensors, blanks, strict=True)
                )

            scores = perturbed_scores(
                score,
                points,
                count,
                tensors,
                asked=upper_bound(perturbations_per_eval),
                show_progress=show_progress,
                label="masks",
                joint=RandomStream.of(seed).ids is None,
            )
            weights = scores.to(torch.promote_types(scores.dtype, torch.float32)) / (count * probability)
            if centred:
                weights = weights - weights.mean(1, keepdim=True)
            limit = row_limit(tensors)
            maps = [mask.weighted(weights, limit) for mask in masks]
            return like(inputs, [_like_input(m, x, scores.dtype) for m, x in zip(maps, tensors, strict=True)])


@dataclass(frozen=True)
class _Masks:
    """The random masks of one input: drawn again whenever they are needed, never kept.

    Attributes:
        name: which input.
        positions: how many there are along each axis.
        shape: of a mask, as it goes with an example: a 1 where the channels are.
        cells: of the grid along each axis; None where positions are drawn one by one.
        probability: that a cell lets the input through.
        stream: what is drawn from.
        like: a tensor of the dtype and device of the masks.
    """

    name: str
    positions: tuple[int, ...]
    shape: tuple[int, ...]
    cells: tuple[int, ...] | None
    probability: float
    stream: RandomStream
    like: Tensor

    @classmethod
    def of(cls, name: str, x: Tensor, axis: int | None, side: int, probability: float, stream: RandomStream) -> _Masks:
        """Return the masks of an input."""
        positions = tuple(n for k, n in enumerate(x.shape) if k not in (0, axis))
        shape = tuple(1 if k == axis else n for k, n in enumerate(x.shape) if k > 0)
        smooth = x.is_floating_point() and x.ndim > 2 and len(positions) in _MODES
        cells = tuple(min(side, n) for n in positions) if smooth else None
        dtype = torch.promote_types(x.dtype, torch.float32) if x.is_floating_point() else torch.float32
        return cls(name, positions, shape, cells, probability, stream, x.new_empty(0, dtype=dtype))

    def draw(self, block: Block) -> Tensor:
        """Return (steps, 1 or examples, ...) masks of a block."""
        stream = self.stream.take(block.examples)
        sources = [g for step in block.steps for g in stream.generators(self.name, "mask", step)]
        cells = self.positions if self.cells is None else self.cells
        grids = torch.stack([torch.rand(cells, generator=g) for g in sources]) < self.probability
        masks = grids.to(self.like)
        if self.cells is not None:
            masks = self._enlarged(masks, sources)
        return masks.reshape(len(block.steps), -1, *self.shape)

    def _enlarged(self, grids: Tensor, sources: Sequence[torch.Generator]) -> Tensor:
        """Enlarge grids to a cell more than the input has, and cut out the input's size anywhere within that cell."""
        assert self.cells is not None  # noqa: S101
        sizes = [math.ceil(n / cells) for n, cells in zip(self.positions, self.cells, strict=True)]
        whole = [(cells + 1) * size for cells, size in zip(self.cells, sizes, strict=True)]
        masks = F.interpolate(grids[:, None], size=whole, mode=_MODES[len(sizes)])[:, 0]
        rows = []
        for mask, source in zip(masks, sources, strict=True):
            for axis, (n, size) in enumerate(zip(self.positions, sizes, strict=True)):
                mask = mask.narrow(axis, int(torch.randint(size, (1,), generator=source)), n)
            rows.append(mask)
        return torch.stack(rows)

    def weighted(self, weights: Tensor, limit: int) -> Tensor:
        """Return (rows, ...) the sum of the masks with weights (rows, steps)."""
        rows, steps = weights.shape
        weights = weights.to(self.like)
        total = weights.new_zeros(rows, math.prod(self.shape))
        for start in range(0, steps, limit):
            part = range(start, min(start + limit, steps))
            masks = self.draw(Block(range(rows), part))
            masks = masks.reshape(*masks.shape[:2], -1)
            now = weights[:, part.start : part.stop]
            total += now @ masks[:, 0] if masks.shape[1] == 1 else torch.einsum("es,sep->ep", now, masks)
        return total.reshape(rows, *self.shape)


def _shown(masks: Tensor, x: Tensor, blank: Tensor) -> Tensor:
    """Return the inputs where masks let them through, the baselines elsewhere, and a blend in between."""
    if not x.is_floating_point():
        return torch.where(masks > 0, x, blank)
    return torch.lerp(blank, x, masks.to(x.dtype))


def _like_input(found: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    return found.to(x.dtype if x.is_floating_point() else dtype).expand(len(found), *x.shape[1:]).contiguous()


def _axes(given: tuple[int | None, ...] | None, tensors: Tensors) -> tuple[int | None, ...]:
    if given is None:
        return tuple(1 if x.ndim > 2 else None for x in tensors)
    if len(given) != len(tensors):
        raise ArgumentError(f"channel_axes: expected one for each of {len(tensors)} inputs, got {given!r}")
    for axis, x in zip(given, tensors, strict=True):
        if axis is not None and not 0 < axis < x.ndim:
            raise ShapeError(f"channel_axes: expected an axis of {tuple(x.shape)}, not the first, got {axis}")
    return given
