"""Defines the marks of a field beside its type: what is worth searching, what belongs to this process only."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Bound", "Choice", "Range", "Tunable"]

Tunable = tuple[type, dict[str, Any]]
"""What may be searched: ``(float | int, {"low", "high", ...})`` or ``(list | a strategy class, {"choices"})``."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers worth searching: ``low`` to ``high`` in steps of ``step``, or on a logarithmic scale."""

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
    """The values worth searching; without options, for a field that holds a strategy: every strategy of its kind."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        object.__setattr__(self, "options", options)


class Bound:
    """Marks a field that is bound to this process (a model): no setting, so not in ``==``, ``repr`` or JSON."""
