"""Holds examples in batches with their targets, classes and masks; splits them, and keys them by content."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.keys import example_keys, numbered
from pnpxai.engine.running.seeds import RandomStream, draws
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs, ModelOutput, Positional
from pnpxai.targets import TargetValue, target_rows
from pnpxai.tensors import flat, map_tensors, take_rows

__all__ = ["EvidenceMasks", "MISSING_TARGET", "Batch", "Examples", "masks_of", "no_more_masks"]

EvidenceMasks: TypeAlias = ModelInputs
"""Masks in the form that a user has them: (examples, *positions) truth values, as a tensor, an array or a sequence with
one for each example; of several inputs a tuple with one of these (or None) for each. None without any."""
MISSING_TARGET = torch.iinfo(torch.int64).min
"""Target of an example without one: its label is missing, or the model fails on it."""


@dataclass(frozen=True)
class Batch:
    """Holds some examples.

    Attributes:
        inputs: inputs of an explainer.
        targets: (examples,) the outputs that are explained; None for a model with one output.
        labels: (examples,) the true classes, where they are known.
        keys: a key for each example, unique within its ``Examples``.
        masks: (examples, *positions) the positions that are known to matter, in the form of ``Metric.measure``.
    """

    inputs: ModelInputs
    targets: Tensor | TargetValue | Callable[[ModelOutput], Tensor] | None
    labels: Tensor | None
    keys: tuple[str, ...]
    masks: EvidenceMasks = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def without_target(self) -> tuple[int, ...]:
        """Row numbers of the examples without a target."""
        if not isinstance(self.targets, Tensor) or self.targets.ndim != 1:
            return ()
        return tuple((self.targets == MISSING_TARGET).nonzero()[:, 0].tolist())

    def take(self, rows: Sequence[int]) -> Batch:
        """Return some of the examples."""
        index = torch.tensor(list(rows), dtype=torch.long)
        inputs, labels, masks = (take_rows(part, index, len(self)) for part in (self.inputs, self.labels, self.masks))
        targets = target_rows(self.targets, index, len(self))
        return Batch(inputs, targets, labels, tuple(self.keys[row] for row in rows), masks)

    def to(self, device: torch.device) -> Batch:
        """Return the examples on a device."""
        parts = (self.inputs, self.targets, self.labels, self.masks)
        inputs, targets, labels, masks = map_tensors(lambda t: t.to(device), parts)
        return Batch(inputs, targets, labels, self.keys, masks)

    def stream(self, seed: int) -> RandomStream:
        """Return random numbers that depend on the seed and each example, not on the batch."""
        return RandomStream(seed, self.keys)


@dataclass(frozen=True)
class Examples:
    """Holds a sequence of batches."""

    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, parts: Sequence[Positional]) -> Examples:
        """Build examples of batches (inputs, targets, labels) or (inputs, targets, labels, masks).

        The keys of examples with equal content differ by a running number.

        Raises:
            ArgumentError: there is no batch, a batch holds no tensor, or it has another form.
        """
        members = parts if isinstance(parts, (list, tuple)) else [parts]
        wrong = [p for p in members if not (isinstance(p, tuple) and len(p) in (3, 4))]
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

    def with_masks(self, masks: EvidenceMasks) -> Examples:
        """Return the examples with masks of the positions that are known to matter.

        Args:
            masks: masks of all examples, in their order, in the form of ``masks_of``.

        Raises:
            ArgumentError: the number of masks differs from the number of examples.
        """
        ends = itertools.accumulate(map(len, self.batches))
        masked = Examples(
            tuple(
                replace(batch, masks=masks_of(masks, range(end - len(batch), end)))
                for batch, end in zip(self.batches, ends, strict=True)
            )
        )
        no_more_masks(masks, len(self))
        return masked

    @property
    def keys(self) -> tuple[str, ...]:
        """The key of every example, in order."""
        return tuple(key for batch in self.batches for key in batch.keys)

    def take(self, numbers: Sequence[int]) -> Examples:
        """Return the examples with these numbers, in the batches they come from.

        Raises:
            ArgumentError: a number is out of range, or there is no number.
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
        """Return a random part with about this fraction of the examples, and the rest; both have at least one example.

        Raises:
            ArgumentError: there are fewer than two examples, or the fraction is not between 0 and 1.
        """
        if not 0 < fraction < 1:
            raise ArgumentError(f"fraction: expected a number between 0 and 1, got {fraction!r}")
        if len(self) < 2:
            raise ArgumentError(f"examples: a part to tune on and one to decide on need at least 2, got {len(self)}")
        order = draws(seed, "split").permutation(len(self)).tolist()
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


def masks_of(masks: EvidenceMasks, numbers: Sequence[int]) -> EvidenceMasks:
    """Return the masks of some of the examples.

    Args:
        masks: (examples, *positions) truth values for all examples: a tensor, an array, or a sequence with one for each
            example. For several inputs, a tuple with one of these (or None) for each.
        numbers: numbers of the examples.

    Raises:
        ArgumentError: there are fewer masks than examples.
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


def no_more_masks(masks: EvidenceMasks, count: int) -> None:
    """Refuse masks if their number differs from the number of examples.

    Raises:
        ArgumentError: the numbers differ.
    """
    for member in masks if isinstance(masks, tuple) else (masks,):
        if member is not None and len(member) != count:
            raise ArgumentError(f"masks: expected one for each of {count} examples, got {len(member)}")
