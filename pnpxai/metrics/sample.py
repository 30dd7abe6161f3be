"""A batch as a metric sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from pnpxai.declare.encoding import encoded
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.keys import content_key
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.metrics.positions import Masks, position_maps
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.tensors import Tensors, flat, map_tensors, take_rows

T = TypeVar("T")

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """A batch as a metric sees it: what is explained, how it is scored, and the maps.

    Attributes:
        arguments: what the inputs mean to the model.
        score: the model's output at the targets.
        attributions: one tensor for each explained argument.
        stream: the random numbers of this measurement.
        shared: runs that do not depend on the maps.
        channel_dim: the axis of channels.
        apart: for each input, whether its channels are positions of their own.
        counted: the positions that count (not the padding), where any do not.
        truth: the positions that matter, where this is known.
    """

    arguments: Arguments
    score: Score
    attributions: Tensors
    stream: RandomStream
    shared: SharedRuns
    channel_dim: int | None
    apart: tuple[bool, ...]
    counted: Masks
    truth: Masks | None = None

    @property
    def tensors(self) -> Tensors:
        """The explained arguments of the model."""
        return self.arguments.explained

    @property
    def targets(self) -> Target:
        """Which output is explained."""
        return self.score.target

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.score.size

    @property
    def maps(self) -> Tensors:
        """The attributions by position: (examples, *positions) for each input, of sensors with these."""
        return position_maps(self.attributions, self.tensors, self.channel_dim, self.apart)

    def of_each(self, values: Masks) -> list[Tensor]:
        """Return for each example (positions,) values of all inputs in a row, without the positions that do not count.

        Args:
            values: (examples, *positions) for each input; what is None is left out.
        """
        rows = []
        for k in range(self.size):
            parts = [(v[k], c) for v, c in zip(values, self.counted, strict=True) if v is not None]
            rows.append(torch.cat([v.flatten() if c is None else v[c[k]] for v, c in parts]))
        return rows

    def take(self, rows: Tensor) -> Sample:
        """Return some of the examples, by their numbers (a number may occur several times)."""

        def taken(structure: T) -> T:
            return take_rows(structure, rows, self.size)

        arguments = replace(
            self.arguments,
            explained=taken(self.tensors),
            extra=taken(self.arguments.extra),
            keywords=taken(self.arguments.keywords),
        )
        return replace(
            self,
            arguments=arguments,
            score=self.score.take(rows),
            attributions=taken(self.attributions),
            stream=self.stream.take(rows.tolist()),
            counted=taken(self.counted),
            truth=taken(self.truth),
        )

    def moved_to(self, inputs: Tensors) -> Sample:
        """Return the sample with other values of what is explained."""
        return replace(self, arguments=replace(self.arguments, explained=inputs))

    def with_maps(self, maps: Tensors) -> Sample:
        """Return the sample with other maps."""
        return replace(self, attributions=maps)

    def keys(self) -> tuple[str, ...] | None:
        """Return for each example a key of all that its scores depend on but the model.

        None where a function takes part that cannot be found again by its name: another may come to have its address.
        """
        target, score = self.score.target, self.score
        try:
            functions = [encoded(f, "target", None) for f in (target, score.transform) if callable(f)]
        except ArgumentError:
            return None
        keys = []
        for k in range(self.size):
            extra = take_rows(score.extra, torch.tensor([k]), self.size)
            tensors = [x[k] for x in (*self.tensors, *self.counted) if x is not None]
            index = content_key(target[k]) if isinstance(target, Tensor) else None if callable(target) else target
            rest = repr(map_tensors(lambda t: "tensor", extra))
            drawn = self.stream.seed, self.stream.take([k]).ids
            keys.append(repr((content_key(*tensors), content_key(*flat(extra)), rest, index, functions, drawn)))
        return tuple(keys)
