"""Candidates (an explainer with its post-processing) judged by metrics on examples.

``Candidate.measure`` is the one place where a metric meets a candidate; experiments, searches and benchmarks use it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Measurement, Metric
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["Candidate", "Cell", "Judgement", "evaluate", "explain_and_measure"]


@dataclass(frozen=True)
class Candidate:
    """An explainer with its post-processing, under a label that is unique where it is compared."""

    label: str
    explainer: Explainer
    postprocessor: PostProcessor

    @property
    def control(self) -> bool:
        """True if the explainer ignores the model, so that others must beat it."""
        return self.explainer.control

    def settings(self) -> dict[str, object]:
        """Return the settings as JSON-ready dictionaries."""
        return {"explainer": self.explainer.to_dict(), "postprocessor": self.postprocessor.to_dict()}

    def maps(self, batch: Batch, seed: int) -> Tensor | Tensors:
        """Return the post-processed maps of a batch."""
        attributions = self.explainer.attribute(batch.inputs, batch.targets, seed=batch.stream(seed))
        return self.postprocessor(attributions)

    def bound(self, metric: Metric) -> Metric:
        """Return the metric with this candidate's explainer and post-processing."""
        return metric.replace(explainer=self.explainer, postprocessor=self.postprocessor)

    def measure(
        self,
        metric: Metric,
        batch: Batch,
        maps: Tensor | Tensors,
        seed: int,
        shared: SharedRuns | None = None,
    ) -> Measurement:
        """Judge the candidate's maps of a batch by one metric.

        Args:
            metric: the metric; the candidate's explainer and post-processing take the place of its own.
            batch: the examples.
            maps: what ``maps`` gives for the batch.
            seed: fixes all draws, example by example.
            shared: keeps model runs that do not depend on the maps.
        """
        masks = batch.masks if metric.needs_masks else None
        return self.bound(metric).measure(
            batch.inputs, batch.targets, maps, masks=masks, seed=batch.stream(seed), shared=shared
        )


@dataclass
class Cell:
    """What one metric says of one candidate: a value for each example, or why there is none.

    Attributes:
        values: a number for each example.
        reasons: why it is undefined, or None.
        seconds: how long judging took.
        curves: what the numbers come from, by name, a list for each example.
        error: what was raised, if the batch could not be judged.
    """

    values: list[float] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    seconds: float = 0.0
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    error: type[Exception] | None = None

    @classmethod
    def of(cls, measurement: Measurement, *, curves: bool = True) -> Cell:
        """Return a measurement as plain numbers, with its curves or without them."""
        drawn = {name: curve.detach().cpu().tolist() for name, curve in measurement.curves.items()} if curves else {}
        return cls([float(v) for v in measurement.values], list(measurement.reasons), curves=drawn)

    @classmethod
    def refused(cls, batch: Batch, refusal: Exception) -> Cell:
        """Return a cell without values, with the reason."""
        # a ValueError is one of ours and says what is wrong; of other errors the class helps to understand them
        reason = str(refusal) if isinstance(refusal, ValueError) else f"{type(refusal).__name__}: {refusal}"
        return cls([float("nan")] * len(batch), [reason] * len(batch), error=type(refusal))

    def extend(self, other: Cell) -> None:
        """Add the values of further examples."""
        self.values += other.values
        self.reasons += other.reasons
        self.seconds += other.seconds
        for name, curve in other.curves.items():
            self.curves.setdefault(name, []).extend(curve)

    def array(self) -> np.ndarray:
        """Return the values as an array."""
        return np.array(self.values)


@dataclass(frozen=True)
class Judgement:
    """A candidate's maps of a batch, and what metrics say of them.

    Attributes:
        maps: one for each explained argument; None where the candidate cannot explain the batch.
        cells: a cell for each metric; it holds the reason where the candidate or the metric cannot be right.
        seconds: how long explaining took.
    """

    maps: Tensors | None
    cells: dict[str, Cell]
    seconds: float


def explain_and_measure(
    candidate: Candidate,
    metrics: Mapping[str, Metric],
    batch: Batch,
    seed: int,
    shared: SharedRuns | None = None,
    caught: type[Exception] = ValueError,
    maps: Tensors | None = None,
) -> Judgement:
    """Explain a batch and judge the maps.

    Args:
        candidate: what explains.
        metrics: what judges, by any names.
        batch: the examples.
        seed: fixes all draws.
        shared: masked runs to share.
        caught: the errors that become a cell's reason; others are raised.
        maps: the candidate's maps, where they are known.
    """
    start = time.perf_counter()
    try:
        # contiguous, as when they are read from a file, so that sums over them round the same
        maps = tuple(m.contiguous() for m in as_tuple(candidate.maps(batch, seed) if maps is None else maps))
    except caught as refusal:
        cells = {name: Cell.refused(batch, refusal) for name in metrics}
        return Judgement(None, cells, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    cells = {}
    for name, metric in metrics.items():
        start = time.perf_counter()
        try:
            cell = Cell.of(candidate.measure(metric, batch, maps, seed, shared))
        except caught as refusal:
            cell = Cell.refused(batch, refusal)
        cell.seconds = time.perf_counter() - start
        cells[name] = cell
    return Judgement(maps, cells, seconds)


def evaluate(
    candidate: Candidate, metric: Metric, examples: Examples, seed: int = 0, shared: SharedRuns | None = None
) -> Cell:
    """Return what a metric says of a candidate on all examples, batch after batch."""
    whole, shared = Cell(), SharedRuns() if shared is None else shared
    for batch in examples:
        whole.extend(explain_and_measure(candidate, {"": metric}, batch, seed, shared).cells[""])
    return whole
