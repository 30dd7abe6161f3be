"""What the signature of a model says of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model

__all__ = ["refuse_uncallable", "required", "takes_any"]


def refuse_uncallable(**arguments: object) -> None:
    """Refuse arguments that cannot be called.

    Raises:
        ArgumentError: names the argument.
    """
    for name, value in arguments.items():
        if value is not None and not callable(value):
            raise ArgumentError(f"{name}: expected a function, got {value!r}")


def required(model: Model) -> tuple[str, ...]:
    """Return the names of the arguments that a model cannot be called without; none if its signature is unknown."""
    parameters = _parameters(model)
    if parameters is None or any(p.kind is p.POSITIONAL_ONLY for p in parameters):
        return ()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty)


def takes_any(model: Model) -> bool:
    """Return whether a model takes keyword arguments of any name."""
    parameters = _parameters(model)
    return parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters)


def _parameters(model: Model) -> Iterable[inspect.Parameter] | None:
    try:
        return tuple(inspect.signature(getattr(model, "forward", model)).parameters.values())
    except (TypeError, ValueError):
        return None
