"""Writes ``__init__.pyi`` of the packages whose classes are found when they are first used.

    python docs/hooks/stubs.py

A type checker and an editor cannot see classes that a package imports on demand. The stub lists them, each with the
signature that its declaration gives, so that ``SmoothGrad(model, noise_level=0.1)`` is checked and completed. A test
holds each file equal to what ``stub`` returns.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pnpxai
from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import every

__all__ = ["PACKAGES", "stub"]

PACKAGES = {
    "pnpxai.explainers": "pnpxai.explainers.base:Explainer",
    "pnpxai.metrics": "pnpxai.metrics.base:Metric",
    "pnpxai.strategies": "pnpxai.strategies.base:Strategy",
}
"""Packages with a stub, and the class whose subclasses each of them offers."""
BESIDE = {"pnpxai.strategies": ["pnpxai.strategies.postprocessing:PostProcessor"]}
"""What else a package offers."""


def stub(package: str) -> str:
    """Return the text of a package's ``__init__.pyi``."""
    base = _named(PACKAGES[package])
    finals = [cls for cls in every(base, within=f"{package}.") if not cls.__name__.startswith("_")]
    abstract = sorted({b for cls in finals for b in cls.__mro__ if issubclass(b, base) and b.abstract}, key=_name)
    beside = [_named(name) for name in BESIDE.get(package, [])]
    types_used = _Types()
    classes = [_class(cls, types_used) for cls in finals]
    imports = {f"from {cls.__module__} import {cls.__name__} as {cls.__name__}" for cls in (*abstract, *beside)}
    imports |= {f"from {cls.__module__} import {cls.__name__} as _{cls.__name__}" for cls in finals}
    taken = {cls.__name__ for cls in (*abstract, *beside)}
    imports |= {line for name, line in types_used.imports.items() if name not in taken}
    head = ["# Written by docs/hooks/stubs.py from the declarations: do not edit.", *sorted(imports)]
    aliases = [f"{alias} = {cls.__name__}" for cls in finals for alias in getattr(cls, "aliases", ())]
    aliases = [line for line in aliases if line.split()[0].isidentifier()]
    return "\n".join([*head, "", *classes, *aliases]) + "\n"


def _class(cls: type[Declared], types_used: _Types) -> str:
    parameters = inspect.signature(cls).parameters.values()
    fields = [(p, types_used.written(cls._fields[p.name].annotation)) for p in parameters]  # noqa: SLF001
    lines = ["self"]
    for k, (p, annotation) in enumerate(fields):
        if p.kind is p.KEYWORD_ONLY and (k == 0 or fields[k - 1][0].kind is not p.KEYWORD_ONLY):
            lines.append("*")
        lines.append(f"{p.name}: {annotation}" + ("" if p.default is p.empty else f" = {_default(p.default)}"))
    signature = "\n".join(f"        {line}," for line in lines)
    summary = (inspect.getdoc(cls) or "").partition("\n")[0].replace('"""', "'''")
    return (
        f"class {cls.__name__}(_{cls.__name__}):\n"
        f'    """{summary}"""\n'
        f"    def __init__(\n{signature}\n    ) -> None: ...\n"
    )


def _default(value: Any) -> str:
    plain = isinstance(value, (bool, int, float, str, type(None)))
    return repr(value) if plain or value == () else "..."


class _Types:
    """Writes annotations as source, and collects the imports that the source needs."""

    def __init__(self) -> None:
        self.imports: dict[str, str] = {}

    def written(self, annotation: Any) -> str:
        """Return an annotation as source, without what a validator adds to it."""
        if annotation is Any:
            return self._imported("typing", "Any")
        if annotation is None or annotation is types.NoneType:
            return "None"
        if annotation is Ellipsis:
            return "..."
        origin, members = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.written(members[0])
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys(map(self.written, members)))
        if origin is typing.Literal:
            return f"{self._imported('typing', 'Literal')}[{', '.join(map(repr, members))}]"
        if origin is collections.abc.Callable:
            arguments, result = members
            given = "..." if arguments is Ellipsis else f"[{', '.join(map(self.written, arguments))}]"
            return f"{self._imported('collections.abc', 'Callable')}[{given}, {self.written(result)}]"
        if origin is not None:
            return f"{self.written(origin)}[{', '.join(map(self.written, members))}]"
        if isinstance(annotation, type):
            if annotation.__module__ == "builtins":
                return annotation.__name__
            module = "torch" if annotation.__module__.startswith("torch") else annotation.__module__
            return self._imported(module, annotation.__name__)
        raise TypeError(f"stubs: cannot write {annotation!r}")

    def _imported(self, module: str, name: str) -> str:
        self.imports[name] = f"from {module} import {name}"
        return name


def _named(name: str) -> Any:
    module, _, own = name.partition(":")
    return getattr(importlib.import_module(module), own)


def _name(cls: type) -> str:
    return cls.__name__


def paths() -> Iterator[tuple[str, Path]]:
    """Yield each package with the path of its stub."""
    root = Path(pnpxai.__file__).parent
    for package in PACKAGES:
        yield package, root.joinpath(*package.split(".")[1:], "__init__.pyi")


def main() -> None:
    """Write the stubs."""
    for package, path in paths():
        path.write_text(stub(package), encoding="utf-8")


if __name__ == "__main__":
    main()
