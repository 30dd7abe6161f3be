"""Defines the marks of a field beside its type: values worth searching, and fields that belong to this process."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

__all__ = ["Bound", "Choice", "Range", "Settings", "Tunable"]

Settings: TypeAlias = dict[str, Any]
"""Settings by name, as keyword arguments of a class; the class's fields say what each of them takes."""
Tunable = tuple[type, Settings]
"""Search range of a setting: ``(float | int, {"low", "high", ...})`` or ``(list | a strategy class, {"choices"})``."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Marks the numbers worth searching: ``low`` to ``high`` in steps of ``step``, or on a logarithmic scale."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def tunable(self, kind: type) -> Tunable:
        """Return the range as an entry of ``get_tunables()``."""
        limits = {"low": self.low, "high": self.high, "step": self.step, "log": self.log}
        return kind, {key: value for key, value in limits.items() if value is not None and value is not False}


@dataclasses.dataclass(frozen=True, init=False)
class Choice:
    """Marks the values worth searching. Without options, a field of a strategy has every strategy of its kind."""

    options: tuple[object, ...]

    def __init__(self, *options: object) -> None:
        object.__setattr__(self, "options", options)


class Bound:
    """Marks a field that is bound to this process (a model). It is left out of ``==``, ``repr`` and JSON."""
