"""Data as people have it, read batch by batch: nothing is held but the batch at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from pnpxai.engine.running.keys import example_keys, numbered
from pnpxai.errors import ArgumentError
from pnpxai.example_targets import inputs_and_label, labels_as_targets
from pnpxai.examples import Batch, Examples, masks_of, no_more_masks
from pnpxai.model_types import ModelInputs
from pnpxai.tensors import flat

__all__ = ["Data", "Stream", "members"]

Data = DataLoader | Dataset | Tensor | tuple[ModelInputs, ModelInputs] | Iterable[ModelInputs]
"""A DataLoader, a Dataset, a tensor or array of inputs, a tuple (inputs, labels), or an iterable of batches."""


@dataclass(frozen=True)
class Stream:
    """Batches of examples, read anew by each loop over them.

    Attributes:
        batches: the data, batch by batch.
        inputs: takes the inputs out of a batch.
        labels: takes the true classes out of a batch; gives None where there are none.
        targets: takes the targets out of a batch; None where the model's output says them.
        collected: the Dataset and its collate function, where single examples can be read.
        length: the number of examples, where it is known before all are read.
        count: read no more than so many.
        masks: takes what is known to matter out of a batch; None where it does not say.
        beside: what is known to matter in all examples, where it stands beside the data; see ``masks_of``.
        in_memory: whether the batches are held in memory, so that some can be read beforehand.
    """

    batches: Iterable[ModelInputs]
    inputs: Callable[[ModelInputs], ModelInputs]
    labels: Callable[[ModelInputs], ModelInputs]
    targets: Callable[[ModelInputs], ModelInputs] | None = None
    collected: tuple[Dataset, Callable[..., ModelInputs] | None] | None = None
    length: int | None = None
    count: int | None = None
    masks: Callable[[ModelInputs], ModelInputs] | None = None
    beside: object = None
    in_memory: bool = False

    @classmethod
    def of(
        cls,
        data: Data,
        input_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        label_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        *,
        target_labels: bool = False,
        mask_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        batch_size: int = 32,
    ) -> Stream:
        """Return data as a stream.

        Args:
            data: see ``Data``; ``Examples`` too, which have their targets.
            input_extractor: takes the inputs out of a batch; by default its first member, of a mapping all but labels.
            label_extractor: takes the true classes out of a batch; by default its second member, of a mapping "labels".
            target_labels: explain the true classes.
            mask_extractor: takes what is known to matter out of a batch, in the form of ``Metric.measure``.
            batch_size: how many examples are read at once, where the data does not say.

        Raises:
            ArgumentError: the data is none of these.
        """
        if isinstance(data, Stream):
            return data
        if isinstance(data, Examples):
            return cls(data.batches, _nothing, _nothing, attrgetter("targets"), length=len(data))
        if isinstance(data, tuple) and len(data) == 2:
            data = TensorDataset(*(torch.as_tensor(part) for part in data))
        elif isinstance(data, Tensor) or hasattr(data, "__array__"):
            data = TensorDataset(torch.as_tensor(data))
        if isinstance(data, (Dataset, IterableDataset)):
            data = DataLoader(data, batch_size=batch_size)
        if not isinstance(data, Iterable):
            raise ArgumentError(
                f"data: expected a DataLoader, a Dataset, tensors or an iterable of batches, got {type(data).__name__}"
            )
        labels = label_extractor or _label
        single = members(data)
        length = None if single is None else len(single[0])  # type: ignore[arg-type]
        targets = labels if target_labels else None
        return cls(data, input_extractor or _inputs, labels, targets, single, length, masks=mask_extractor)

    def __iter__(self) -> Iterator[Batch]:
        """Go through the batches; those whose targets the model says have none.

        Raises:
            ArgumentError: a batch holds no tensor, or no label where that is to be explained.
        """
        start = 0
        for batch in self._all():
            if self.count is not None and self.count - start < len(batch):
                batch = batch.take(range(self.count - start))
            stop = start + len(batch)
            yield batch if self.beside is None else replace(batch, masks=masks_of(self.beside, range(start, stop)))
            start = stop
            if start == self.count:
                return
        no_more_masks(self.beside, start)

    def _all(self) -> Iterator[Batch]:
        seen: dict[str, int] = {}
        for number, batch in enumerate(self.batches):
            if isinstance(batch, Batch):
                yield batch
                continue
            inputs, labels = _as_tensors(self.inputs(batch)), _as_tensors(self.labels(batch))
            tensors = flat(inputs)
            if not tensors or tensors[0].ndim == 0 or not len(tensors[0]):
                raise ArgumentError(f"data: batch {number} holds no tensor with at least one example")
            own = tuple(t for t in tensors if t.ndim and t.shape[0] == len(tensors[0]))
            targets = None if self.targets is None else labels_as_targets(_as_tensors(self.targets(batch)))
            if self.targets is not None and targets is None:
                raise ArgumentError("target_labels: the data holds no labels; give label_extractor=")
            masks = None if self.masks is None else _as_tensors(self.masks(batch))
            yield Batch(inputs, targets, labels, numbered(example_keys(own), seen), masks)

    def __len__(self) -> int:
        """Return the number of examples, 0 where it is not known before all are read."""
        known = self.length or 0
        return known if self.count is None else min(known, self.count) or self.count

    def first(self, count: int) -> list[Batch]:
        """Return the first examples, as far as they can be read without using up the data; else none."""
        if self.collected is not None and self.length:
            return self.take(range(min(count, len(self))))
        held = self.in_memory or isinstance(self.batches, tuple)
        return self.take(range(min(count, len(self)))) if held and self.length else []

    def take(self, numbers: Sequence[int]) -> list[Batch]:
        """Return the examples with these numbers, in this order, reading no others where single ones can be read.

        Raises:
            ArgumentError: a number is out of range.
        """
        if self.collected is not None and self.length is not None:
            bad = [n for n in numbers if not 0 <= n < self.length]
            if bad:
                raise ArgumentError(f"data_ids: expected numbers from 0 to {self.length - 1}, got {bad[0]}")
            dataset, collate = self.collected
            loader = DataLoader(Subset(dataset, list(numbers)), batch_size=len(numbers), collate_fn=collate)
            beside = masks_of(self.beside, numbers)
            return list(Stream(loader, self.inputs, self.labels, self.targets, masks=self.masks, beside=beside))
        wanted, examples, start = set(numbers), {}, 0
        for batch in self:
            examples |= {start + row: batch.take([row]) for row in range(len(batch)) if start + row in wanted}
            start += len(batch)
            if len(examples) == len(wanted):
                break
        missing = [n for n in numbers if n not in examples]
        if missing:
            raise ArgumentError(f"data_ids: expected numbers from 0 to {start - 1}, got {missing[0]}")
        return [examples[n] for n in numbers]


def members(data: object) -> tuple[Dataset, Callable[..., ModelInputs]] | None:
    """Return a loader's dataset and what makes a batch of its members, None where single ones cannot be read."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset) or data.batch_sampler is None:
        return None
    return data.dataset, data.collate_fn


def _as_tensors(part: ModelInputs) -> ModelInputs:
    return torch.as_tensor(part) if type(part).__module__ == "numpy" else part


def _nothing(batch: ModelInputs) -> None:
    """Stand where batches are taken apart already."""


def _inputs(batch: ModelInputs) -> ModelInputs:
    return inputs_and_label(batch)[0]


def _label(batch: ModelInputs) -> ModelInputs:
    return inputs_and_label(batch)[1]
