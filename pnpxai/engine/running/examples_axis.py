"""Layers whose first axis is not the examples: their values turned so that it is, and back for the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pnpxai.engine.running.places import Place
from pnpxai.engine.running.site import AtSites
from pnpxai.errors import ShapeError
from pnpxai.tensors import Tensors

__all__ = ["ExamplesFirst", "Turn", "TurnedPlaces"]


@dataclass(frozen=True)
class Turn:
    """How one tensor is turned.

    Attributes:
        axis: where its examples are: 0, or 1 (time first); None where the first axis holds several rows of each
            example, one example after the other.
        size: number of examples.
    """

    axis: int | None
    size: int

    @classmethod
    def of(cls, value: Tensor, size: int) -> Turn:
        """Find the examples in a layer's value.

        Raises:
            ShapeError: they are nowhere to be seen.
        """
        if value.shape[:1] == (size,):
            return cls(0, size)
        if value.ndim > 2 and value.shape[1] == size:
            return cls(1, size)
        if value.ndim and value.shape[0] % size == 0:
            return cls(None, size)
        raise ShapeError(f"layer: its value has shape {tuple(value.shape)}, in which {size} examples cannot be told")

    def there(self, value: Tensor) -> Tensor:
        """Return the value with its examples first."""
        return value.unflatten(0, (self.size, -1)) if self.axis is None else value.movedim(self.axis, 0)

    def back(self, value: Tensor) -> Tensor:
        """Return a value with examples first (maybe more of them) as the layer has it."""
        return value.flatten(0, 1) if self.axis is None else value.movedim(0, self.axis)


@dataclass(frozen=True)
class ExamplesFirst:
    """A function of values at places, as a function of turned values.

    Attributes:
        at: the function.
        turns: one for each value.
    """

    at: AtSites
    turns: Sequence[Turn]

    @classmethod
    def of(cls, at: AtSites, values: Tensors, size: int) -> ExamplesFirst:
        """Find the examples in all values.

        Raises:
            ShapeError: they are nowhere to be seen.
        """
        return cls(at, [Turn.of(value, size) for value in values])

    @property
    def model(self) -> Callable[..., Any]:
        """What is run."""
        return self.at.model

    @property
    def still(self) -> bool:
        """Whether all values have their examples first anyway."""
        return all(turn.axis == 0 for turn in self.turns)

    def __call__(self, *values_and_call: Any) -> Any:
        """Return what the function gives for the values turned back."""
        *values, call = values_and_call
        return self.at(*(turn.back(v) for turn, v in zip(self.turns, values, strict=True)), call)

    def there(self, values: Tensors) -> Tensors:
        """Return values with their examples first."""
        return values if self.still else tuple(t.there(v).contiguous() for t, v in zip(self.turns, values, strict=True))

    def back(self, values: Tensors) -> Tensors:
        """Return turned values as they were."""
        return values if self.still else tuple(t.back(v).contiguous() for t, v in zip(self.turns, values, strict=True))


class TurnedPlaces(tuple[Place, ...]):
    """Places whose values are explained with their examples first.

    Attributes:
        forward: the model as a function of these values.
    """

    forward: ExamplesFirst

    @classmethod
    def of(cls, forward: ExamplesFirst) -> TurnedPlaces:
        """Return the function's places."""
        made = cls(forward.at.places)
        made.forward = forward
        return made
