"""Writes numbers, settings and names for people."""

from __future__ import annotations

import inspect
import math
import re

from markupsafe import Markup, escape

__all__ = ["counted", "definition", "humps", "number", "setting"]


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a true minus sign; None and NaN are "undefined"."""
    if value is None or math.isnan(value):
        return "undefined"
    if math.isinf(value):
        text = "infinite" if value > 0 else "-infinite"
    elif value == 0 or 0.5 * 10**-digits <= abs(value) < 1e5:
        text = f"{value:.{digits}f}"
        text = text.removeprefix("-") if float(text) == 0 else text
    else:
        text = f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def counted(count: int, noun: str) -> str:
    """Return "1 example", "2 examples"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def humps(name: str) -> Markup:
    """Return a name, escaped, that may break before its capitals and beside its punctuation."""
    parts = re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])|(?<=\w)(?=\()|(?<=[,=_.])", name)
    return Markup("<wbr>").join(escape(part) for part in parts)


def setting(value: object) -> str:
    """Return a setting, as ``to_dict`` gives it, in one line: ``GaussianBlur(kernel_size=5)``."""
    if isinstance(value, dict):
        inner = ", ".join(f"{name}={setting(v)}" for name, v in value.items() if name != "type" and v is not None)
        if value.keys() == {"callable"}:
            return str(value["callable"]).rpartition(":")[2]
        if "type" not in value:
            return f"{{{inner}}}"
        return f"{value['type']}({inner})" if inner else str(value["type"])
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(setting, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def definition(cls: type) -> tuple[str, ...]:
    """Return the prose that opens a class's docstring: what it is, and (if there is more) what to know of it."""
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(cls) or "").split("\n\n")]
    prose = [p.replace("``", "") for p in paragraphs[:2] if p and not re.match(r"[A-Z]\w+:( |$)", p)]
    return tuple(prose)
