"""Defines the errors that a user can act on: each says which argument, what came, what was expected, how to mend it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "ConfinedError",
    "MissingExtraError",
    "NonFiniteError",
    "OutOfMemoryError",
    "RuleError",
    "ShapeError",
    "SignatureError",
    "UnsuitableError",
    "did_you_mean",
    "grouped_reasons",
]


class ArgumentError(ValueError, AssertionError):
    """Says that an argument cannot be used. It is an AssertionError too, which callers of captum catch."""


class SignatureError(ArgumentError, TypeError):
    """Says that a call has an unknown argument, has one twice, or lacks a required one."""


class ShapeError(ArgumentError):
    """Says that the shape of a tensor does not fit the others."""


class NonFiniteError(ArgumentError):
    """Says that a tensor holds NaN or infinity where a finite number is needed."""


class RuleError(ArgumentError):
    """Says that an operation or a layer of the model has no relevance rule."""


class UnsuitableError(ArgumentError):
    """Says that an explainer or a metric cannot be right on this model or this data."""


class ConfinedError(RuntimeError):
    """Says that a model hides its inside (scripted, compiled without its source, made under inference mode)."""


class OutOfMemoryError(RuntimeError):
    """Says that a single row does not fit in the device's memory."""


class MissingExtraError(ImportError):
    """Says that an optional dependency is missing; the message names the extra that installs it."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that names the nearest known word, or lists a few known words."""
    known = [k for k in known if k]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(repr(k) for k in known[:12])
    return f"; there are: {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def grouped_reasons(reasons: Iterable[str]) -> str:
    """Return reasons in one line, each cause once: of reasons that differ only in numbers, the first is written."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(re.sub(r"-?\d[\d.e+-]*", "0", reason), []).append(reason)
    alike = {of[0]: len(set(of)) - 1 for _, of in sorted(groups.items())}
    return "; ".join(f"{reason} (and {n} alike)" if n else reason for reason, n in alike.items())
