"""The data is read once and cut into chunks; each chunk becomes a task of what the store lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch
from pnpxai.experiment.running.batches import Stream
from pnpxai.experiment.running.work import Job, Piece, Task
from pnpxai.experiment.storage.keys import identities, masked_identities
from pnpxai.experiment.storage.records import EXPLAINED
from pnpxai.experiment.storage.saved_examples import ShownExample
from pnpxai.experiment.storage.store import Store
from pnpxai.metrics.positions import attended, position_masks
from pnpxai.tensors import own

__all__ = ["ChunkReader"]


@dataclass
class ChunkReader:
    """Reads the data chunk by chunk, and remembers what each example is known by.

    Attributes:
        stream: the data.
        job: the explainers and metrics.
        store: the results that are known already.
        size: number of examples in a chunk.
        keep: how many examples' maps are shown, or the numbers of these examples.
        progress: is called with the number of maps that the store has already.
        identities: what each example is known by.
        with_masks: what each example is known by together with its mask, for metrics that need masks.
        keys: each example's key.
        labels: each example's true class, -1 where it is not known.
        shown: the examples whose maps are shown.
    """

    stream: Stream
    job: Job
    store: Store
    size: int
    keep: int | Sequence[int]
    progress: Callable[[int], object] = int
    identities: list[str] = field(default_factory=list)
    with_masks: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    shown: list[ShownExample] = field(default_factory=list)

    def tasks(self) -> Iterator[Task]:
        """Read on, and yield what is missing of each chunk."""
        own_targets = self.stream.targets is not None
        for batch in self.stream:
            for first in range(0, len(batch), self.size):
                part = batch.take(range(first, min(first + self.size, len(batch))))
                start, wanted = len(self.identities), self._wanted(len(part))
                known_by = identities(part, own_targets, self.store.folder is not None)
                with_masks = masked_identities(part, known_by)
                self._check_masks(part)
                self.identities += known_by
                self.with_masks += with_masks
                self.keys += part.keys
                self.labels += [-1] * len(part) if part.labels is None else map(_class_number, part.labels)
                self._show(part, wanted)
                pieces = tuple(
                    p for key in self.job.candidates for p in self._pieces(key, known_by, with_masks, wanted)
                )
                task = Task(start, part, known_by, with_masks, pieces, frozenset(wanted), self.store.maps.room)
                self.progress(len(part) * len(self.job.candidates) - task.rows)
                if task.rows:
                    yield task

    def _show(self, part: Batch, wanted: set[int]) -> None:
        """Note the examples of the last chunk whose maps are kept."""
        if not wanted:
            return
        device, start = self.job.device(), len(self.identities) - len(part)
        arguments = self.job.arguments(part if device is None else part.to(device))
        try:
            counted = attended(arguments, self.job.common.get("channel_dim"), self.job.model)
        except ArgumentError:  # a mask of other values than 0 and 1, which metrics refuse
            counted = (None,) * len(arguments.explained)
        for row in sorted(wanted):
            inputs = tuple(own(x[row].cpu()) for x in arguments.explained)
            of_row = tuple(None if c is None else c[row].cpu() for c in counted)
            self.shown.append(ShownExample(start + row, self.identities[start + row], inputs, of_row))

    def _check_masks(self, part: Batch) -> None:
        """Refuse masks that do not fit, before anything is run."""
        asking = [] if part.masks is None else [m for m in self.job.metrics.values() if m.needs_masks]
        for metric in asking:
            position_masks(part.masks, self.job.arguments(part).explained, metric.channel_dim, "masks")

    def _wanted(self, size: int) -> set[int]:
        """Return the rows of the coming chunk whose maps are kept."""
        start = len(self.identities)
        if isinstance(self.keep, int):
            return set(range(max(0, min(size, self.keep - start))))
        return {number - start for number in self.keep if start <= number < start + size}

    def _pieces(
        self, explainer: str, known_by: Sequence[str], with_masks: Sequence[str], wanted: set[int]
    ) -> Iterator[Piece]:
        """Yield what is missing by an explainer: examples alike in it together, explained again unless all maps are
        there, as a map may depend in its last digits on what it was explained with."""
        groups: dict[tuple[str, ...], list[int]] = {}
        explained = [EXPLAINED in self.store.known(explainer, name) for name in known_by]
        for row, name in enumerate(known_by):
            plain, with_mask = (self.store.known(explainer, of) for of in (name, with_masks[row]))
            metrics = self.job.metrics.items()
            missing = tuple(key for key, metric in metrics if key not in (with_mask if metric.needs_masks else plain))
            no_map = row in wanted and not self.store.has_map(explainer, name)
            if missing or no_map or not explained[row]:
                groups.setdefault(missing, []).append(row)
        for missing, rows in groups.items():
            known = all(explained[row] for row in rows)
            maps = self.store.maps.of(explainer, [known_by[row] for row in rows]) if known else None
            yield Piece(explainer, missing, tuple(rows), maps)


def _class_number(label: float | Tensor | None) -> int:
    """Return a true class as a number, -1 where it is not known: None, or NaN as tables have it."""
    return -1 if label is None or label != label else int(label)  # noqa: PLR0124
