"""Reads a user's inputs as the model's arguments: those that are explained, and those that are only passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from pnpxai.engine.running.guard import eager
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import Call, argument_names
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Keywords, Model, ModelInputs, ModelOutput, Positional
from pnpxai.tensors import Tensors, as_tuple

__all__ = ["Arguments", "ByKeyword", "Extractor"]

Extractor: TypeAlias = Callable[[ModelInputs], ModelInputs] | None
"""Function that takes arguments of the model out of the user's inputs."""


@dataclass(frozen=True)
class Arguments:
    """Holds the arguments of the model for one batch of inputs.

    Attributes:
        explained: the tensors that are explained.
        extra: the model's further positional arguments.
        names: the keywords of the explained tensors, where the inputs are a mapping.
        keywords: the other keyword arguments.
    """

    explained: Tensors
    extra: Positional = ()
    names: tuple[str, ...] = ()
    keywords: Keywords = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        inputs: ModelInputs,
        extractor: Extractor = None,
        additional: Extractor = None,
        model: Model | None = None,
    ) -> Arguments:
        """Find the arguments in ``inputs``.

        Args:
            inputs: a tensor, a tuple of tensors, a mapping of keyword arguments, or anything that the extractors read.
            extractor: takes out what is explained: of a mapping its tensors, without those called a mask; if all are
                ids, the one that comes first among the model's arguments. Without it, ids beside numbers are not.
            additional: takes out the model's further arguments.
            model: whose arguments they are.
        """
        explained = inputs if extractor is None else extractor(inputs)
        extra = () if additional is None else additional(inputs)
        if isinstance(explained, Mapping):
            rest = extra if isinstance(extra, Mapping) else {}
            tensors = [name for name, value in explained.items() if isinstance(value, Tensor)]
            tensors = [name for name in tensors if "mask" not in str(name)] or tensors
            order = {name: place for place, name in enumerate(() if model is None else argument_names(model))}
            first = sorted(tensors, key=lambda name: order.get(name, len(order)))[:1]
            numbers = [name for name in tensors if explained[name].is_floating_point()]
            names = (numbers if extractor is None else tensors) if numbers else first
            if not names:
                raise ArgumentError(
                    f"inputs: expected a mapping with tensors, got {sorted(map(str, explained))} without any "
                    "(a tokenizer gives tensors with return_tensors='pt')"
                )
            others = {name: value for name, value in explained.items() if name not in names}
            return cls(tuple(explained[name] for name in names), (), tuple(names), others | dict(rest))
        if isinstance(extra, Mapping):
            raise ArgumentError(
                "additional_forward_arg_extractor: a mapping goes with inputs that are a mapping; give a tuple"
            )
        return cls(as_tuple(explained), tuple(extra) if isinstance(extra, (tuple, list)) else (extra,))

    def call(self) -> Call:
        """Return the call of the model."""
        if self.names:
            return Call((), self.keywords | dict(zip(self.names, self.explained, strict=True)))
        return Call((*self.explained, *self.extra))

    def score(
        self,
        model: Model,
        target: Target = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> Score:
        """Return the score: the model's output at the target as a function of the explained tensors."""
        forward, arguments = self.by_position(model)
        return Score.of(forward, arguments.explained, target, arguments.extra, transform)

    def by_position(self, model: Model) -> tuple[Model, Arguments]:
        """Return the model as a function that takes these arguments by position, and the arguments in that form."""
        if not self.names:
            return model, self
        return ByKeyword(eager(model), self.names), Arguments(self.explained, (self.keywords,))


@dataclass(frozen=True)
class ByKeyword:
    """Calls a model with the values of some keyword arguments, and then a mapping of the others.

    Attributes:
        model: the model.
        names: the keywords of the values.
    """

    model: Model
    names: tuple[str, ...]

    def __call__(self, *values_and_rest: Any) -> ModelOutput:
        """Return the model's output."""
        *values, rest = values_and_rest
        return self.model(**(rest | dict(zip(self.names, values, strict=True))))

    def runs_model(self) -> tuple[Model, tuple[str, ...]]:
        """Return the model, and a key that says how it is called."""
        return self.model, self.names
