"""The work of a worker: it explains a chunk of examples and judges the maps; each cell gets a value or a reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.score import Target
from pnpxai.errors import UnsuitableError
from pnpxai.example_targets import predicted_targets
from pnpxai.examples import Batch
from pnpxai.experiment.storage.maps import Mapped
from pnpxai.experiment.storage.records import EXPLAINED, CellRecord, ChunkResult
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, Cell, Judgement, explain_and_measure
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.model_types import Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors

__all__ = ["CURVES", "Job", "Piece", "Task"]

CURVES = ("morf", "lerf", "insertion", "deletion")
"""The curves that are kept: the output while features are removed or put back."""


@dataclass(frozen=True)
class Piece:
    """What is missing of some examples of a chunk, by one explainer.

    Attributes:
        explainer: its key.
        metrics: the keys of the metrics that are missing.
        rows: the examples.
        maps: their maps, where they are known; else they are explained.
    """

    explainer: str
    metrics: tuple[str, ...]
    rows: tuple[int, ...]
    maps: Tensors | None = None

    def of_rows(self, rows: Sequence[int]) -> Piece:
        """Return what is missing of some of these examples."""
        if tuple(rows) == self.rows:
            return self
        places = [self.rows.index(row) for row in rows]
        maps = None if self.maps is None else tuple(m[places] for m in self.maps)
        return Piece(self.explainer, self.metrics, tuple(rows), maps)


@dataclass(frozen=True)
class Task:
    """A chunk of examples with what is missing of it.

    Attributes:
        start: the first example's number.
        batch: the examples.
        identities: what each example is known by.
        with_masks: what each example is known by together with its mask, for metrics that need masks.
        pieces: what is missing, by explainer.
        kept: rows whose maps are always kept.
        room: how many bytes the kept maps of all rows may take; None for any number.
    """

    start: int
    batch: Batch
    identities: tuple[str, ...]
    with_masks: tuple[str, ...]
    pieces: tuple[Piece, ...]
    kept: frozenset[int] = frozenset()
    room: int | None = 0

    @property
    def rows(self) -> int:
        """Number of maps that the task needs, whether they are computed or read."""
        return sum(len(piece.rows) for piece in self.pieces)


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
    model: Model
    targets: Callable[[ModelInputs], ModelInputs] | None = None
    common: Settings = field(default_factory=dict)
    threads: int = 1

    def do(self, task: Task) -> ChunkResult:
        """Return what is missing of a chunk."""
        batch, result, shared = self.placed(task.batch, first=task.start == 0), ChunkResult(), SharedRuns()
        missing = {row: self._why_without_target(batch.take([row])) for row in batch.without_target}
        spoilers: set[int] = set()
        for piece in task.pieces:
            for row in piece.rows:
                if row in missing:
                    self._refuse(result, piece, task, row, missing[row])
            apart = [row for row in piece.rows if row in spoilers]
            together = [row for row in piece.rows if row not in missing and row not in spoilers]
            for rows in ([together] if together else []) + [[row] for row in apart]:
                self._do_piece(result, piece.of_rows(rows), task, batch, shared, spoilers)
        return result

    def placed(self, batch: Batch, *, first: bool = True) -> Batch:
        """Return a batch where the model is, with targets; see ``predicted_targets``."""
        device = self.device()
        batch = batch if device is None else batch.to(device)
        if self.targets is None or batch.targets is not None:
            return batch
        extractor = self.targets

        def predict(rows: Sequence[int]) -> Target:
            return extractor(self.output(batch if len(rows) == len(batch) else batch.take(rows)))

        return replace(batch, targets=predicted_targets(predict, len(batch), first=first))

    def arguments(self, batch: Batch) -> Arguments:
        """Return what a batch means to the model."""
        explained, further = (self.common.get(f"{kind}forward_arg_extractor") for kind in ("", "additional_"))
        return Arguments.read(batch.inputs, explained, further, self.model)

    def output(self, batch: Batch) -> ModelOutput:
        """Return the model's output."""
        call = self.arguments(batch).call()
        with borrowed(self.model, gradients=False):
            return self.model(*call.args, **call.kwargs)

    def _why_without_target(self, example: Batch) -> str:
        """Return why an example has no target: the model's error on it, or a missing label."""
        try:
            output = self.output(example)
            if self.targets is not None:
                self.targets(output)
        except Exception as problem:  # noqa: BLE001  whatever the model raises
            return f"the model fails on this example: {type(problem).__name__}: {problem}"
        return "target: this example has no label"

    def _refuse(self, result: ChunkResult, piece: Piece, task: Task, row: int, reason: str) -> None:
        """Add the records of an example that cannot be explained."""
        for name in (EXPLAINED, *piece.metrics):
            with_mask = name in self.metrics and self.metrics[name].needs_masks
            known_by = task.with_masks if with_mask else task.identities
            record = CellRecord(known_by[row], piece.explainer, name, math.nan, reason, 0.0, -1, -1, False, None)
            result.records.append(record)

    def _do_piece(
        self,
        result: ChunkResult,
        piece: Piece,
        task: Task,
        batch: Batch,
        shared: SharedRuns,
        spoilers: set[int],
    ) -> None:
        """Explain some examples by one explainer, judge the maps, and add the records and maps to the result.

        An example that fails alone is added to ``spoilers``: it would spoil a batch for the others.
        """
        part, device = batch.take(piece.rows), self.device()
        maps = piece.maps if piece.maps is None or device is None else tuple(m.to(device) for m in piece.maps)
        candidate, metrics = self.candidates[piece.explainer], {key: self.metrics[key] for key in piece.metrics}
        judgement = explain_and_measure(candidate, metrics, part, self.seed, shared, Exception, maps)
        errors = [cell.error for cell in judgement.cells.values() if cell.error is not None]
        if any(not issubclass(error, UnsuitableError) for error in errors):
            if len(piece.rows) > 1:  # one example may have spoiled it for the others
                for row in piece.rows:
                    self._do_piece(result, piece.of_rows([row]), task, batch, shared, spoilers)
                return
            spoilers.update(piece.rows)
        if piece.maps is None:
            self._add_explanation(result, piece, task, part, judgement)
        targets = _targets(part)
        for name, metric in metrics.items():
            known_by = task.with_masks if metric.needs_masks else task.identities
            for place, row in enumerate(piece.rows):
                cell = judgement.cells[name]
                result.records.append(_record(known_by[row], piece.explainer, name, cell, place, targets[place]))

    def _add_explanation(
        self, result: ChunkResult, piece: Piece, task: Task, part: Batch, judgement: Judgement
    ) -> None:
        """Add the records of explaining, and the maps that are kept."""
        maps, cells = judgement.maps, judgement.cells
        errors = [cell.error for cell in cells.values() if cell.error is not None]
        n_rows = _cost(self.candidates[piece.explainer], part.take([0])) if task.start == 0 else -1
        reason = None if maps is not None else next((c.reasons[0] for c in cells.values()), "refused")
        retry = maps is None and any(not issubclass(error, ValueError) for error in errors)
        share = judgement.seconds / len(piece.rows)
        result.records += [
            CellRecord(
                task.identities[row],
                piece.explainer,
                EXPLAINED,
                float("nan"),
                reason,
                share,
                n_rows,
                target,
                retry,
                None,
            )
            for row, target in zip(piece.rows, _targets(part), strict=True)
        ]
        if maps is None:
            return
        mapped = Mapped(piece.explainer, tuple(task.identities[row] for row in piece.rows), maps)
        if task.room is not None and sum(of.bytes for of in result.maps) + mapped.bytes > task.room:
            mapped = mapped.take([place for place, row in enumerate(piece.rows) if row in task.kept])
        if mapped.examples:
            result.maps.append(replace(mapped, tensors=tuple(m.detach().cpu().clone() for m in mapped.tensors)))

    def device(self) -> torch.device | None:
        """Return where the model is, if it has parameters."""
        module = module_of(self.model)
        first = next(module.parameters(), None) if module is not None else None
        return None if first is None else first.device


def _targets(part: Batch) -> list[int]:
    single = isinstance(part.targets, Tensor) and part.targets.ndim == 1
    return part.targets.tolist() if single else [-1] * len(part)  # type: ignore[union-attr]


def _record(example: str, explainer: str, metric: str, cell: Cell, place: int, target: int) -> CellRecord:
    """Return the record of one value. A refusal would be repeated; other errors are worth another try."""
    retry = cell.error is not None and not issubclass(cell.error, ValueError)
    curves = {name: curve[place] for name, curve in cell.curves.items() if name in CURVES}
    seconds = cell.seconds / len(cell.values)
    return CellRecord(
        example, explainer, metric, cell.values[place], cell.reasons[place], seconds, -1, target, retry,
        json.dumps(curves) if curves else None,
    )  # fmt: skip


def _cost(candidate: Candidate, batch: Batch) -> int:
    """Return how many rows one explanation runs; -1 where it cannot be said."""
    try:
        return candidate.explainer.cost(batch.inputs)
    except Exception:  # noqa: BLE001  a cell that failed has no cost
        return -1
