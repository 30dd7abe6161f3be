"""Which of the model's arguments are explained, where a batch holds several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor

from pnpxai.auto.signatures import takes_any
from pnpxai.engine.running.places import argument_names
from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import reads_ids
from pnpxai.model_types import Keywords, Model, ModelInputs

__all__ = ["Extract", "TakenApart", "accepted_keywords", "explained_part", "further_part", "take_apart"]

Extract: TypeAlias = Callable[[ModelInputs], ModelInputs] | None
"""Takes one part out of a batch or out of its inputs."""


class TakenApart(tuple[ModelInputs, ModelInputs]):
    """Inputs as a pair: what is explained, and the model's further arguments."""

    __slots__ = ()


def explained_part(inputs: TakenApart) -> ModelInputs:
    """Return what is explained of inputs that were taken apart."""
    return inputs[0]


def further_part(inputs: TakenApart) -> ModelInputs:
    """Return the model's further arguments of inputs that were taken apart."""
    return inputs[1]


def accepted_keywords(model: Model, inputs: Mapping[str, ModelInputs]) -> Keywords:
    """Return the keyword arguments that the model takes.

    Raises:
        ArgumentError: the model takes none of them.
    """
    names = argument_names(model)
    accepted = {name: value for name, value in inputs.items() if not names or name in names or takes_any(model)}
    if not accepted:
        raise ArgumentError(f"data: the model takes {', '.join(names)}; a batch holds {', '.join(map(str, inputs))}")
    return accepted


def take_apart(model: Model, inputs: Mapping[str, ModelInputs], count: int) -> ModelInputs:
    """Return keyword arguments as ``TakenApart`` if numbers and ids are explained together, else as they are.

    Numbers are explained, and beside them the ids that come first among the model's arguments. Columns of categories
    and the lengths of series have one axis: such columns are all explained if an embedding reads them.

    Args:
        model: the model.
        inputs: its keyword arguments.
        count: how many inputs are explained, 1 if the user did not say.
    """
    tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor) and "mask" not in str(name)}
    order = {name: place for place, name in enumerate(argument_names(model))}
    ids = [name for name in tensors if not tensors[name].is_floating_point()]
    explained_ids = sorted(ids, key=lambda name: order.get(name, len(order)))[:1]
    if all(tensors[name].ndim < 2 for name in ids):
        explained_ids = ids if reads_ids(model) else []
    explained = [name for name in tensors if tensors[name].is_floating_point()] + explained_ids
    if len(explained) < 2 or not explained_ids or (count > 1 and len(explained) != count):
        return inputs
    further = {name: value for name, value in inputs.items() if name not in explained}
    return TakenApart(({name: inputs[name] for name in explained}, further))
