"""Counts the value of a feature once, where attributions repeat it at all elements of the feature."""

from __future__ import annotations

import torch

from pnpxai.tensors import Tensors

__all__ = ["counted_once"]


def counted_once(attributions: Tensors, feature_mask: Tensors) -> Tensors:
    """Return attributions in which the value of a feature stands at its first element alone, so that sums are right."""
    sizes = [a[:1].numel() for a in attributions]
    flat_masks = torch.cat([ids.reshape(len(ids), -1).cpu() for ids in feature_mask], 1)
    first = torch.zeros_like(flat_masks, dtype=torch.bool)
    for row, ids in zip(first, flat_masks, strict=True):
        labels, where = torch.unique(ids, return_inverse=True)
        places = torch.full((len(labels),), len(ids)).scatter_reduce_(0, where, torch.arange(len(ids)), "amin")
        row[places[labels >= 0]] = True
    return tuple(
        torch.where(own.reshape(len(own), *a.shape[1:]).to(a.device), a, torch.zeros_like(a))
        for own, a in zip(first.split(sizes, 1), attributions, strict=True)
    )
