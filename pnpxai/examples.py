"""Holds examples in batches with their targets, classes and masks; splits them and keys them by content."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.running.keys import example_keys, numbered
from pnpxai.engine.running.score import select_output
from pnpxai.engine.running.seeds import RandomStream, generator
from pnpxai.errors import ArgumentError, OutOfMemoryError
from pnpxai.model_types import ModelInputs, ModelOutput
from pnpxai.tensors import flat, map_tensors, take_rows

__all__ = [
    "LABELS", "MISSING_TARGET", "Batch", "Examples", "inputs_and_label", "labels_as_targets", "largest", "masks_of",
    "no_more_masks", "predicted_targets",
]  # fmt: skip

MISSING_TARGET = torch.iinfo(torch.int64).min
"""Takes the place of a target where an example has none: its label is missing, or the model fails on it."""

LABELS = ("labels", "label", "targets", "target")
"""Names under which mappings hold true classes, which the model is not given."""


@dataclass(frozen=True)
class Batch:
    """Some examples.

    Attributes:
        inputs: what an explainer takes as inputs.
        targets: (examples,) which output is explained; None for a model with one output.
        labels: (examples,) the true classes, where they are known.
        keys: a key for each example, unique within its ``Examples``.
        masks: (examples, *positions) what is known to matter, as ``Metric.measure`` takes it, where it is known.
    """

    inputs: ModelInputs
    targets: Tensor | None
    labels: Tensor | None
    keys: tuple[str, ...]
    masks: Any = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def without_target(self) -> tuple[int, ...]:
        """The rows of the examples that have no target, though others may have one."""
        if not isinstance(self.targets, Tensor) or self.targets.ndim != 1:
            return ()
        return tuple((self.targets == MISSING_TARGET).nonzero()[:, 0].tolist())

    def take(self, rows: Sequence[int]) -> Batch:
        """Return some of the examples."""
        index = torch.tensor(list(rows), dtype=torch.long)
        inputs, targets, labels, masks = (
            take_rows(part, index, len(self)) for part in (self.inputs, self.targets, self.labels, self.masks)
        )
        return Batch(inputs, targets, labels, tuple(self.keys[row] for row in rows), masks)

    def to(self, device: torch.device) -> Batch:
        """Return the examples on a device."""
        inputs, targets, labels, masks = (
            map_tensors(lambda t: t.to(device), part) for part in (self.inputs, self.targets, self.labels, self.masks)
        )
        return Batch(inputs, targets, labels, self.keys, masks)

    def stream(self, seed: int) -> RandomStream:
        """Return random numbers that depend on the seed and each example, not on the batch."""
        return RandomStream(seed, self.keys)


@dataclass(frozen=True)
class Examples:
    """A sequence of batches."""

    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, parts: Sequence[tuple[Any, ...]]) -> Examples:
        """Build examples of (inputs, targets, labels) or (inputs, targets, labels, masks), each a batch.

        Equal contents are told apart by their occurrence.

        Raises:
            ArgumentError: there is nothing, a batch holds no tensor, or it is none of these.
        """
        given = parts if isinstance(parts, (list, tuple)) else [parts]
        wrong = [p for p in given if not (isinstance(p, tuple) and len(p) in (3, 4))]
        if wrong:
            came = f"a tuple of {len(wrong[0])}" if isinstance(wrong[0], tuple) else type(wrong[0]).__name__
            raise ArgumentError(
                "data: expected (inputs, targets, labels) or (inputs, targets, labels, masks) for each batch, such as "
                f"[(inputs, targets, None)], got {came}; auto_explain(model, data) takes any data"
            )
        contents: list[str] = []
        for inputs, *_ in parts:
            tensors = flat(inputs)
            if not tensors or tensors[0].ndim == 0 or not len(tensors[0]):
                raise ArgumentError("data: expected batches of tensors with at least one example")
            own = tuple(t for t in tensors if t.ndim and t.shape[0] == len(tensors[0]))
            contents += example_keys(own)
        keys = iter(numbered(contents))
        batches = [
            Batch(inputs, targets, labels, tuple(itertools.islice(keys, len(flat(inputs)[0]))), *masks)
            for inputs, targets, labels, *masks in parts
        ]
        if not batches:
            raise ArgumentError("data: expected at least one example, got none")
        return cls(tuple(batches))

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def with_masks(self, masks: Any) -> Examples:
        """Return the examples with what is known to matter in each.

        Args:
            masks: see ``masks_of``; for all examples, in their order.

        Raises:
            ArgumentError: there are not as many as examples.
        """
        ends = itertools.accumulate(map(len, self.batches))
        given = Examples(
            tuple(
                replace(batch, masks=masks_of(masks, range(end - len(batch), end)))
                for batch, end in zip(self.batches, ends, strict=True)
            )
        )
        no_more_masks(masks, len(self))
        return given

    @property
    def keys(self) -> tuple[str, ...]:
        """The key of every example, in order."""
        return tuple(key for batch in self.batches for key in batch.keys)

    def take(self, numbers: Sequence[int]) -> Examples:
        """Return the examples with these numbers, in the batches they come from.

        Raises:
            ArgumentError: a number is out of range, or none is given.
        """
        wanted = set(numbers)
        if not wanted or min(wanted) < 0 or max(wanted) >= len(self):
            raise ArgumentError(f"examples: expected numbers from 0 to {len(self) - 1}, got {sorted(wanted)}")
        batches, start = [], 0
        for batch in self.batches:
            rows = [row for row in range(len(batch)) if start + row in wanted]
            if rows:
                batches.append(batch if len(rows) == len(batch) else batch.take(rows))
            start += len(batch)
        return Examples(tuple(batches))

    def split(self, fraction: float, seed: int = 0) -> tuple[Examples, Examples]:
        """Return a random part with about this fraction of the examples, and the rest; each has at least one.

        Raises:
            ArgumentError: there are fewer than two examples, or the fraction is not between 0 and 1.
        """
        if not 0 < fraction < 1:
            raise ArgumentError(f"fraction: expected a number between 0 and 1, got {fraction!r}")
        if len(self) < 2:
            raise ArgumentError(f"examples: a part to tune on and one to decide on need at least 2, got {len(self)}")
        order = torch.randperm(len(self), generator=generator(seed, "split")).tolist()
        cut = min(max(1, round(fraction * len(self))), len(self) - 1)
        return self.take(order[:cut]), self.take(order[cut:])

    @property
    def with_targets(self) -> Examples:
        """The examples without those whose target is missing.

        Raises:
            ArgumentError: no example has a target.
        """
        missing, start = set[int](), 0
        for batch in self.batches:
            missing |= {start + row for row in batch.without_target}
            start += len(batch)
        if missing and len(missing) == start:
            raise ArgumentError("examples: none has a target: their labels are missing, or the model fails on them")
        return self.take([number for number in range(start) if number not in missing]) if missing else self

    def first(self, count: int) -> Examples:
        """Return the first examples, all if there are fewer."""
        return self.take(range(min(count, len(self))))


def masks_of(masks: Any, numbers: Sequence[int]) -> Any:
    """Return what is known to matter in some of the examples.

    Args:
        masks: (examples, *positions) truth values for all examples: a tensor, an array, or a sequence with one for each
            example; a tuple with such (or None) for each input where there are several.
        numbers: the examples' numbers.

    Raises:
        ArgumentError: there are not as many as examples.
    """
    if masks is None or isinstance(masks, tuple):
        return None if masks is None else tuple(masks_of(member, numbers) for member in masks)
    if not hasattr(masks, "__getitem__") or not hasattr(masks, "__len__"):
        raise ArgumentError(f"masks: expected a tensor, or a sequence with one for each example, got {masks!r}")
    if len(masks) <= max(numbers):
        raise ArgumentError(f"masks: expected one for each example, got {len(masks)} for at least {max(numbers) + 1}")
    if isinstance(masks, Tensor) or hasattr(masks, "__array__"):
        return torch.as_tensor(masks[list(numbers)])
    return torch.stack([torch.as_tensor(masks[number]) for number in numbers])


def no_more_masks(masks: Any, count: int) -> None:
    """Refuse masks of more examples than there are.

    Raises:
        ArgumentError: there are more.
    """
    for member in masks if isinstance(masks, tuple) else (masks,):
        if member is not None and len(member) != count:
            raise ArgumentError(f"masks: expected one for each of {count} examples, got {len(member)}")


def inputs_and_label(batch: Any, several: int = 1, needed: Sequence[str] = ()) -> tuple[Any, Any]:
    """Return a batch's inputs and its true classes, None where it has none.

    Of a mapping the classes are what stands under their name, and the inputs all else; of a tuple, inputs come first.
    What follows them and is not one number for each example is some other member of the batch, not its classes.

    Args:
        batch: one batch.
        several: how many inputs are explained, 1 if that was not said.
        needed: the arguments that the model must be given: if several, they come first in a tuple.
    """
    if isinstance(batch, Mapping):
        label = next((batch[name] for name in LABELS if name in batch), None)
        return {name: value for name, value in batch.items() if name not in LABELS}, _classes(label)
    if not isinstance(batch, (tuple, list)):
        return batch, None
    if several > 1 and not isinstance(batch[0], (tuple, list, Mapping)):
        return tuple(batch[:several]), _classes(*batch[several : several + 1])
    if 1 < len(needed) <= len(batch) and all(isinstance(member, Tensor) for member in batch[: len(needed)]):
        return dict(zip(needed, batch, strict=False)), _classes(*batch[len(needed) : len(needed) + 1])
    return batch[0], _classes(*batch[1:2])


def _classes(member: Any = None) -> Any:
    first = member[0] if isinstance(member, (tuple, list)) and member else None
    single = getattr(member, "ndim", 1) == 1 and not isinstance(first, (tuple, list)) and not getattr(first, "ndim", 0)
    return member if single else None


def largest(output: ModelOutput) -> Tensor | None:
    """Return (examples,) the index of the largest output; None for a model with one output.

    Raises:
        ArgumentError: there are several numbers for each output.
    """
    scores = select_output(output)
    if scores.ndim > 2:
        raise ArgumentError(
            f"target: the model gives {tuple(scores.shape[1:])} numbers for each example; say which to explain: "
            "target=(3, 5, 5), target= a function of the output, such as lambda output: output[:, 3].sum((1, 2)), or "
            f"target_extractor= one that gives indices (examples, {scores.ndim - 1})"
        )
    return None if scores.ndim < 2 or scores.shape[-1] == 1 else scores.argmax(-1)


def labels_as_targets(labels: Any) -> Any:
    """Return true classes as targets: the whole numbers of a table with a gap, which are floats, become indices again.

    Raises:
        ArgumentError: they are no whole numbers.
    """
    if isinstance(labels, (list, tuple)) and any(label is None for label in labels):
        labels = torch.tensor([float("nan") if label is None else float(label) for label in labels])
    if not isinstance(labels, Tensor) or not labels.is_floating_point() or labels.ndim != 1:
        return labels
    known = labels.isfinite()
    if (labels[known] != labels[known].round()).any():
        wrong = labels[known][labels[known] != labels[known].round()][0]
        raise ArgumentError(f"target_labels: expected labels that are numbers of classes, got {wrong:g}")
    return labels.where(known, 0).long().where(known, MISSING_TARGET)


def predicted_targets(predict: Callable[[Sequence[int]], Any], size: int, *, first: bool) -> Any:
    """Return the targets that a model's output gives, missing for the examples on which the model fails.

    Args:
        predict: returns the targets of the examples with these row numbers.
        size: number of examples.
        first: True for the first examples of all: where the model fails on all of them, it raises its error.
    """
    try:
        return predict(range(size))
    except Exception as problem:
        each: list[Any] = []
        for row in range(size if size > 1 else 0):
            with contextlib.suppress(Exception):
                each.append((row, predict([row])))
        targets = [target for _, target in each if isinstance(target, Tensor)]
        if (first and not each) or len(targets) < len(each) or isinstance(problem, OutOfMemoryError):
            raise
        whole = torch.full((size, *(targets[0].shape[1:] if targets else ())), MISSING_TARGET)
        for row, target in each:
            whole[row] = target[0]
        return whole
