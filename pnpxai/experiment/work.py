"""What a worker does: explain a chunk of examples and judge the maps; each cell has a value or a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pnpxai.engine.arguments import Arguments
from pnpxai.engine.guard import borrowed, module_of
from pnpxai.errors import UnsuitableError
from pnpxai.examples import Batch
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, Cell, judged
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.tensors import map_tensors

__all__ = ["CURVES", "EXPLAINED", "Done", "Job", "Task"]

EXPLAINED = ""
"""Stands where a metric's key stands, for the explanation itself: its time and cost."""

CURVES = ("morf", "lerf", "insertion", "deletion")
"""The curves that are kept: what becomes of the output while features are removed or put back."""


@dataclass(frozen=True)
class Task:
    """A chunk of examples with what is missing of it.

    Attributes:
        start: the first example's number.
        batch: the examples.
        identities: what each is known by.
        missing: for each candidate, for each example, the numbers of the metrics that are missing; None where even the
            explanation is not wanted.
        kept: rows whose maps are kept.
    """

    start: int
    batch: Batch
    identities: tuple[str, ...]
    missing: tuple[tuple[tuple[int, ...] | None, ...], ...]
    kept: frozenset[int] = frozenset()

    @property
    def rows(self) -> int:
        """How many explanations it takes."""
        return sum(numbers is not None for of in self.missing for numbers in of)


@dataclass
class Done:
    """What came of a task: records to be stored, and maps.

    Attributes:
        records: (example, explainer, metric, value, reason, seconds, rows, target, retry, curves), one for each cell.
        maps: for each (explainer, example) the map.
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    maps: dict[tuple[str, str], Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """All that a worker must hold to do the tasks of a comparison.

    Attributes:
        candidates: what explains, by key.
        metrics: what judges, by key.
        seed: fixes all draws.
        targets: says from the model's output what is explained, where the examples have no targets.
        model: the model.
        common: the extractors that the model is called with.
        threads: how many threads a pass of the model uses.
    """

    candidates: dict[str, Candidate]
    metrics: dict[str, Metric]
    seed: int
    model: Any
    targets: Callable[[Any], Any] | None = None
    common: dict[str, Any] = field(default_factory=dict)
    threads: int = 1

    def do(self, task: Task) -> Done:
        """Return what is missing."""
        batch, done, shared = self.placed(task.batch), Done(), SharedRuns()
        for (key, candidate), wanted in zip(self.candidates.items(), task.missing, strict=True):
            for numbers, rows in _alike(wanted):
                metrics = {k: m for number, (k, m) in enumerate(self.metrics.items()) if number in numbers}
                self._judge(done, key, candidate, metrics, task, batch, rows, shared)
        return done

    def placed(self, batch: Batch) -> Batch:
        """Return a batch where the model is, with targets."""
        module = module_of(self.model)
        first = next(module.parameters(), None) if module is not None else None
        device = None if first is None else first.device
        if device is not None:
            inputs, targets, labels = (
                map_tensors(lambda t: t.to(device), part) for part in (batch.inputs, batch.targets, batch.labels)
            )
            batch = replace(batch, inputs=inputs, targets=targets, labels=labels)
        if self.targets is None or batch.targets is not None:
            return batch
        return replace(batch, targets=self.targets(self.output(batch)))

    def output(self, batch: Batch) -> Any:
        """Return the model's output."""
        explained, further = (self.common.get(f"{kind}forward_arg_extractor") for kind in ("", "additional_"))
        call = Arguments.read(batch.inputs, explained, further, self.model).call()
        with borrowed(self.model, gradients=False):
            return self.model(*call.args, **call.kwargs)

    def _judge(
        self,
        done: Done,
        key: str,
        candidate: Candidate,
        metrics: dict[str, Metric],
        task: Task,
        batch: Batch,
        rows: Sequence[int],
        shared: SharedRuns,
    ) -> None:
        part = batch.take(rows)
        maps, cells, seconds = judged(candidate, metrics, part, self.seed, shared, Exception)
        errors = [cell.error for cell in cells.values() if cell.error is not None]
        if len(rows) > 1 and any(not issubclass(error, UnsuitableError) for error in errors):
            for row in rows:  # one example may have spoiled it for the others
                self._judge(done, key, candidate, metrics, task, batch, [row], shared)
            return
        n_rows = _cost(candidate, part.take([0])) if task.start == 0 else -1
        why = None if maps is not None else next((c.reasons[0] for c in cells.values()), "refused")
        again = maps is None and any(not issubclass(error, ValueError) for error in errors)
        single = isinstance(part.targets, Tensor) and part.targets.ndim == 1
        targets = part.targets.tolist() if single else [-1] * len(rows)  # type: ignore[union-attr]
        for place, row in enumerate(rows):
            example = task.identities[row]
            explained = (float("nan"), why, seconds / len(rows), n_rows, targets[place], again, None)
            done.records.append((example, key, EXPLAINED, *explained))
            for name in metrics:
                told = _told(cells[name], place, targets[place])
                done.records.append((example, key, name, *told))
            if maps is not None and row in task.kept:
                done.maps[key, example] = maps[0][place].detach().cpu().clone()


def _told(cell: Cell, place: int, target: int) -> tuple[Any, ...]:
    """Return a cell's part of a record. What was refused will be refused again; other errors are worth another try."""
    retry = cell.error is not None and not issubclass(cell.error, ValueError)
    drawn = {name: curve[place] for name, curve in cell.curves.items() if name in CURVES}
    curves = json.dumps(drawn) if drawn else None
    share = cell.seconds / len(cell.values)
    return cell.values[place], cell.reasons[place], share, -1, target, retry, curves


def _alike(wanted: Sequence[tuple[int, ...] | None]) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Return the examples of which the same metrics are missing."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, numbers in enumerate(wanted):
        if numbers is not None:
            groups.setdefault(numbers, []).append(row)
    yield from groups.items()


def _cost(candidate: Candidate, batch: Batch) -> int:
    """Return how many rows one explanation runs; -1 where it cannot be said."""
    try:
        return candidate.explainer.cost(batch.inputs)
    except Exception:  # noqa: BLE001  a cell that failed has no cost
        return -1
