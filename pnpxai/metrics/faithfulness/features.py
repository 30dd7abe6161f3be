"""Features of inputs: what maps say of each, and inputs with some of them removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.metrics.faithfulness.imputation import Fill, filling
from pnpxai.metrics.sample import Sample
from pnpxai.strategies.base import for_each
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask, channel_axis
from pnpxai.tensors import Tensors, rows_of

__all__ = ["Features", "Gone", "scores_without"]


@dataclass(frozen=True)
class Features:
    """The features of a sample, numbered through all its inputs, in each example from zero.

    Attributes:
        values: (examples, features) what the map gives each, summed over its positions; zero for those that an example
            does not have.
        counts: how many features each example has.
    """

    values: Tensor
    counts: tuple[int, ...]
    _ids: tuple[Tensor | range, ...]  # each position's feature: (1 or examples, positions), or all alone, in order
    _fills: tuple[Fill, ...]
    _inputs: Tensors
    _axes: tuple[int | None, ...]
    _apart: tuple[bool, ...]

    @classmethod
    def of(cls, sample: Sample, feature_mask_fn: FeatureMask, baseline_fn: object) -> Features:
        """Group the positions of a sample's inputs and add up its maps in each group.

        Args:
            sample: the batch; its positions that do not count belong to no feature.
            feature_mask_fn: what belongs together.
            baseline_fn: an ``Imputation``: what stands where a feature was.
        """
        inputs, dim = sample.tensors, sample.channel_dim
        masks = for_each(feature_mask_fn, inputs)
        raw = [
            rows_of(_of_each_channel(mask(x, dim), x, channel_axis(x, dim)) if apart else mask(x, dim))
            for mask, x, apart in zip(masks, inputs, sample.apart, strict=True)
        ]
        ids, counts = _numbered(raw, [None if c is None else rows_of(c) for c in sample.counted])
        axes = tuple(channel_axis(x, dim) for x in inputs)
        ways = for_each(baseline_fn, inputs) if isinstance(baseline_fn, Baseline) else (baseline_fn,) * len(inputs)
        members = zip(ways, inputs, axes, sample.counted, strict=True)
        fills = tuple(filling(by, x, axis, sample.stream, counts) for by, x, axis, counts in members)  # type: ignore[arg-type]
        flat = [rows_of(m) for m in sample.maps]
        values = flat[0].new_zeros(sample.size, max(counts) + 1)
        for own, part, x in zip(ids, flat, inputs, strict=True):
            together = _repeated(part, own.expand_as(part), values.shape[1]) if x.ndim == 2 and not _is_run(own) else 1
            values.scatter_add_(1, own.expand_as(part), part / together)
        places = tuple(range(int(own[0, 0]), int(own[0, 0]) + own.shape[1]) if _is_run(own) else own for own in ids)
        counts = counts * (sample.size if len(counts) == 1 else 1)
        return cls(values[:, :-1], counts, places, fills, inputs, axes, sample.apart)

    @property
    def exist(self) -> Tensor:
        """(examples, features) which features an example has."""
        number = torch.arange(self.values.shape[1], device=self.values.device)
        return number < torch.tensor(self.counts, device=self.values.device)[:, None]

    def without(self, removed: Tensor, examples: range) -> Tensors:
        """Return (steps * examples, ...) inputs, step after step, in which features are filled in.

        Args:
            removed: (steps, 1 or examples of the range, features) which features are gone.
            examples: the examples.
        """
        rows, steps = [], len(removed)
        members = zip(self._inputs, self._ids, self._axes, self._fills, self._apart, strict=True)
        for x, own, channels, fill, apart in members:
            axis = None if apart else channels
            positions = [side for k, side in enumerate(x.shape) if k not in (0, axis)]
            table = removed.to(x.device).expand(steps, len(examples), -1)
            if isinstance(own, range):
                gone = table[:, :, own.start : own.stop]
            else:
                part = own if len(own) == 1 else own[examples.start : examples.stop]
                beyond = torch.nn.functional.pad(table, (0, 1))  # positions that do not count are never gone
                gone = beyond.gather(2, part.expand(steps, len(examples), -1))
            gone = gone.reshape(steps, len(examples), *positions)
            filled = fill(gone if axis is None else gone.unsqueeze(axis + 1), examples)
            rows.append(filled.flatten(0, 1))
        return tuple(rows)


Gone = Callable[[range, range], Tensor]
"""Which features are gone at some steps, of some examples: (steps, 1 or examples, features) truth values."""


def scores_without(sample: Sample, features: Features, gone: Gone, n_steps: int, at_once: int | None = None) -> Tensor:
    """Return (examples, steps) scores, of at least single precision, while features are gone.

    Args:
        sample: the batch.
        features: its features.
        gone: which of them.
        n_steps: number of steps.
        at_once: at most so many rows in one pass.
    """
    per_pass = None if at_once is None else max(1, at_once // sample.size)

    def points(block: Block) -> Tensors:
        return features.without(gone(block.steps, block.examples), block.examples)

    scores = perturbed_scores(
        sample.score, points, n_steps, sample.tensors, at_most=per_pass, label="removing features"
    )
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _repeated(part: Tensor, ids: Tensor, count: int) -> Tensor:
    """Return what to divide a map (examples, columns) by, so that a value repeated at a group's columns counts once.

    Explainers that know the groups of a table give each of its columns the value of the group; others give each column
    a share of its own.
    """
    zeros = part.new_zeros(len(part), count)
    low, high = (zeros.scatter_reduce(1, ids, part, way, include_self=False) for way in ("amin", "amax"))
    sizes = zeros.scatter_add(1, ids, torch.ones_like(part))
    return torch.where(low == high, sizes, 1).gather(1, ids)


def _of_each_channel(ids: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """Return the ids of positions (examples, *positions) as ids of each channel, none of which spans two."""
    if axis is None:
        return ids
    channels = torch.arange(x.shape[axis], device=ids.device)
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    count = rows_of(ids).amax(1).reshape(-1, *[1] * (x.ndim - 1)) + 1
    return ids.unsqueeze(axis) + channels.reshape(shape) * count


def _numbered(raw: Sequence[Tensor], counted: Sequence[Tensor | None]) -> tuple[list[Tensor], tuple[int, ...]]:
    """Number features through all inputs, example by example; what does not count gets the number after the last.

    Returns:
        ids for each input, (1 or examples, positions), and how many features there are, once or for each example.
    """
    rows = max(len(t) for t in (*raw, *(c for c in counted if c is not None)))
    numbered: list[list[Tensor]] = [[] for _ in raw]
    counts = []
    for k in range(rows):
        total = 0
        for own, ids, valid in zip(numbered, raw, counted, strict=True):
            row = ids[k if len(ids) > 1 else 0]
            if valid is not None:
                counts_here = valid[k if len(valid) > 1 else 0]
                fresh = torch.full_like(row, -1)
                fresh[counts_here] = row[counts_here].unique(return_inverse=True)[1]
                row = fresh
            own.append(torch.where(row >= 0, row + total, -1))
            total = max(total, int(own[-1].max()) + 1)
        counts.append(total)
    most = max(counts)
    stacked = [torch.stack(own) for own in numbered]
    return [torch.where(own < 0, most, own) for own in stacked], tuple(counts)


def _is_run(ids: Tensor) -> bool:
    """Tell whether every position is a feature of its own, in order."""
    return len(ids) == 1 and bool((ids[0].diff() == 1).all())
