"""What stands where a feature was: values that stand elsewhere, in other rows or in the example itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.engine.running.seeds import RandomStream, draws
from pnpxai.errors import ShapeError
from pnpxai.metrics.faithfulness.imputation import Fill, Imputer

__all__ = ["Elsewhere"]

_LARGEST = 2**31


class Elsewhere(Imputer):
    """Values of the same positions in another row, drawn anew for every set of removed features.

    Without rows, the example itself stands in, moved along its positions by a random number of them around its end:
    values as real as any, which say nothing of this place. The columns of a table have no neighbours: without rows they
    become zero.
    """

    name: ClassVar[str] = "elsewhere"
    examples: Tensor | None = None
    """(rows, ...) such as some of the training data, each row like an example."""

    def on(self, inputs: Tensor, channel_axis: int | None, stream: RandomStream) -> Fill:
        """Return what draws a row, or a distance, for each example and each set of removed positions.

        The draw is a number made of the set itself and of the example's own stream: it does not depend on which sets
        run together.

        Raises:
            ShapeError: the rows are not like the inputs.
        """
        rows = self._rows(inputs)
        starts = stream.of_examples((inputs,)).draws("elsewhere").below(_LARGEST).to(inputs.device)

        def fill(gone: Tensor, examples: range) -> Tensor:
            part = inputs[examples.start : examples.stop]
            sets = gone.reshape(*gone.shape[:2], -1)
            weights = draws("elsewhere", sets.shape[2]).below(_LARGEST, sets.shape[2:])
            drawn = (sets.long() * weights.to(gone.device)).sum(2) + starts[examples.start : examples.stop]
            other = _moved(part, channel_axis, drawn) if rows is None else rows[drawn % len(rows)]
            return torch.where(gone, other, part)

        return fill

    def _rows(self, inputs: Tensor) -> Tensor | None:
        if self.examples is None:
            return None
        if self.examples.shape[1:] != inputs.shape[1:] or not len(self.examples):
            raise ShapeError(
                f"Elsewhere: examples: expected rows of shape {tuple(inputs.shape[1:])}, as the inputs have, got "
                f"{tuple(self.examples.shape)}"
            )
        return self.examples.detach().to(inputs.device, inputs.dtype)


def _moved(inputs: Tensor, channel_axis: int | None, drawn: Tensor) -> Tensor:
    """Return (steps, examples, ...) the examples, each moved by what was drawn for it: at least one position."""
    if inputs.ndim < 2 or (channel_axis is None and inputs.ndim == 2 and inputs.is_floating_point()):
        return torch.zeros_like(inputs).expand(*drawn.shape, *inputs.shape[1:])
    moved = inputs.expand(len(drawn), *inputs.shape)
    for axis in range(1, inputs.ndim):
        side = inputs.shape[axis]
        if axis == channel_axis or side == 1:
            continue
        by = 1 + drawn % (side - 1)
        drawn = drawn // side
        shape = [1] * moved.ndim
        shape[axis + 1] = side
        places = (
            torch.arange(side, device=inputs.device).reshape(shape) + by.reshape(*by.shape, *[1] * (moved.ndim - 2))
        ) % side
        moved = moved.gather(axis + 1, places.expand(moved.shape))
    return moved
