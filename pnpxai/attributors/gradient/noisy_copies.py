"""Adds noise to inputs: how strong it is, the copies that carry it, and the baseline row that each of them takes."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.attributors.padding import filled
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.seeds import Hidden, RandomStream, at_seen
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors

__all__ = ["Deviation", "RelativeNoise", "deviations", "drawn_rows", "noisy_copies"]


@dataclass(frozen=True)
class RelativeNoise:
    """Computes a standard deviation of noise that follows the data.

    Attributes:
        level: the deviation as a fraction of each example's range (max - min over all but the batch dimension).
        columns: (columns,) spread of each column of a table. For rows with that number of columns, ``level`` is a
            fraction of the spread instead, since every column has its own unit.
    """

    level: float
    columns: Tensor | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the deviations, (examples, 1, ...), or (examples, columns)."""
        if self.columns is not None and inputs.shape[1:] == self.columns.shape:
            return self.level * self.columns.to(inputs.device, inputs.dtype).expand_as(inputs)
        values = inputs.reshape(inputs.shape[0], -1)
        spread = values.amax(1) - values.amin(1)
        return self.level * spread.reshape(-1, *[1] * (inputs.ndim - 1))


Deviation = float | Callable[[Tensor], Tensor]


def deviations(
    stdevs: Deviation | tuple[Deviation, ...] | list[Deviation], tensors: Tensors, hidden: Hidden = ()
) -> list[Tensor | float]:
    """Return the standard deviation of each input's noise: a number, or a tensor that broadcasts to the input.

    A function is given inputs whose ``hidden`` positions repeat a seen one.

    Raises:
        ArgumentError: a deviation is not a number >= 0, or there are not as many as inputs.
    """
    each: tuple[Deviation, ...] = tuple(stdevs) if isinstance(stdevs, (tuple, list)) else (stdevs,) * len(tensors)
    if len(each) != len(tensors):
        raise ArgumentError(f"stdevs: expected one for each of {len(tensors)} inputs, got {len(each)}")
    scales: list[Tensor | float] = []
    for value, tensor, out in zip(each, tensors, hidden or (None,) * len(tensors), strict=True):
        if callable(value) and not isinstance(value, numbers.Real):
            scales.append(value(filled(tensor.detach(), out)))
        elif isinstance(value, bool) or not hasattr(value, "__float__") or not 0 <= float(value) < float("inf"):
            raise ArgumentError(f"stdevs: expected a number >= 0, got {value!r}")
        else:
            scales.append(float(value))
    return scales


def noisy_copies(
    tensors: Tensors,
    scales: list[Tensor | float],
    stream: RandomStream,
    block: Block,
    clean_after: int = -1,
    antithetic: bool = False,
    hidden: Hidden = (),
) -> Tensors:
    """Return a block's rows with noise added.

    Args:
        tensors: all examples.
        scales: standard deviations as ``deviations`` returns them.
        stream: random numbers of all examples, with ids.
        block: the examples and steps (copies) of the block.
        clean_after: number, counted from one, of the copy without noise.
        antithetic: every second copy has the noise of the copy before with the opposite sign.
        hidden: positions without noise, such as padding.
    """
    part = slice(block.examples.start, block.examples.stop)
    steps = torch.tensor(block.steps)
    signs = 1 - 2 * (steps % 2) if antithetic else torch.ones_like(steps)
    signs[steps == clean_after - 1] = 0
    numbers, places = (steps // 2 if antithetic else steps).unique(return_inverse=True)
    results = []
    for k, (tensor, scale, out) in enumerate(zip(tensors, scales, hidden or (None,) * len(tensors), strict=True)):
        x = tensor.detach()[part]
        x = x.expand(len(steps), *x.shape)
        if x.is_floating_point():  # ids carry no noise
            drawn = stream.draws("noise", k)[part].at(numbers).normal(x.shape[2:], x)
            noise = at_seen(drawn, None if out is None else out[part], 2)[places.to(x.device)]
            width = scale[part] if isinstance(scale, Tensor) else scale
            x = x + signs.to(x).reshape(-1, *[1] * (x.ndim - 1)) * width * noise
        results.append(x.flatten(0, 1))
    return tuple(results)


def drawn_rows(count: int, stream: RandomStream, block: Block) -> Tensor:
    """Return the number of one of ``count`` baseline rows for each row of a block, drawn anew for each step."""
    own = stream.draws("baseline")[block.examples.start : block.examples.stop]
    return own.at(block.steps).below(count).flatten()
