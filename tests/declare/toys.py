"""Declared classes to test declarations with."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import nn

from pnpxai.declare.declared import Bound, Choice, Declared, Range
from pnpxai.errors import ArgumentError
from pnpxai.strategies.base import Strategy


class Filling(Strategy, abstract=True):
    """A kind of strategy."""


class Plain(Filling):
    """One without settings."""

    name: ClassVar[str] = "plain"

    def __call__(self, values):
        return values


class Spread(Filling):
    """One with settings, for pictures only."""

    name: ClassVar[str] = "spread"
    width: Annotated[int, Ge(1), Range(1, 9, step=2)] = 3

    @classmethod
    def suits(cls, traits):
        return traits.modality == "image"

    def __call__(self, values):
        return values * self.width


class Method(Declared, abstract=True):
    """What methods share."""

    model: Annotated[Any, Bound]
    layer: Any = None
    extra: int | None = None


class Toy(Method):
    """A method with every kind of field."""

    rate: Annotated[float, Gt(0), Le(1), Range(0, 1, step=0.25)] = 0.5
    steps: Annotated[int, Ge(1), Range(10, 100, step=10)] = 20
    scale: Annotated[float, Range(1e-6, 1.0, log=True)] = 1e-3
    mode: Annotated[Literal["a", "b"], Choice("a", "b")] = "a"
    filling: Annotated[Filling, Choice()] = "plain"
    sizes: tuple[int, ...] = (1, 2)
    center: torch.Tensor | None = None
    function: Any = None

    def check(self) -> None:
        if self.rate == 1 and self.steps == 100:
            raise ArgumentError("Toy: rate and steps: at most one at its end")


class Named(Declared, abstract=True, keyword_only=True):
    """A base whose subclasses' fields go by name only."""

    first: int


class ByName(Named):
    """Its field goes by name only."""

    second: int = 2


def network() -> nn.Sequential:
    """Return a model with named layers."""
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU())


def at_top_level(value):
    """Have an importable name."""
    return value
