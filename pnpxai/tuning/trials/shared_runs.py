"""What trials share: masked runs, rows that ran before, maps under other post-processing; and the rows saved."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from pnpxai.engine.speed.row_cache import RowMemory, remembering
from pnpxai.examples import Batch
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.model_types import Attributions
from pnpxai.tensors import as_tuple, flat

__all__ = ["RowCount", "Shared"]


@dataclass(frozen=True)
class RowCount:
    """Rows run through the model.

    Attributes:
        used: so many were run.
        separate: so many would have been, had every trial been evaluated on its own.
    """

    used: int
    separate: int

    def __str__(self) -> str:
        share = f" ({self.used / self.separate:.0%})" if self.separate else ""
        return f"{self.used} rows instead of {self.separate}{share}"


class Shared:
    """Keeps what trials, and searches, have in common.

    Attributes:
        runs: masked runs that do not depend on maps.
        rows: single rows with their scores and gradients.
        separate: rows that separate evaluations would have run so far.
    """

    def __init__(self, limit_bytes: int = 2**30) -> None:
        self.runs = SharedRuns()
        self.rows = RowMemory(limit_bytes)
        self.separate = 0
        self._saved = 0
        self._maps: OrderedDict[tuple[str, str, int], tuple[Tensor, ...]] = OrderedDict()
        self._costs: dict[Hashable, int] = {}
        self._functions: dict[int, object] = {}
        self._seconds: dict[tuple[str, tuple[str, ...]], float] = {}
        self._limit = limit_bytes
        self._held = 0

    @property
    def count(self) -> RowCount:
        """How many rows were run, and how many would have been."""
        saved = self._saved + self.runs.rows_saved + self.rows.rows_saved
        return RowCount(self.separate - saved, self.separate)

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Let rows be remembered inside a ``with`` block."""
        with remembering(self.rows):
            yield

    def maps(self, explainer: Explainer, key: str, batch: Batch, seed: int) -> Attributions:
        """Return an explainer's attributions of a batch, computing those that are not known.

        Args:
            explainer: makes them.
            key: of its settings; equal keys mean equal attributions.
            batch: of what.
            seed: fixes what is drawn.
        """
        if isinstance(batch.targets, Tensor):
            targets = batch.targets.tolist()
        else:  # a function of the output; it is kept alive, so that no other object gets its id
            self._functions[id(batch.targets)] = batch.targets
            targets = [id(batch.targets)] * len(batch)
        names = [(key, f"{name} {target}", seed) for name, target in zip(batch.keys, targets, strict=True)]
        missing = [k for k, name in enumerate(names) if name not in self._maps]
        cost = self.cost(explainer, key, batch)
        attributions: tuple[Tensor, ...] = ()
        if missing:
            part = batch if len(missing) == len(batch) else batch.take(missing)
            attributions = as_tuple(explainer.attribute(part.inputs, part.targets, seed=part.stream(seed)))
        self.separate += cost  # only now: an explainer that refuses runs nothing
        if missing:
            for k, rows in zip(missing, zip(*(m.unbind(0) for m in attributions), strict=True), strict=True):
                self._keep(names[k], rows)
            if len(missing) == len(batch):
                self._trim()
                return attributions[0] if len(attributions) == 1 else attributions
        self._saved += cost * (len(batch) - len(missing)) // len(batch)
        rows = [self._maps[name] for name in names]
        members = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        self._trim()
        return members[0] if len(members) == 1 else members

    def cost(self, explainer: Explainer, key: str, batch: Batch) -> int:
        """Return how many rows an explainer runs for a batch."""
        form = (key, len(batch), tuple(t.shape for t in flat(batch.inputs)))
        if form not in self._costs:
            self._costs[form] = explainer.cost(batch.inputs)
        return self._costs[form]

    def seconds(self, explainer: Explainer, key: str, batch: Batch) -> float:
        """Return how long an explainer runs for a batch with nothing shared; measured once, after its maps were made.

        Args:
            explainer: what is timed.
            key: of its settings.
            batch: of what.
        """
        cost = self.cost(explainer, key, batch)
        name = (key, batch.keys)
        if name in self._seconds:
            self._saved += cost
        else:
            with remembering(None):
                start = _now(flat(batch.inputs))
                attributions = explainer.attribute(batch.inputs, batch.targets)
                self._seconds[name] = _now(as_tuple(attributions)) - start
        self.separate += cost
        return self._seconds[name]

    def count_saved(self, rows: int) -> None:
        """Count rows that a separate evaluation of known settings would have run."""
        self.separate += rows
        self._saved += rows

    def _keep(self, name: tuple[str, str, int], rows: Sequence[Tensor]) -> None:
        self._maps[name] = tuple(rows)
        self._held += sum(row.nbytes for row in rows)

    def _trim(self) -> None:
        while self._held > self._limit and self._maps:
            _, rows = self._maps.popitem(last=False)
            self._held -= sum(row.nbytes for row in rows)


def _now(tensors: Sequence[Tensor]) -> float:
    """Return the time when all that these tensors wait for is done."""
    for device in {tensor.device for tensor in tensors if tensor.is_cuda}:
        torch.cuda.synchronize(device)
    return time.perf_counter()
