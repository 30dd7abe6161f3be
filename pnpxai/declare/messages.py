"""Words the errors about the settings of a class, so that they say how to correct the call."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Annotated

import annotated_types
import pydantic

from pnpxai.errors import ArgumentError, SignatureError, did_you_mean
from pnpxai.migration import replacement_hint

__all__ = ["translated"]


def translated(cls: type, fields: Mapping[str, object], invalid: pydantic.ValidationError) -> ArgumentError:
    """Return an error with the first problem that pydantic reports about the fields (name -> annotation) of a class."""
    problem = min(invalid.errors(), key=lambda e: e["type"] not in _CALL_PROBLEMS)
    where = problem["loc"][0] if problem["loc"] else ""
    in_order = list(inspect.signature(cls).parameters)  # fields have another order, since some are keyword-only
    name = in_order[where] if isinstance(where, int) and where < len(in_order) else str(where)
    if say := _CALL_PROBLEMS.get(problem["type"]):
        return SignatureError(f"{cls.__name__}: {say.format(name)}{_hint(cls, fields, problem['type'], name)}")
    raised = problem.get("ctx", {}).get("error")
    if isinstance(raised, ArgumentError):
        return raised
    if raised is not None:
        return ArgumentError(f"{cls.__name__}: {raised}")
    came = getattr(invalid, "_input", problem["input"])
    expected = _expected(fields[name]) if name in fields else problem["msg"]
    return ArgumentError(f"{cls.__name__}: {name}: expected {expected}, got {came!r} ({type(came).__name__})")


_CALL_PROBLEMS = {
    "unexpected_keyword_argument": "no setting {0!r}",
    "unexpected_positional_argument": "too many positional arguments",
    "multiple_argument_values": "{0!r} was given twice, by position and by name",
    "missing_argument": "{0!r} is required",
    "missing_keyword_only_argument": "{0!r} is required",
    "missing": "{0!r} is required",
}


def _hint(cls: type, fields: Mapping[str, object], problem: str, name: str) -> str:
    if problem == "unexpected_keyword_argument":
        return replacement_hint(name, fields) or did_you_mean(name, fields)
    if problem != "unexpected_positional_argument":
        return ""
    signature = inspect.signature(cls)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return f"; its signature is {signature.replace(parameters=plain)}"


def _expected(annotation: object) -> str:
    """Describe a type for a person: ``Annotated[int, Ge(1)]`` is "a whole number >= 1"."""
    marks = typing.get_args(annotation)[1:] if typing.get_origin(annotation) is Annotated else ()
    kind = typing.get_args(annotation)[0] if marks else annotation
    words = {int: "a whole number", float: "a number", str: "a string", bool: "True or False", type(None): "None"}
    signs = ((annotated_types.Ge, ">=", "ge"), (annotated_types.Gt, ">", "gt"))
    signs += ((annotated_types.Le, "<=", "le"), (annotated_types.Lt, "<", "lt"))
    limits = [f"{sign} {getattr(m, key)}" for m in marks for mark, sign, key in signs if isinstance(m, mark)]
    members = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        text = "one of " + ", ".join(map(repr, members))
    elif typing.get_origin(kind) is tuple:
        text = "a tuple"
    elif typing.get_origin(kind) is not None and members and not inspect.isclass(typing.get_origin(kind)):
        text = " or ".join(dict.fromkeys(_expected(m) for m in members))
    elif type(kind).__name__ == "UnionType":
        text = " or ".join(dict.fromkeys(_expected(m) for m in members))
    else:
        text = words.get(kind) or ("a function" if "Callable" in str(kind) else getattr(kind, "__name__", str(kind)))
    return " and ".join([text, *limits[1:]]) if not limits else f"{text} {' and '.join(limits)}"
