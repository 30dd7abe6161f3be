"""Finds the axis of a layer's values that holds the examples, and moves it to the front and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from pnpxai.engine.running.places import Place
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.row_independence import facts_of
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.errors import ShapeError
from pnpxai.model_types import Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, alike, take_rows

__all__ = ["ExamplesFirst", "Turn", "TurnedPlaces"]


_Setting = TypeVar("_Setting")


@dataclass(frozen=True)
class Turn:
    """Moves axes of a tensor so that the examples come first, and moves them back.

    Attributes:
        axis: the axis that counts the examples: 0, or 1 (time first). None where the first axis holds several rows of
            each example.
        size: number of examples.
        steps_first: of several rows of each example, True if row k of all examples stand side by side (as in a packed
            sequence), False if the rows of one example do.
    """

    axis: int | None
    size: int
    steps_first: bool = False

    @classmethod
    def between(cls, value: Tensor, twice: Tensor, size: int) -> Turn | None:
        """Return the turn of a value from its shape for the same examples twice over; None if no turn fits."""
        if value.ndim != twice.ndim:
            return None
        grown = [axis for axis, (n, m) in enumerate(zip(value.shape, twice.shape, strict=True)) if n != m]
        if len(grown) != 1 or twice.shape[grown[0]] != 2 * value.shape[grown[0]]:
            return None
        (axis,) = grown
        if value.shape[axis] == size:
            return cls(axis, size)
        if axis != 0 or value.shape[0] % size:
            return None
        if alike(torch.cat([value, value]), twice):
            return cls(None, size)
        steps = value.unflatten(0, (-1, size))
        return cls(None, size, steps_first=True) if alike(torch.cat([steps, steps], 1).flatten(0, 1), twice) else None

    @classmethod
    def of(cls, value: Tensor, size: int) -> Turn | None:
        """Return the turn of a value whose model takes no other number of examples; None if it could be several."""
        axes = [axis for axis, length in enumerate(value.shape) if length == size]
        return cls(axes[0], size) if len(axes) == 1 else None

    def there(self, value: Tensor) -> Tensor:
        """Return the value with its examples first."""
        if self.axis is not None:
            return value.movedim(self.axis, 0)
        if self.steps_first:
            return value.unflatten(0, (-1, self.size)).transpose(0, 1)
        return value.unflatten(0, (self.size, -1))

    def setting_there(self, setting: Tensor) -> Tensor:
        """Return a tensor that broadcasts to the layer's value with its examples first."""
        if self.axis is None and len(setting) == 1:
            return setting[:, None]
        return self.there(setting)

    def back(self, value: Tensor) -> Tensor:
        """Return a value with examples first (maybe more of them) as the layer has it."""
        if self.axis is not None:
            return value.movedim(0, self.axis)
        return (value.transpose(0, 1) if self.steps_first else value).flatten(0, 1)


@dataclass(frozen=True)
class ExamplesFirst:
    """Turns a function of values at places into a function of values with the examples first.

    Attributes:
        at: the function.
        turns: one for each value.
    """

    at: AtSites
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, at: AtSites, call: Call, values: Tensors, size: int) -> ExamplesFirst:
        """Find the axis of examples in all values by running the batch twice over, once for values of such shapes.

        Args:
            at: the function.
            call: how the model was called.
            values: what stands at the places.
            size: number of examples.

        Raises:
            ShapeError: a value has no axis of examples, as a packed sequence of several lengths.
        """
        facts = facts_of(at)
        form = ("axes", size, tuple((value.shape, value.dtype) for value in values))
        if form not in facts:
            facts[form] = cls._turns(at, call, values, size)
        turns = facts[form]
        for value, turn in zip(values, turns, strict=True):
            if turn is None:
                raise ShapeError(
                    f"layer: its value has shape {tuple(value.shape)}, in which {size} examples cannot be told apart; "
                    "take a layer whose values have an axis of examples, or explain one example at a time"
                )
        return cls(at, turns)

    @staticmethod
    def _turns(at: AtSites, call: Call, values: Tensors, size: int) -> tuple[Turn | None, ...]:
        rows = torch.arange(size).repeat(2)
        with torch.no_grad(), probing():
            try:
                twice = at.read(take_rows(call, rows, size), stop=True, alone=False, size=2 * size).values
            except (RuntimeError, ValueError, IndexError, TypeError):  # it takes no other number of examples
                return tuple(Turn.of(value, size) for value in values)
        if len(twice) != len(values):
            return (None,) * len(values)
        return tuple(Turn.between(value, other, size) for value, other in zip(values, twice, strict=True))

    @property
    def model(self) -> Model:
        """The function of values at places that runs."""
        return self.at.model

    def runs_model(self) -> tuple[Model, tuple[Turn, ...]]:
        """Return the function of values at places, and the turns of its values."""
        return self.at, self.turns

    @property
    def still(self) -> bool:
        """True if all values have their examples first already."""
        return all(turn.axis == 0 for turn in self.turns)

    def __call__(self, *values_and_call: Any) -> ModelOutput:
        """Return the result of the function for the values turned back."""
        *values, call = values_and_call
        return self.at(*(turn.back(v) for turn, v in zip(self.turns, values, strict=True)), call)

    def there(self, values: Tensors) -> Tensors:
        """Return values with their examples first."""
        return values if self.still else tuple(t.there(v).contiguous() for t, v in zip(self.turns, values, strict=True))

    def setting_there(self, setting: _Setting) -> _Setting | Positional:
        """Return a setting in the layer's shapes (masks, baselines; None or numbers too) with its examples first."""
        if self.still or setting is None:
            return setting
        several = isinstance(setting, (tuple, list))
        members = zip(self.turns, setting if several else (setting,), strict=True)
        turned = [turn.setting_there(m) if isinstance(m, Tensor) and m.ndim else m for turn, m in members]
        return tuple(turned) if several else turned[0]

    def back(self, values: Tensors) -> Tensors:
        """Return values with their axes in the layer's order."""
        return values if self.still else tuple(t.back(v).contiguous() for t, v in zip(self.turns, values, strict=True))


class TurnedPlaces(tuple[Place, ...]):
    """Holds places whose values are explained with their examples first.

    Attributes:
        forward: the model as a function of these values.
    """

    forward: ExamplesFirst

    @classmethod
    def of(cls, forward: ExamplesFirst) -> TurnedPlaces:
        """Return the function's places."""
        places = cls(forward.at.places)
        places.forward = forward
        return places
