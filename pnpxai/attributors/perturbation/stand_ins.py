"""What takes the place of absent elements: one baseline for each example, or rows that are averaged over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from pnpxai.attributors.baseline_arguments import Baselines, broadcast_baselines
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.tensors import Tensors, check_finite

B = TypeVar("B")

__all__ = ["Rows", "StandIns"]


@dataclass(frozen=True)
class Rows:
    """Baselines over which the score is averaged: row r of each input stands in together with row r of the others.

    Attributes:
        each: for each input (rows or 1, examples or 1, ...): rows for all examples, or for each of them.
    """

    each: Tensors


@dataclass(frozen=True)
class StandIns:
    """What stands in for absent elements of each input.

    Attributes:
        each: (rows or 1, examples or 1, ...), as many further dimensions as the input has.
    """

    each: Tensors

    @classmethod
    def of(cls, baselines: Baselines | Rows, tensors: Tensors, name: str = "baselines") -> StandIns:
        """Read baselines: anything that broadcasts to ``tensors``, or ``Rows``.

        Raises:
            ArgumentError: there are not as many as inputs, or not as many rows for each.
            ShapeError: a baseline does not fit its input.
            NonFiniteError: a baseline is NaN or infinite.
        """
        if isinstance(baselines, Rows):
            return cls(_checked_rows(baselines.each, tensors, name))
        if isinstance(baselines, (tuple, list)) and len(baselines) == len(tensors):
            fitted: Baselines = tuple(map(_expanded, baselines, tensors))
        else:
            fitted = _expanded(baselines, tensors[0]) if len(tensors) == 1 else baselines
        return cls(tuple(blank[None] for blank in broadcast_baselines(fitted, tensors, name)))

    @property
    def n_rows(self) -> int:
        """Number of rows that the score is averaged over."""
        return max(len(rows) for rows in self.each)

    def look_up(self, k: int, rows: Tensor, examples: range) -> Tensor:
        """Return (steps, 1 or examples, ...) what stands in input k when step s takes row ``rows[s]``."""
        values = self.each[k]
        values = values if len(values) == 1 else values[rows.to(values.device)]
        return values if values.shape[1] == 1 else values[:, examples.start : examples.stop]


def _checked_rows(each: Tensors, tensors: Tensors, name: str) -> Tensors:
    if len(each) != len(tensors):
        raise ArgumentError(f"{name}: expected rows for each of {len(tensors)} inputs, got {len(each)}")
    if len({len(rows) for rows in each} - {1}) > 1:
        raise ArgumentError(f"{name}: expected as many rows for each input, got {[len(rows) for rows in each]}")
    check_finite(name, each)
    for rows, x in zip(each, tensors, strict=True):
        if not len(rows) or rows.shape[2:] != x.shape[1:] or rows.shape[1] not in (1, len(x)):
            raise ShapeError(f"{name}: expected rows of shape {tuple(x.shape[1:])}, got {tuple(rows.shape[2:])}")
    return tuple(rows.detach().to(x.device, x.dtype) for rows, x in zip(each, tensors, strict=True))


def _expanded(value: B, tensor: Tensor) -> B | Tensor:
    if not isinstance(value, Tensor) or value.ndim > tensor.ndim:
        return value
    shape = (1,) * (tensor.ndim - value.ndim) + tuple(value.shape)
    fits = all(m in (1, n) for m, n in zip(shape, tensor.shape, strict=True))
    return value.expand(tensor.shape) if fits else value
