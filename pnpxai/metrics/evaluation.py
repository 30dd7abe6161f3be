"""Candidates (an explainer with its post-processing) judged by metrics on examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import as_tuple

__all__ = ["Candidate", "Cell", "evaluate", "judged"]


@dataclass(frozen=True)
class Candidate:
    """An explainer with its post-processing, under a label that is unique where it is compared."""

    label: str
    explainer: Explainer
    postprocessor: PostProcessor

    @property
    def control(self) -> bool:
        """Whether it is there to be beaten."""
        return self.explainer.control

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON-ready dictionaries."""
        return {"explainer": self.explainer.to_dict(), "postprocessor": self.postprocessor.to_dict()}

    def maps(self, batch: Batch, seed: int) -> Any:
        """Return the post-processed maps of a batch."""
        raw = self.explainer.attribute(batch.inputs, batch.targets, seed=batch.stream(seed))
        return self.postprocessor(raw)


@dataclass
class Cell:
    """What one metric says of one candidate: a value for each example, or why there is none."""

    values: list[float] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    seconds: float = 0.0

    def array(self) -> np.ndarray:
        """Return the values as an array."""
        return np.array(self.values)


def judged(
    candidate: Candidate, metrics: Sequence[Metric], batch: Batch, seed: int, shared: SharedRuns | None = None
) -> tuple[Tensor | None, dict[str, Cell], float]:
    """Explain a batch and judge the maps.

    Returns:
        the maps (of the first explained argument), a cell for each metric, and the seconds that explaining took. Where
        the candidate or a metric cannot be right, the cells hold the reason instead of values.
    """
    start = time.perf_counter()
    try:
        maps = candidate.maps(batch, seed)
    except ValueError as refusal:
        return None, {type(m).__name__: _refused(batch, refusal) for m in metrics}, time.perf_counter() - start
    seconds = time.perf_counter() - start
    cells = {}
    for metric in metrics:
        start = time.perf_counter()
        bound = metric.replace(explainer=candidate.explainer, postprocessor=candidate.postprocessor)
        try:
            found = bound.measure(batch.inputs, batch.targets, maps, seed=batch.stream(seed), shared=shared)
            cell = Cell([float(v) for v in found.values], list(found.reasons))
        except ValueError as refusal:
            cell = _refused(batch, refusal)
        cell.seconds = time.perf_counter() - start
        cells[type(metric).__name__] = cell
    return as_tuple(maps)[0], cells, seconds


def evaluate(
    candidate: Candidate, metric: Metric, examples: Examples, seed: int = 0, shared: SharedRuns | None = None
) -> Cell:
    """Return what a metric says of a candidate on all examples."""
    whole = Cell()
    for batch in examples:
        _, cells, _ = judged(candidate, [metric], batch, seed, shared)
        (cell,) = cells.values()
        whole.values += cell.values
        whole.reasons += cell.reasons
        whole.seconds += cell.seconds
    return whole


def _refused(batch: Batch, refusal: Exception) -> Cell:
    return Cell([float("nan")] * len(batch), [str(refusal)] * len(batch))
