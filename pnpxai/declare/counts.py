"""Checks that an argument is a whole number in its range."""

from __future__ import annotations

from numbers import Integral

from pnpxai.errors import ArgumentError

__all__ = ["whole_number"]


def whole_number(name: str, value: object, least: int = 1) -> int:
    """Return a whole number of Python or NumPy as a Python number; True and False are refused.

    Raises:
        ArgumentError: the value is not a whole number, or less than ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(f"{name}: expected a whole number >= {least}, got {value!r}")
    return int(value)
