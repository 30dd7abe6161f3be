"""What users may give as a target, and the form in which scores keep it."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Protocol, SupportsIndex, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import own

__all__ = ["CheckedTarget", "OfExamples", "Target", "checked_target"]

Target: TypeAlias = (
    None | int | Tensor | tuple[int, ...] | Sequence[int] | Sequence[tuple[int, ...]] | Callable[[ModelOutput], Tensor]
)
"""Output to explain: an index for all examples, one per example, index tuples for outputs of more dimensions, or a
function of the model's output that gives one number per example. None where the model has a single output."""
CheckedTarget: TypeAlias = None | tuple[int, ...] | Tensor | Callable[[ModelOutput], Tensor]
"""Target in the form of ``Score.target``."""


@runtime_checkable
class OfExamples(Protocol):
    """Is a function of the output that may hold a value for each example."""

    def __call__(self, output: ModelOutput) -> Tensor:
        """Return one number for each example."""
        ...

    def take(self, rows: Tensor) -> Callable[[ModelOutput], Tensor]:
        """Return the function of some examples."""
        ...

    def check_size(self, size: int) -> None:
        """Refuse a number of examples other than the number of values."""
        ...


def checked_target(target: Target, size: int) -> CheckedTarget:
    """Return a target as a function, one index tuple for all examples, or a tensor (size, k) of k indices each.

    Raises:
        ArgumentError: it is none of these, or is not of so many examples.
    """
    if target is None or (callable(target) and not isinstance(target, Tensor)):
        if isinstance(target, OfExamples):
            target.check_size(size)
        return target
    if hasattr(target, "__array__") and not isinstance(target, (Tensor, numbers.Number)):
        target = torch.as_tensor(target)
    if isinstance(target, Tensor):
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise ArgumentError(f"target: expected whole numbers, got a tensor of {target.dtype}")
        if target.numel() == 1:
            return (int(target),)
        if target.ndim == 0 or target.shape[0] != size:
            raise ArgumentError(
                f"target: expected one entry for each of {size} examples, got shape {tuple(target.shape)}"
            )
        return own(target).reshape(size, -1).long()  # one made under inference mode cannot pick what is differentiated
    if isinstance(target, tuple):
        return tuple(_index(member) for member in target)
    if isinstance(target, list):
        if len(target) not in (1, size):
            raise ArgumentError(f"target: expected one entry for each of {size} examples, got {len(target)}")
        rows = [tuple(map(_index, t)) if isinstance(t, (tuple, list)) else (_index(t),) for t in target]
        if len({len(row) for row in rows}) > 1:
            raise ArgumentError("target: expected as many indices for each example, got some with more than others")
        return torch.tensor(rows)
    return (_index(target),)


def _index(value: object) -> int:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_floating_point():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ArgumentError(f"target: expected a whole number, got {value!r} ({type(value).__name__})")
    return int(value)
