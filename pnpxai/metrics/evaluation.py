"""Candidates (an explainer with its post-processing) judged by metrics on examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import as_tuple

__all__ = ["Candidate", "Cell", "Row", "evaluate", "evaluate_all", "judged"]


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
    metrics: Sequence[Metric],
    batch: Batch,
    seed: int,
    shared: SharedRuns | None = None,
    caught: type[Exception] = ValueError,
) -> tuple[Tensor | None, dict[str, Cell], float]:
    """Explain a batch and judge the maps.

    Args:
        candidate: what explains.
        metrics: what judges.
        batch: the examples.
        seed: fixes all draws.
        shared: masked runs to share.
        caught: the errors that become a cell's reason; others are raised.

    Returns:
        the maps (of the first explained argument), a cell for each metric, and the seconds that explaining took. Where
        the candidate or a metric cannot be right, the cells hold the reason instead of values.
    """
    start = time.perf_counter()
    try:
        maps = candidate.maps(batch, seed)
    except caught as refusal:
        return None, {type(m).__name__: _refused(batch, refusal) for m in metrics}, time.perf_counter() - start
    seconds = time.perf_counter() - start
    cells = {}
    for metric in metrics:
        start = time.perf_counter()
        bound = metric.replace(explainer=candidate.explainer, postprocessor=candidate.postprocessor)
        try:
            found = bound.measure(batch.inputs, batch.targets, maps, seed=batch.stream(seed), shared=shared)
            curves = {name: curve.detach().cpu().tolist() for name, curve in found.curves.items()}
            cell = Cell([float(v) for v in found.values], list(found.reasons), curves=curves)
        except caught as refusal:
            cell = _refused(batch, refusal)
        cell.seconds = time.perf_counter() - start
        cells[type(metric).__name__] = cell
    return as_tuple(maps)[0], cells, seconds


def evaluate(
    candidate: Candidate, metric: Metric, examples: Examples, seed: int = 0, shared: SharedRuns | None = None
) -> Cell:
    """Return what a metric says of a candidate on all examples."""
    (row,) = evaluate_all([candidate], [metric], examples, seed=seed, shared=shared, keep=0)
    return row.cells[type(metric).__name__]


@dataclass
class Row:
    """What all metrics say of one candidate.

    Attributes:
        candidate: the candidate.
        cells: the metrics' cells by name.
        seconds: how long explaining took.
        maps: the first examples' maps; a single NaN stands for a map that was refused.
    """

    candidate: Candidate
    cells: dict[str, Cell]
    seconds: float = 0.0
    maps: list[Tensor] = field(default_factory=list)


def evaluate_all(
    candidates: Sequence[Candidate],
    metrics: Sequence[Metric],
    examples: Examples,
    *,
    seed: int = 0,
    shared: SharedRuns | None = None,
    keep: int = 0,
    show_progress: bool = False,
) -> list[Row]:
    """Return what metrics say of candidates on all examples, batch after batch.

    Args:
        candidates: what is judged.
        metrics: by what.
        examples: on what.
        seed: fixes all draws.
        shared: masked runs to share; those of a batch serve all candidates in any case.
        keep: how many examples' maps to keep.
        show_progress: show a progress bar.
    """
    shared = SharedRuns() if shared is None else shared
    rows = [Row(c, {type(m).__name__: Cell() for m in metrics}) for c in candidates]
    with tqdm(total=len(examples) * len(rows), desc="comparing", unit="map", disable=not show_progress) as bar:
        for batch in examples:
            for row in rows:
                bar.set_postfix_str(row.candidate.label)
                maps, cells, seconds = judged(row.candidate, metrics, batch, seed, shared)
                row.seconds += seconds
                for name, cell in cells.items():
                    row.cells[name].extend(cell)
                if maps is None:  # so that maps and examples stay in step
                    maps = [torch.full((1,), float("nan"))] * len(batch)
                row.maps += [m.detach().cpu().clone() for m in maps[: max(0, keep - len(row.maps))]]
                bar.update(len(batch))
    return rows


def _refused(batch: Batch, refusal: Exception) -> Cell:
    named = isinstance(refusal, ValueError)  # one of ours says what is wrong; others are told by their class too
    reason = str(refusal) if named else f"{type(refusal).__name__}: {refusal}"
    return Cell([float("nan")] * len(batch), [reason] * len(batch), error=type(refusal))
