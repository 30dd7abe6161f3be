"""Correlation of ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.statistics import pearson

__all__ = ["average_ranks", "spearman"]


def spearman(left: Tensor, right: Tensor) -> tuple[Tensor, list[bool]]:
    """Return (examples,) correlations of ranks along the last axis, and where both sides vary."""
    _, defined = pearson(left, right)
    values, _ = pearson(average_ranks(left), average_ranks(right))
    return values.to(left.dtype), defined


def average_ranks(values: Tensor) -> Tensor:
    """Return ranks along the last axis, in double precision; values that differ by rounding alone share theirs.

    Rounding is a few units in the last place of the largest value. No two values of a rank are farther apart than that:
    small gaps alone would chain thousands of values of a large picture together.
    """
    ordered, places = values.double().sort(dim=-1, stable=True)
    least = torch.finfo(values.dtype).eps ** 0.8 * values.double().abs().amax(-1, keepdim=True)
    apart = torch.nn.functional.pad(ordered.diff(dim=-1) > least, (1, 0), value=True)
    first = torch.where(apart, ordered, -torch.inf).cummax(-1).values  # of each chain of small gaps
    bins = ((ordered - first) / torch.where(least > 0, least, torch.ones_like(least))).floor()
    bins[..., 1:] -= bins[..., :-1].clone()  # where it changes within a chain, a group ends
    group = (apart | (bins != 0)).long().cumsum(-1) - 1
    ranks = torch.arange(1, values.shape[-1] + 1, dtype=torch.float64, device=values.device).expand_as(ordered)
    sums, sizes = (torch.zeros_like(ordered).scatter_add_(-1, group, part) for part in (ranks, torch.ones_like(ranks)))
    shared = (sums / sizes.clamp(min=1)).gather(-1, group)
    return torch.empty_like(shared).scatter_(-1, places, shared)
