"""What all strategies share: a short name to be chosen by, and the data that they suit."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor

from pnpxai.declare import Declared
from pnpxai.registry import by_name
from pnpxai.traits import Traits

__all__ = ["Strategy"]


class Strategy(Declared, abstract=True):
    """A frozen callable on tensors; chosen by its short name or as an object."""

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, values: Tensor) -> Tensor:
        """Return the result for a batch."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Tell whether it makes sense on such data."""
        return True

    @classmethod
    def from_name(cls, value: Any) -> Self | Any:
        """Return the strategy of this kind that ``value`` names, with its defaults; anything but a string unchanged.

        Raises:
            ArgumentError: no strategy of this kind is called so.
        """
        return by_name(cls, value, cls.__name__)() if isinstance(value, str) else value
