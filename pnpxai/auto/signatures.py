"""What a model and what is given beside it say of their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from pnpxai.errors import ArgumentError

__all__ = ["refuse_what_cannot_be_called", "required", "takes_any"]


def refuse_what_cannot_be_called(**given: Any) -> None:
    """Refuse what is no function.

    Raises:
        ArgumentError: names the argument.
    """
    for name, value in given.items():
        if value is not None and not callable(value):
            raise ArgumentError(f"{name}: expected a function, got {value!r}")


def required(model: Any) -> tuple[str, ...]:
    """Return the names of the arguments that a model cannot be called without, none where they cannot be told."""
    found = _parameters(model)
    if found is None or any(p.kind is p.POSITIONAL_ONLY for p in found):
        return ()
    return tuple(p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty)


def takes_any(model: Any) -> bool:
    """Tell whether a model takes keyword arguments of any name."""
    found = _parameters(model)
    return found is None or any(p.kind is p.VAR_KEYWORD for p in found)


def _parameters(model: Any) -> Iterable[inspect.Parameter] | None:
    try:
        return tuple(inspect.signature(getattr(model, "forward", model)).parameters.values())
    except (TypeError, ValueError):
        return None
