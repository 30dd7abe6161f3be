"""Features of inputs: what maps say of each, and inputs with some of them removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.batching import Block
from pnpxai.errors import ShapeError
from pnpxai.metrics.base import Sample
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.tensors import Tensors, own

__all__ = ["Features", "position_maps"]


def position_maps(attributions: Tensors, inputs: Tensors, channel_dim: int | None) -> Tensors:
    """Return maps without channels, (examples, *positions), one for each input.

    A map with as many dimensions as its input (of three or more) is summed over ``channel_dim``; one with a dimension
    less is taken as it is; so is a map of a table (examples, columns).

    Raises:
        ShapeError: a map does not fit its input.
    """
    if len(attributions) != len(inputs):
        raise ShapeError(f"attributions: expected one for each of {len(inputs)} inputs, got {len(attributions)}")
    return tuple(_positions(a, x, channel_dim) for a, x in zip(attributions, inputs, strict=True))


def _positions(attribution: Tensor, tensor: Tensor, channel_dim: int | None) -> Tensor:
    axis = _channel_axis(tensor, channel_dim)
    wanted = list(tensor.shape)
    if axis is not None:
        del wanted[axis]
        if attribution.ndim == tensor.ndim:
            attribution = attribution.sum(axis)
    elif attribution.ndim == tensor.ndim + 1:  # token ids, explained at their embedding
        attribution = attribution.sum(-1)
    if list(attribution.shape) != wanted:
        raise ShapeError(
            f"attributions: expected a map of shape {tuple(wanted)} (with or without channels) for an input of shape "
            f"{tuple(tensor.shape)}, got {tuple(attribution.shape)}"
        )
    return attribution


def _channel_axis(tensor: Tensor, channel_dim: int | None) -> int | None:
    return None if channel_dim is None or tensor.ndim <= 2 else channel_dim % tensor.ndim


@dataclass(frozen=True)
class Features:
    """The features of a sample, numbered through all its inputs.

    Attributes:
        values: (examples, features) what the map gives each, summed over its positions.
        count: number of features.
    """

    values: Tensor
    count: int
    ids: tuple[Tensor, ...]
    inputs: Tensors
    blanks: Tensors
    channel_dim: int | None

    @classmethod
    def of(
        cls, sample: Sample, feature_mask_fn: FeatureMask, baseline_fn: Baseline, channel_dim: int | None
    ) -> Features:
        """Group the positions of a sample's inputs and add up its maps in each group."""
        maps = position_maps(sample.attributions, sample.tensors, channel_dim)
        ids, parts, count = [], [], 0
        for values in maps:
            flat_ids = feature_mask_fn(values).expand(values.shape).flatten(1)
            groups = int(flat_ids.max()) + 1
            parts.append(values.new_zeros(len(values), groups).scatter_add_(1, flat_ids, values.flatten(1)))
            ids.append(flat_ids + count)
            count += groups
        blanks = tuple(baseline_fn(own(x)) for x in sample.tensors)
        return cls(torch.cat(parts, 1), count, tuple(ids), sample.tensors, blanks, channel_dim)

    def without(self, removed: Tensor, block: Block) -> Tensors:
        """Return the rows of a block with features blanked.

        Args:
            removed: (rows, features) which features are gone.
            block: examples and steps of the rows.
        """
        rows = block.rows
        return tuple(
            self._blanked(x, blank, ids, removed, rows)
            for x, blank, ids in zip(self.inputs, self.blanks, self.ids, strict=True)
        )

    def _blanked(self, x: Tensor, blank: Tensor, ids: Tensor, removed: Tensor, rows: Tensor) -> Tensor:
        rows = rows.to(x.device)
        axis = _channel_axis(x, self.channel_dim)
        shape: list[Any] = [len(rows), *x.shape[1:]]
        if axis is not None:
            del shape[axis]
        gone = removed.to(x.device).gather(1, ids.to(x.device)[rows]).reshape(shape)
        if axis is not None:
            gone = gone.unsqueeze(axis)
        return torch.where(gone, blank[rows], x[rows])
