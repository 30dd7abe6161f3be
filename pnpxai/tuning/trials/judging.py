"""What a search asks of a candidate: values of metrics, or percentiles among fixed candidates, for each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pnpxai.engine.running.keys import settings_key
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.examples import Batch, Examples
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, Cell
from pnpxai.tuning.trials.shared_runs import Shared

__all__ = ["COSTS", "Judge", "Judges"]

COSTS = ("seconds", "rows")
"""What explaining one example costs, lower is better: run time with nothing shared, rows through the model."""

Measures: TypeAlias = dict[Metric | str, Cell]
"""Metric or cost -> its values."""


@dataclass(frozen=True)
class Judge:
    """One number for each example.

    Attributes:
        name: what it is called.
        metrics: what is measured; none for one of ``COSTS``.
        panel: for each metric and example the sorted values of fixed candidates; with it, a value is the mean over
            metrics of its percentile among them (higher is better), which does not move as candidates arrive.
    """

    name: str
    metrics: tuple[Metric, ...] = ()
    panel: dict[Metric, dict[str, np.ndarray]] | None = None

    @classmethod
    def of(cls, metric: Metric, label: str | None = None) -> Judge:
        """Return a judge with the values of one metric, under its class's name or another one."""
        return cls(label or type(metric).__name__, (metric,))

    @property
    def higher_is_better(self) -> bool:
        """True if larger values mean better candidates."""
        return self.panel is not None or any(metric.higher_is_better for metric in self.metrics)

    def values(self, measures: Measures, keys: Sequence[str]) -> Cell:
        """Return the judge's values.

        Args:
            measures: the cells of all metrics and costs.
            keys: the examples' keys.
        """
        cells = {metric: measures[metric] for metric in self.metrics}
        if self.panel is None:
            return next(iter(cells.values())) if cells else measures[self.name]
        percentiles = Cell()
        for k, key in enumerate(keys):
            values = {metric: cell.values[k] for metric, cell in cells.items()}
            # a map that one metric has no value for is as bad as any there; one that none has a value for has none
            undefined = not any(np.isfinite(value) for value in values.values())
            shares = [self.percentile(m, key, v) if np.isfinite(v) else 0.0 for m, v in values.items()]
            percentiles.values.append(float("nan") if undefined else float(np.mean(shares)))
            reason = next((cell.reasons[k] for cell in cells.values() if cell.reasons[k]), None)
            percentiles.reasons.append(reason if undefined else None)
        return percentiles

    def percentile(self, metric: Metric, key: str, value: float) -> float:
        """Return the percentile of a value among the panel's of one example: 0 the worst, 1 the best, ties halfway."""
        values = (self.panel or {})[metric][key]
        below, upto = np.searchsorted(values, value, "left"), np.searchsorted(values, value, "right")
        share = float(below + upto) / (2 * max(len(values), 1))
        return share if metric.higher_is_better else 1.0 - share


