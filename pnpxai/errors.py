"""The few errors a user can act on: each says which argument, what came, what was expected, how to mend it."""

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
    """An argument has a value that cannot be used. (An AssertionError too, as callers of captum catch that.)"""


class SignatureError(ArgumentError, TypeError):
    """A call names an argument that does not exist, gives one twice, or leaves a required one out."""


class ShapeError(ArgumentError):
    """A tensor's shape does not fit what it belongs to."""


class NonFiniteError(ArgumentError):
    """NaN or infinity where a number is needed."""


class RuleError(ArgumentError):
    """A relevance rule is missing for an operation or a layer of the model."""


class UnsuitableError(ArgumentError):
    """An explainer or a metric cannot be right on this model or this data."""


class ConfinedError(RuntimeError):
    """A model hides what is needed (scripted, compiled without its source, made under inference mode)."""


class OutOfMemoryError(RuntimeError):
    """A single row does not fit in the device's memory."""


class MissingExtraError(ImportError):
    """A feature needs an optional dependency; the message names the extra that installs it."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that names the nearest known word, or lists a few of them."""
    known = [k for k in known if k]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(repr(k) for k in known[:12])
    return f"; there are: {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def grouped_reasons(reasons: Iterable[str]) -> str:
    """Return reasons in one line, each cause once: those that differ in numbers alone are told by their first."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        groups.setdefault(re.sub(r"-?\d[\d.e+-]*", "0", reason), []).append(reason)
    alike = {of[0]: len(set(of)) - 1 for _, of in sorted(groups.items())}
    return "; ".join(f"{reason} (and {n} alike)" if n else reason for reason, n in alike.items())
