"""What a model says of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

__all__ = ["required", "takes_any"]


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
