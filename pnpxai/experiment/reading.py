"""Data gone through once, cut into chunks; of each, what is missing in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from pnpxai.experiment.store import Store
from pnpxai.experiment.stream import Stream, identities
from pnpxai.experiment.work import EXPLAINED, Job, Task
from pnpxai.tensors import flat

__all__ = ["Reading"]


@dataclass
class Reading:
    """What has been read of the data so far.

    Attributes:
        stream: the data.
        job: what is to be done.
        store: what is done.
        size: examples in a chunk.
        keep: which examples' maps are kept.
        identities: what each example is known by.
        keys: each example's key.
        labels: its true class, -1 where it is not known.
        shown: number and first input of the examples whose maps are kept.
    """

    stream: Stream
    job: Job
    store: Store
    size: int
    keep: int | Sequence[int]
    progress: Callable[[int], object] = int
    identities: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    shown: list[tuple[int, Tensor]] = field(default_factory=list)

    @property
    def kept_identities(self) -> list[str]:
        """What the examples are known by whose maps are kept."""
        return [self.identities[number] for number, _ in self.shown]

    def tasks(self) -> Iterator[Task]:
        """Read on, and yield what is missing of each chunk."""
        given = self.stream.targets is not None
        for batch in self.stream:
            for first in range(0, len(batch), self.size):
                part = batch.take(range(first, min(first + self.size, len(batch))))
                start, wanted = len(self.identities), self._wanted(len(part))
                known_by = identities(part, given, self.store.folder is not None)
                self.identities += known_by
                self.keys += part.keys
                self.labels += (
                    [-1] * len(part)
                    if part.labels is None
                    else [-1 if label is None else int(label) for label in part.labels]
                )
                first_input = flat(part.inputs)[0]
                self.shown += [(start + row, first_input[row].detach().cpu().clone()) for row in sorted(wanted)]
                missing = tuple(
                    tuple(self._missing(key, name, row in wanted) for row, name in enumerate(known_by))
                    for key in self.job.candidates
                )
                task = Task(start, part, known_by, missing, frozenset(wanted))
                self.progress(len(part) * len(missing) - task.rows)
                if task.rows:
                    yield task

    def _wanted(self, size: int) -> set[int]:
        """Return the rows of the coming chunk whose maps are kept."""
        start = len(self.identities)
        if isinstance(self.keep, int):
            return set(range(max(0, min(size, self.keep - start))))
        return {number - start for number in self.keep if start <= number < start + size}

    def _missing(self, explainer: str, example: str, wanted: bool) -> tuple[int, ...] | None:
        known = self.store.known(explainer, example)
        missing = tuple(number for number, key in enumerate(self.job.metrics) if key not in known)
        no_map = wanted and not self.store.has_map(explainer, example)
        return missing if missing or no_map or EXPLAINED not in known else None
