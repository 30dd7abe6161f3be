"""Ranks, and correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["pearson", "ranks"]


def ranks(table: Sequence[float] | np.ndarray, *, higher_is_better: bool) -> np.ndarray:
    """Return ranks along the last axis, 1 the best, ties sharing their mean; NaN ranks below all numbers."""
    from scipy.stats import rankdata

    values = np.asarray(table, dtype=float)
    oriented = -values if higher_is_better else values
    return rankdata(np.where(np.isnan(oriented), np.inf, oriented), axis=-1)


def pearson(left: Tensor, right: Tensor) -> tuple[Tensor, list[bool]]:
    """Return (examples,) correlations along the last axis, and where they are defined (both sides vary)."""
    a, b = (x.double() - x.double().mean(-1, keepdim=True) for x in (left, right))
    size_a, size_b = a.norm(dim=-1), b.norm(dim=-1)
    # what varies by rounding alone does not vary
    defined = (size_a > 1e-6 * left.double().norm(dim=-1)) & (size_b > 1e-6 * right.double().norm(dim=-1))
    product = torch.where(defined, size_a * size_b, torch.ones_like(size_a))
    return ((a * b).sum(-1) / product).to(left.dtype), defined.tolist()
