"""Smooth random masks: coarse grids of zeros and ones, enlarged and shifted, or positions drawn one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pnpxai.engine.running.seeds import Draws

__all__ = ["RandomMasks"]

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class RandomMasks:
    """The random masks of one input: drawn again whenever they are needed, never kept.

    Attributes:
        draws: of each example, or of one for all.
        positions: number of positions along each axis.
        shape: of a mask, as it goes with an example: a 1 where the channels are, unless they are apart.
        cells: of the grid along each axis; None where positions are drawn one by one.
        apart: the axis of a mask whose channels have grids of their own; None where they share one.
        probability: that a cell lets the input through.
        hidden: (examples, positions) what is always let through.
        like: a tensor of the dtype and device of the masks.
    """

    draws: Draws
    positions: tuple[int, ...]
    shape: tuple[int, ...]
    cells: tuple[int, ...] | None
    apart: int | None
    probability: float
    hidden: Tensor | None
    like: Tensor

    @classmethod
    def of(
        cls, draws: Draws, x: Tensor, axis: int | None, side: int, probability: float,
        hidden: Tensor | None = None, *, each_channel: bool = False,
    ) -> RandomMasks:  # fmt: skip
        """Return the masks of an input."""
        positions = tuple(n for k, n in enumerate(x.shape) if k not in (0, axis))
        smooth = x.is_floating_point() and x.ndim > 2 and len(positions) in _MODES and hidden is None
        apart = axis - 1 if each_channel and smooth and axis is not None else None
        shape = tuple(1 if k == axis and apart is None else n for k, n in enumerate(x.shape) if k > 0)
        cells = tuple(min(side, n) for n in positions) if smooth else None
        dtype = torch.promote_types(x.dtype, torch.float32) if x.is_floating_point() else torch.float64
        like = x.new_empty(0, dtype=dtype)
        return cls(draws, positions, shape, cells, apart, probability, hidden, like)

    def shared(self) -> RandomMasks:
        """Return masks that all examples share: the first one's."""
        return replace(self, draws=self.draws[:1])

    def of_steps(self, examples: range, steps: Tensor) -> Tensor:
        """Return (steps, 1 or examples, ...) masks."""
        one = len(self.draws.keys) == 1
        own = (self.draws if one else self.draws[examples.start : examples.stop]).at(steps)
        return self._drawn(own, examples).reshape(len(steps), -1, *self.shape)

    def _drawn(self, own: Draws, examples: range) -> Tensor:
        """Return (steps, examples, *positions) masks of (steps, examples) draws."""
        if self.cells is not None:
            grid = self.cells if self.apart is None else (self.shape[self.apart], *self.cells)
            let_through = own.at(0).uniform(grid) < self.probability
            shifts = own.at(1).uniform((len(self.cells),))
            return self._enlarged(let_through.to(self.like).flatten(0, 1), shifts.flatten(0, 1))
        numbers = own.uniform((math.prod(self.positions),)) < self.probability
        if self.hidden is None:
            return numbers.to(self.like)
        masks = torch.ones(*own.keys.shape, *self.positions, dtype=torch.bool)
        for e, seen in enumerate(~self.hidden[examples.start : examples.stop].cpu()):
            masks[:, e, seen] = numbers[:, e, : int(seen.sum())]  # what follows the last place seen does not matter
        return masks.to(self.like)

    def _enlarged(self, grids: Tensor, shifts: Tensor) -> Tensor:
        """Enlarge grids to a cell more than the input has, and cut out the input's size anywhere within that cell."""
        assert self.cells is not None  # noqa: S101
        sizes = [math.ceil(n / cells) for n, cells in zip(self.positions, self.cells, strict=True)]
        whole = [(cells + 1) * size for cells, size in zip(self.cells, sizes, strict=True)]
        grids = grids[:, None] if self.apart is None else grids
        rows = []
        for mask, shift in zip(F.interpolate(grids, size=whole, mode=_MODES[len(sizes)]), shifts.tolist(), strict=True):
            for axis, (n, size) in enumerate(zip(self.positions, sizes, strict=True)):
                mask = mask.narrow(axis + 1, int(shift[axis] * size), n)
            rows.append(mask)
        masks = torch.stack(rows)
        return masks[:, 0] if self.apart is None else masks.movedim(1, self.apart + 1)

    def weighted(self, weights: Tensor, limit: int, power: int = 1) -> Tensor:
        """Return (rows, ...) the sum of the masks, each to a power, with weights (rows, steps)."""
        rows, steps = weights.shape
        weights = weights.to(self.like)
        total = weights.new_zeros(rows, math.prod(self.shape))
        for start in range(0, steps, limit):
            part = torch.arange(start, min(start + limit, steps))
            masks = self.of_steps(range(rows), part)
            masks = masks.reshape(*masks.shape[:2], -1) ** power
            now = weights[:, start : start + limit]
            total += now @ masks[:, 0] if masks.shape[1] == 1 else torch.einsum("es,sep->ep", now, masks)
        return total.reshape(rows, *self.shape)

    def error(self, weights: Tensor, limit: int) -> Tensor:
        r"""Return (rows, ...) the standard error of a map, of weights w (rows, steps) whose mean is zero.

        A map is the covariance of w_k and the masks m_k, over p: its variance is that of w_k (m_k - mean m), over N.
        """
        count = weights.shape[1]
        once = torch.ones_like(weights)
        mean = self.weighted(once, limit) / count
        first = self.weighted(weights, limit) - mean * weights.sum(1).reshape(-1, *[1] * (mean.ndim - 1)).to(mean)
        w2 = weights.square()
        flat = w2.sum(1).reshape(-1, *[1] * (mean.ndim - 1)).to(mean)
        second = self.weighted(w2, limit, 2) - 2 * mean * self.weighted(w2, limit) + mean.square() * flat
        variance = (second / count - (first / count).square()).clamp_min(0) / (count - 1)
        return variance.sqrt() / self.probability
