"""Reads targets from text, as in a command line or a file: ``"Contrast(282, 281)"``."""

from __future__ import annotations

import ast

from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.targets.base import TargetValue

__all__ = ["target_from"]


def target_from(text: str) -> TargetValue:
    """Return the target that a text describes in Python's syntax. Nothing in the text is executed.

    Raises:
        ArgumentError: the text is not a call of a target's name with plain values.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        args = [ast.literal_eval(member) for member in call.args]
        kwargs = {str(member.arg): ast.literal_eval(member.value) for member in call.keywords}
    except (SyntaxError, ValueError):
        raise ArgumentError(
            f"target: expected a name with plain values, such as 'Contrast(282, 281)' or 'Class(3)', got {text!r}"
        ) from None
    return by_name(TargetValue, call.func.id, "target")(*args, **kwargs)
