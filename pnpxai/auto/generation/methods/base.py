"""What all methods that explain a response share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pnpxai.auto.generation.task import Task
from pnpxai.declare.declared import Declared

__all__ = ["ResponseMethod", "UnitValues"]


@dataclass(frozen=True, eq=False)
class UnitValues:
    """What a method says of a task.

    Attributes:
        values: (response units, players), in float64.
        scores: (response units,) what is explained.
        gap: (response units,) score - base - sum of values - what held tokens and sinks have; None without a law.
        held: (response units,) what held tokens have; None where they have nothing.
        sinks: (response units,) relevance that rules kept; None without rules.
        base: (response units,) the score that values start from; None if it is not known.
        standard_error: (response units, players); None where values are exact or their error is not known.
        scale: what the values measure, if that is not the score.
        notes: what must be said before the values are read.
    """

    values: Tensor
    scores: Tensor
    gap: Tensor | None = None
    held: Tensor | None = None
    sinks: Tensor | None = None
    base: Tensor | None = None
    standard_error: Tensor | None = None
    scale: str = ""
    notes: tuple[str, ...] = ()


class ResponseMethod(Declared, abstract=True):
    """Explains a response by the units of its prompt. Its settings are its fields."""

    control: ClassVar[bool] = False
    """Whether it looks at nothing that could tell sources: what other methods have to beat."""
    needs_gradient: ClassVar[bool] = False
    """Whether it differentiates."""

    @property
    def name(self) -> str:
        """Its short name: that of the explainer that does the same for one output."""
        return type(self).__name__.removeprefix("Prompt")

    @abstractmethod
    def values(self, task: Task) -> UnitValues:
        """Return the values of a task."""
