"""Defines what all targets share: one number for each example of an output, and values of their own by example."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self, TypeAlias, TypeVar

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import take_rows

T = TypeVar("T")

__all__ = ["Indices", "TargetValue", "class_words", "index_rows", "output_of", "target_rows"]


def _whole_numbers(value: object) -> object:
    """Return one number, or a tuple with one for each example."""
    tolist = getattr(value, "tolist", None)
    if tolist is not None:
        if isinstance(value, Tensor) and (value.is_floating_point() or value.dtype == torch.bool):
            raise ArgumentError(f"target: expected whole numbers, got a tensor of {value.dtype}")
        value = tolist()
    return tuple(value) if isinstance(value, list) else value


Indices: TypeAlias = Annotated[int | tuple[int, ...], BeforeValidator(_whole_numbers)]
"""One index for all examples, or one for each (a list or tensor of them becomes a tuple)."""


class TargetValue(Declared, abstract=True):
    """Is a function from a model's output to one number for each example.

    Every argument ``target`` or ``targets`` takes it. A field may hold one value for all examples or one for each;
    values of examples follow their example when a batch is split, repeated or drawn from. The target runs as a part of
    the model: relevance and differences are passed back through it by the same rules.
    """

    per_example: ClassVar[dict[str, int]] = {}
    """Fields that may hold one value for each example, with the number of axes of one value (0 for a number)."""

    @abstractmethod
    def __call__(self, output: ModelOutput) -> Tensor:
        """Return (examples,) numbers for the output of a batch."""

    def check_size(self, size: int) -> None:
        """Refuse fields whose number of values differs from the number of examples.

        Raises:
            ArgumentError: a field has another number of values; the message names it.
        """
        for name, value in self._of_examples().items():
            if len(value) != size:
                raise ArgumentError(
                    f"target: {type(self).__name__}: {name}: expected one for each of {size} examples, got {len(value)}"
                )

    def take(self, rows: Tensor) -> Self:
        """Return the target of some examples (an index may occur several times).

        Raises:
            ArgumentError: there are fewer values than examples.
        """
        values = self._of_examples()
        if not values:
            return self
        chosen = rows.tolist()
        for name, value in values.items():
            if max(chosen, default=-1) >= len(value):
                raise ArgumentError(
                    f"target: {type(self).__name__}: {name}: expected one for each example, got {len(value)}"
                )
        taken = {
            name: value[rows.to(value.device)] if isinstance(value, Tensor) else tuple(value[k] for k in chosen)
            for name, value in values.items()
        }
        return self.replace(**taken)

    def scaled(self, share: float) -> Self:
        """Return the target of pictures whose sides are ``share`` times as long."""
        return self

    def caption(self, classes: Sequence[str] = ()) -> str:
        """Return the words for the target of one example in a title.

        Args:
            classes: names of the model's classes.
        """
        return f"target {self}"

    @property
    def is_per_example(self) -> bool:
        """True if a field holds one value for each example."""
        return bool(self._of_examples())

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the target of the examples of several batches, whose targets hold one value for each example.

        Raises:
            ArgumentError: what belongs to all examples differs between batches.
        """
        first = parts[0]
        names = first._of_examples()
        rest = [part.replace(**names) for part in parts]
        if any(part._of_examples().keys() != names.keys() for part in parts) or any(one != first for one in rest):
            raise ArgumentError(f"target: expected one kind of target for all batches, got {list(parts)}")
        joined = {}
        for name in names:
            values = [getattr(part, name) for part in parts]
            joined[name] = torch.cat(values) if isinstance(values[0], Tensor) else sum(values, ())
        return first.replace(**joined)

    def _of_examples(self) -> dict[str, Tensor | tuple[int, ...]]:
        """Return the fields that hold one value for each example."""
        fields = {name: getattr(self, name) for name in self.per_example}
        return {n: v for n, v in fields.items() if v is not None and _axes(v) > self.per_example[n]}


def target_rows(targets: T, rows: Tensor, size: int) -> T:
    """Return the targets of some of a batch's examples: indices, or a target value, or what all examples share.

    Args:
        targets: of the batch.
        rows: which examples.
        size: the number of examples in the batch.
    """
    return targets.take(rows) if isinstance(targets, TargetValue) else take_rows(targets, rows, size)


def class_words(index: int | tuple[int, ...], classes: Sequence[str]) -> str:
    """Return the name of the class of one example, else its number."""
    k = index[0] if isinstance(index, tuple) else index
    return classes[k] if 0 <= k < len(classes) else f"class {k}"


def _axes(value: object) -> int:
    if isinstance(value, Tensor):
        return value.ndim
    return 1 + _axes(value[0]) if isinstance(value, tuple) and value else 0


def index_rows(values: Tensor, index: int | tuple[int, ...], name: str = "target") -> Tensor:
    """Return ``values[k, index_k]`` of values (examples, members, ...); one index serves all examples, or each has one.

    Raises:
        ArgumentError: an index is out of range; the message says how many members there are.
    """
    members = values.shape[1]
    chosen = (index,) if isinstance(index, int) else index
    for k in chosen:
        if not -members <= k < members:
            raise ArgumentError(f"{name}: expected an index from 0 to {members - 1} (there are {members}), got {k}")
    if isinstance(index, int):
        return values[:, index]
    rows = torch.arange(values.shape[0], device=values.device)
    return values[rows, torch.tensor(index, device=values.device)]


def output_of(output: ModelOutput, name: str | None) -> Tensor:
    """Return the member of an output with a name; without a name, the tensor that scores come from."""
    if name is None:
        return select_output(output)
    member = output.get(name) if hasattr(output, "get") else getattr(output, name, None)
    if not isinstance(member, Tensor):
        held = sorted(map(str, output)) if hasattr(output, "keys") else type(output).__name__
        raise ArgumentError(f"target: output: expected a tensor called {name!r} in the model's output, got {held}")
    return member
