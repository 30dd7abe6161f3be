"""What a search asks of a candidate: values of metrics, or percentiles among fixed candidates, for each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pnpxai.engine.running.keys import settings_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch, Examples
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, Cell
from pnpxai.tuning.search.shared_runs import Shared

__all__ = ["COSTS", "Judge", "Judges"]

COSTS = ("seconds", "rows")
"""What explaining one example costs, lower is better: run time with nothing shared, rows through the model."""


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
        """Return what one metric says, under its class's name or another one."""
        return cls(label or type(metric).__name__, (metric,))

    @property
    def higher_is_better(self) -> bool:
        """The direction."""
        return self.panel is not None or any(metric.higher_is_better for metric in self.metrics)

    def among(self, metric: Metric, key: str, value: float) -> float:
        """Return the percentile of a value among the panel's of one example: 0 the worst, 1 the best, ties halfway."""
        assert self.panel is not None  # noqa: S101
        values = self.panel[metric][key]
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
        self._costs = [name for name in COSTS if any(judge.name == name for judge in judges)]

    def on(self, candidate: Candidate, examples: Examples) -> list[Cell]:
        """Return a cell for each judge: the values of all examples, or why there are none."""
        measured = self.measured(candidate, examples)
        return [self._judged(judge, measured, examples.keys) for judge in self.judges]

    def measured(self, candidate: Candidate, examples: Examples) -> dict[Metric | str, Cell]:
        """Return a cell for each metric and cost."""
        cells = {asked: Cell() for asked in (*self.metrics, *self._costs)}
        with self.shared.sharing():
            for batch in examples:
                for asked, cell in self._batch(candidate, batch).items():
                    cells[asked].extend(cell)
        return cells

    def cost(self, candidate: Candidate, examples: Examples) -> int:
        """Return how many rows a separate evaluation runs."""
        of_metrics = [candidate.bound(metric) for metric in self.metrics]
        key, times = _key(candidate), 2 if "seconds" in self._costs else 1
        return sum(
            times * self.shared.cost(candidate.explainer, key, batch)
            + sum(metric.cost(batch.inputs) for metric in of_metrics)
            for batch in examples
        )

    def _batch(self, candidate: Candidate, batch: Batch) -> dict[Metric | str, Cell]:
        try:
            raw = self.shared.maps(candidate.explainer, _key(candidate), batch, self.seed)
            maps = candidate.postprocessor(raw)
        except Exception as refusal:  # of one setting, which must not end a search of many
            return dict.fromkeys((*self.metrics, *self._costs), Cell.refused(batch, refusal))
        cells: dict[Metric | str, Cell] = {n: Cell(*self._spent(n, candidate, batch)) for n in self._costs}
        for metric in self.metrics:
            try:
                self.shared.separate += candidate.bound(metric).cost(batch.inputs)
                measured = candidate.measure(metric, batch, maps, self.seed, self.shared.runs)
                cells[metric] = Cell.of(measured, curves=False)
            except Exception as refusal:
                cells[metric] = Cell.refused(batch, refusal)
        return cells

    def _spent(self, name: str, candidate: Candidate, batch: Batch) -> tuple[list[float], list[str | None]]:
        of = self.shared.seconds if name == "seconds" else self.shared.cost
        each = of(candidate.explainer, _key(candidate), batch) / len(batch)
        return [each] * len(batch), [None] * len(batch)

    @staticmethod
    def _judged(judge: Judge, measured: dict[Metric | str, Cell], keys: Sequence[str]) -> Cell:
        cells = [(metric, measured[metric]) for metric in judge.metrics]
        if judge.panel is None:
            return cells[0][1] if cells else measured[judge.name]
        found = Cell()
        for k, key in enumerate(keys):
            parts, reason = [], None
            for metric, cell in cells:
                value = cell.values[k]
                reason = reason or cell.reasons[k]
                parts.append(judge.among(metric, key, value) if np.isfinite(value) else 0.0)
            # a map that one metric has no value for is as bad as any there; one that none has a value for has none
            every = all(not np.isfinite(cell.values[k]) for _, cell in cells)
            found.values.append(float("nan") if every else float(np.mean(parts)))
            found.reasons.append(reason if every else None)
        return found


def _key(candidate: Candidate) -> str:
    explainer = candidate.explainer
    try:
        settings = explainer.to_dict()
    except ArgumentError:  # a setting (a lambda) that cannot be written
        settings = {"label": candidate.label, "explainer": repr(explainer)}
    return f"{id(explainer.model)} {settings_key(settings)}"
