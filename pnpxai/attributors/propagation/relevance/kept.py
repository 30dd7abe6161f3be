"""What is kept of a value until its relevance comes: the value itself, or how it is computed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["Again", "Held", "Kept", "keep", "remember"]


@dataclass(frozen=True)
class Held:
    """A value in memory.

    Attributes:
        value: detached from the graph, in the memory of the model's own value.
        version: how often that had been edited in place.
    """

    value: Tensor
    version: int

    @classmethod
    def of(cls, value: Tensor) -> Held:
        """Hold a value as it is now."""
        return cls(value.detach(), _version(value))

    def __call__(self) -> Tensor:
        """Return the value.

        Raises:
            RuntimeError: it has been edited since then; torch refuses to differentiate in the same words.
        """
        if _version(self.value) != self.version:
            raise RuntimeError("a value that relevance is passed to has been modified by an inplace operation")
        return self.value


@dataclass(frozen=True)
class Again:
    """A value that takes little time to compute and much memory to keep, such as that of an activation.

    Attributes:
        function: computes it, of its operands.
        operands: what is kept of these.
        constants: further tensors that the function uses.
        operations: how many operations computing it takes.
    """

    function: Callable[..., Tensor]
    operands: tuple[Kept, ...]
    constants: tuple[Held, ...]
    operations: int = 1

    def __call__(self) -> Tensor:
        """Return the value, computed again."""
        for constant in self.constants:
            constant()
        with torch.no_grad():
            return self.function(*(operand() for operand in self.operands))


Kept: TypeAlias = Held | Again

_OPERATIONS = 4
"""The most operations that computing a value again may take."""


def keep(value: Tensor) -> Kept:
    """Return what to keep of a value."""
    again = getattr(value.grad_fn, "again", None)
    return Held.of(value) if again is None or _version(value) else again


def remember(value: Tensor, function: Callable[..., Tensor], kept: Sequence[Kept], constants: Sequence[Tensor]) -> None:
    """Note at a new value how it is computed again, unless that takes long, as of a sum of all layers before."""
    operations = 1 + sum(one.operations for one in kept if isinstance(one, Again))
    if value.grad_fn is not None and operations <= _OPERATIONS:
        again = Again(function, tuple(kept), tuple(map(Held.of, constants)), operations)
        value.grad_fn.again = again  # type: ignore[attr-defined]


def _version(value: Tensor) -> int:
    return 0 if value.is_inference() else value._version
