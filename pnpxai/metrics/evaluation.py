"""Candidates (an explainer with its post-processing) judged by metrics on examples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["Candidate", "Cell", "evaluate", "judged", "refused"]


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


def judged(
    candidate: Candidate,
    metrics: Mapping[str, Metric],
    batch: Batch,
    seed: int,
    shared: SharedRuns | None = None,
    caught: type[Exception] = ValueError,
    maps: Tensors | None = None,
) -> tuple[Tensors | None, dict[str, Cell], float]:
    """Explain a batch and judge the maps.

    Args:
        candidate: what explains.
        metrics: what judges, by any names.
        batch: the examples.
        seed: fixes all draws.
        shared: masked runs to share.
        caught: the errors that become a cell's reason; others are raised.
        maps: the candidate's maps, where they are known.

    Returns:
        the maps (one for each explained argument), a cell for each metric, and the seconds that explaining took. Where
        the candidate or a metric cannot be right, the cells hold the reason instead of values.
    """
    start = time.perf_counter()
    try:
        # in one piece, as when they are read from a file: what sums them up rounds the same
        maps = tuple(m.contiguous() for m in as_tuple(candidate.maps(batch, seed) if maps is None else maps))
    except caught as refusal:
        return None, {name: refused(batch, refusal) for name in metrics}, time.perf_counter() - start
    seconds = time.perf_counter() - start
    cells = {}
    for name, metric in metrics.items():
        start = time.perf_counter()
        bound = metric.replace(explainer=candidate.explainer, postprocessor=candidate.postprocessor)
        try:
            masks = batch.masks if metric.needs_masks else None
            found = bound.measure(
                batch.inputs, batch.targets, maps, masks=masks, seed=batch.stream(seed), shared=shared
            )
            curves = {name: curve.detach().cpu().tolist() for name, curve in found.curves.items()}
            cell = Cell([float(v) for v in found.values], list(found.reasons), curves=curves)
        except caught as refusal:
            cell = refused(batch, refusal)
        cell.seconds = time.perf_counter() - start
        cells[name] = cell
    return maps, cells, seconds


def evaluate(
    candidate: Candidate, metric: Metric, examples: Examples, seed: int = 0, shared: SharedRuns | None = None
) -> Cell:
    """Return what a metric says of a candidate on all examples, batch after batch."""
    whole, shared = Cell(), SharedRuns() if shared is None else shared
    for batch in examples:
        _, cells, _ = judged(candidate, {"": metric}, batch, seed, shared)
        whole.extend(cells[""])
    return whole


def refused(batch: Batch, refusal: Exception) -> Cell:
    """Return a cell without values, with the reason."""
    named = isinstance(refusal, ValueError)  # one of ours says what is wrong; others are told by their class too
    reason = str(refusal) if named else f"{type(refusal).__name__}: {refusal}"
    return Cell([float("nan")] * len(batch), [reason] * len(batch), error=type(refusal))