class Judges:
    """All that is asked of candidates in one search; measures each metric once, told apart by its settings.

    Attributes:
        judges: what is asked.
        seed: fixes what is drawn.
        shared: what evaluations have in common.
    """

    def __init__(self, judges: Sequence[Judge], seed: int, shared: Shared) -> None:
        self.judges = tuple(judges)
        self.seed = seed
        self.shared = shared
        self.metrics = tuple(dict.fromkeys(metric for judge in judges for metric in judge.metrics))
        self._spoilers: set[str] = set()  # keys of examples that fail alone, and would spoil a batch for others
        self._costs = [name for name in COSTS if any(judge.name == name for judge in judges)]

    def on(self, candidate: Candidate, examples: Examples) -> list[Cell]:
        """Return a cell for each judge: the values of all examples, or why there are none."""
        measures = self.measured(candidate, examples)
        return [judge.values(measures, examples.keys) for judge in self.judges]

    def measured(self, candidate: Candidate, examples: Examples) -> Measures:
        """Return a cell for each metric and cost."""
        cells: Measures = {measure: Cell() for measure in (*self.metrics, *self._costs)}
        with self.shared.sharing():
            for batch in examples:
                for measure, cell in self._on_batch(candidate, batch).items():
                    cells[measure].extend(cell)
        return cells

    def cost(self, candidate: Candidate, examples: Examples) -> int:
        """Return how many rows a separate evaluation runs."""
        metrics = [candidate.bound(metric) for metric in self.metrics]
        key, times = _explainer_key(candidate), 2 if "seconds" in self._costs else 1
        return sum(
            times * self.shared.cost(candidate.explainer, key, batch)
            + sum(metric.cost(batch.inputs) for metric in metrics)
            for batch in examples
        )

    def _on_batch(self, candidate: Candidate, batch: Batch) -> Measures:
        """Measure a batch. An example that fails alone costs its own values and is measured apart from then on."""
        apart = [row for row, key in enumerate(batch.keys) if key in self._spoilers]
        together = [row for row in range(len(batch)) if row not in apart]
        parts = [((row,), self._together(candidate, batch.take([row]))) for row in apart]
        if together:
            part = batch.take(together) if apart else batch
            parts += self._in_halves(candidate, part, together, self._together(candidate, part), whole=True)
        return parts[0][1] if len(parts) == 1 else _in_order(parts, len(batch))

    def _in_halves(
        self, candidate: Candidate, batch: Batch, rows: Sequence[int], cells: Measures, *, whole: bool = False
    ) -> list[tuple[Sequence[int], Measures]]:
        """Return cells as they are, or, where examples spoil them for others, those of smaller and smaller parts."""
        if not _spoiled(cells):
            return [(rows, cells)]
        if len(batch) == 1:
            self._spoilers.add(batch.keys[0])
            return [(rows, cells)]
        if whole:  # where three examples fail alike, the settings are at fault
            probes = [self._together(candidate, batch.take([row])) for row in {0, len(batch) // 2, len(batch) - 1}]
            if all(map(_spoiled, probes)) and len({_reasons(cells) for cells in probes}) == 1:
                return [(rows, cells)]
        half = len(batch) // 2
        parts = []
        for chosen in (range(half), range(half, len(batch))):
            part = batch.take(chosen)
            own = [rows[row] for row in chosen]
            parts += self._in_halves(candidate, part, own, self._together(candidate, part))
        return parts

    def _together(self, candidate: Candidate, batch: Batch) -> Measures:
        try:
            attributions = self.shared.maps(candidate.explainer, _explainer_key(candidate), batch, self.seed)
            maps = candidate.postprocessor(attributions)
        except Exception as refusal:  # of one setting, which must not end a search of many
            return dict.fromkeys((*self.metrics, *self._costs), Cell.refused(batch, refusal))
        cells: Measures = {name: self._cost_of_each(name, candidate, batch) for name in self._costs}
        for metric in self.metrics:
            try:
                self.shared.separate += candidate.bound(metric).cost(batch.inputs)
                measured = candidate.measure(metric, batch, maps, self.seed, self.shared.runs)
                cells[metric] = Cell.of(measured, curves=False)
            except Exception as refusal:
                cells[metric] = Cell.refused(batch, refusal)
        return cells

    def _cost_of_each(self, name: str, candidate: Candidate, batch: Batch) -> Cell:
        """Return what explaining each example of a batch costs."""
        cost = self.shared.seconds if name == "seconds" else self.shared.cost
        each = cost(candidate.explainer, _explainer_key(candidate), batch) / len(batch)
        return Cell([each] * len(batch), [None] * len(batch))


def _spoiled(cells: Measures) -> bool:
    """Tell whether a batch failed in a way that one of its examples may be the cause of."""
    errors = [cell.error for cell in cells.values() if cell.error is not None]
    return any(not issubclass(error, UnsuitableError) for error in errors)


def _reasons(cells: Measures) -> tuple[str | None, ...]:
    return tuple(cell.reasons[0] for cell in cells.values())


def _in_order(parts: Sequence[tuple[Sequence[int], Measures]], size: int) -> Measures:
    """Join the cells of parts of a batch, given the rows of each."""
    joined: Measures = {measure: Cell([np.nan] * size, [None] * size) for measure in parts[0][1]}
    for rows, cells in parts:
        for measure, cell in cells.items():
            for place, row in enumerate(rows):
                joined[measure].values[row] = cell.values[place]
                joined[measure].reasons[row] = cell.reasons[place]
    return joined


def _explainer_key(candidate: Candidate) -> str:
    """Return a key of an explainer with its model; equal keys mean equal attributions in this process."""
    explainer = candidate.explainer
    try:
        settings = explainer.to_dict()
    except ArgumentError:  # a setting (a lambda) that cannot be written
        settings = {"label": candidate.label, "explainer": repr(explainer)}
    return f"{id(explainer.model)} {settings_key(settings)}"
