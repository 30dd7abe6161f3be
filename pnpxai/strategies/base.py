"""Defines what all strategies share: a short name by which users choose one, and the data that it suits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.traits import Traits

__all__ = ["Strategy", "each_by_name", "for_each"]

S = TypeVar("S", bound="Strategy")


class Strategy(Declared, abstract=True):
    """A frozen callable on tensors. A field of an explainer takes the object, or its short name."""

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, values: Tensor) -> Tensor:
        """Return the result for a batch."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return whether the strategy makes sense on such data."""
        return True

    @classmethod
    def from_name(cls, value: Any) -> Self | Any:
        """Return the strategy of this kind that ``value`` names, with its defaults; anything but a string unchanged.

        Raises:
            ArgumentError: no strategy of this kind has that name.
        """
        return by_name(cls, value, cls.__name__)() if isinstance(value, str) else value


def each_by_name(kind: type[Strategy]) -> BeforeValidator:
    """Return a validator for a field that holds several strategies of a kind; it turns names into strategies."""
    return BeforeValidator(
        lambda value: tuple(map(kind.from_name, value)) if isinstance(value, (tuple, list)) else value
    )


def for_each(strategy: S | str, inputs: Sequence[object]) -> tuple[S, ...]:
    """Return one strategy for each input: the same for all, or the members of an ``EachBaseline``, ``EachMask``, ...

    Raises:
        ArgumentError: there are not as many strategies as inputs, or the strategy is still a name.
    """
    if isinstance(strategy, str):  # fields turn names into strategies, so no name arrives here from a field
        raise ArgumentError(f"strategy: expected a strategy, got the name {strategy!r}")
    strategies = getattr(strategy, "strategies", None)
    if strategies is None:
        return (strategy,) * len(inputs)
    if len(strategies) != len(inputs):
        raise ArgumentError(
            f"{type(strategy).__name__}: expected a strategy for each of {len(inputs)} inputs, got {len(strategies)}"
        )
    return strategies
