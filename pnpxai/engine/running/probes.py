"""Marks the passes in which the engine examines a model, so that counters can leave them out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["is_probe", "probing"]

_PROBING: ContextVar[bool] = ContextVar("probing", default=False)


def is_probe() -> bool:
    """Return True while a model runs to be examined, not for a result. Counters of rows may leave such passes out."""
    return _PROBING.get()


@contextlib.contextmanager
def probing() -> Iterator[None]:
    """Mark the passes within a ``with`` block as examinations."""
    token = _PROBING.set(True)
    try:
        yield
    finally:
        _PROBING.reset(token)
