"""Turns a model into a function that ends at a layer, and selects one of the layer's values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from pnpxai.engine.running.places import Place
from pnpxai.engine.running.site import AtSites, Call
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Model, ModelOutput
from pnpxai.tensors import rows_of

__all__ = ["Selector", "UpToLayer", "selected"]

Selector: TypeAlias = int | tuple[int | slice, ...] | Callable[..., Tensor]
"""One value of a layer: an index, a tuple of indices and slices for all axes but the examples' (slices are summed), or
a function of the layer's value that returns one number for each example."""


@dataclass(frozen=True)
class UpToLayer:
    """Runs a model as far as a layer and returns the layer's value.

    Attributes:
        model: the model.
        places: the place of the layer, as the only member.
    """

    model: Model
    places: tuple[Place, ...]

    def __call__(self, *args: object) -> ModelOutput:
        """Return the layer's value: a tensor, or a tuple where it has several."""
        values: list[Tensor] = []

        def note(k: int, value: Tensor) -> Tensor:
            values.append(value)
            return value

        AtSites(self.model, self.places).run(Call(args), note, stop=True)
        size = next((len(a) for a in args if isinstance(a, Tensor) and a.ndim), 1)
        if any(value.shape[:1] == (1,) for value in values) and size > 1:
            raise ShapeError(
                f"layer: {self.places[0]} has one row for {size} examples; it runs for each of them by itself, or for "
                "all at once, so that an example has no value of its own there"
            )
        return values[0] if len(values) == 1 else tuple(values)

    def runs_model(self) -> tuple[Model, tuple[str | Place, ...]]:
        """Return the model, and a key that says at which layer it ends."""
        return self.model, ("up to", *self.places)


def selected(selector: Selector) -> Callable[[ModelOutput], Tensor]:
    """Return the selector as a function of the layer's value.

    Raises:
        ArgumentError: the selector is neither an index, a tuple of indices and slices, nor a function.
    """
    if callable(selector):
        return selector
    members = selector if isinstance(selector, tuple) else (selector,)
    if any(isinstance(m, bool) or not (isinstance(m, slice) or hasattr(m, "__index__")) for m in members):
        raise ArgumentError(
            f"neuron_selector: expected an index, a tuple of indices and slices, or a function, got {selector!r}"
        )

    def chosen(value: ModelOutput) -> Tensor:
        if not isinstance(value, Tensor):
            raise ArgumentError("neuron_selector: the layer has several tensors; pass a function of them")
        if value.ndim != 1 + len(members):
            raise ArgumentError(
                f"neuron_selector: expected {value.ndim - 1} indices for a layer of shape {tuple(value.shape)}, "
                f"got {len(members)}"
            )
        for axis, (member, length) in enumerate(zip(members, value.shape[1:], strict=True), start=1):
            if not isinstance(member, slice) and not -length <= int(member) < length:
                raise ArgumentError(f"neuron_selector: expected an index below {length} on axis {axis}, got {member}")
        return rows_of(value[(slice(None), *members)]).sum(1)

    return chosen
