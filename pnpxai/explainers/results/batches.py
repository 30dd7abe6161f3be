"""Joins the parts of several batches into those of one, and compares parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions
from pnpxai.targets import TargetValue

__all__ = ["joined_values", "same_values"]


def same_values(one: object, other: object) -> bool:
    """Return whether two values are equal: tensors by dtype, device and numbers, containers member by member."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_values(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(same_values, one, other))
    return one == other


def _cat(parts: Sequence[Tensor]) -> Tensor:
    """Return batches as one; shorter ones (texts) get zeros at their ends."""
    longest = [max(sides) for sides in zip(*(part.shape[1:] for part in parts), strict=True)]
    gaps = [
        [gap for side, own in zip(longest[::-1], part.shape[:0:-1], strict=True) for gap in (0, side - own)]
        for part in parts
    ]
    return torch.cat(
        [torch.nn.functional.pad(part, gap) if any(gap) else part for part, gap in zip(parts, gaps, strict=True)]
    )


def joined_values(values: Sequence[Attributions]) -> Attributions:
    """Return the values of several batches as those of one."""
    first = values[0]
    if isinstance(first, Tensor):
        return _cat(values)
    if isinstance(first, list):
        return [member for value in values for member in value]
    if isinstance(first, dict):
        return {key: _cat([value[key] for value in values]) for key in first}
    if isinstance(first, tuple) and all(isinstance(member, Tensor) for member in first):
        return tuple(map(_cat, zip(*values, strict=True)))
    if isinstance(first, TargetValue) and first.is_per_example:
        return first.joined(values)
    if any(value != first for value in values):
        raise ArgumentError(f"targets: expected the same for all batches, or one for each example, got {list(values)}")
    return first
