"""Finds classes by their base class, so that nobody has to keep a list of them."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from typing import TypeVar

from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.migration import replacement_hint

__all__ = ["by_name", "every", "member", "names", "qualified_name"]

C = TypeVar("C")


def every(base: type[C], *, within: str = "") -> list[type[C]]:
    """Return the final (instantiable) subclasses of ``base``, sorted by name.

    The modules beside ``base`` are imported first, so that nothing has to be imported in advance and a new file is
    enough for a new class. Of a class that was defined twice, as by a cell of a notebook that ran twice, only the last
    definition is returned.

    Args:
        base: an abstract class such as ``Explainer`` or ``Metric``.
        within: keep only classes whose module starts with this (``"pnpxai."`` leaves out a user's own).
    """
    _import_all(sys.modules[base.__module__].__package__ or "")
    last = {qualified_name(c): c for c in _descendants(base)}  # in the order of definition
    final = [c for c in last.values() if not inspect.isabstract(c) and not c.__dict__.get("abstract", False)]
    return sorted((c for c in final if c.__module__.startswith(within)), key=lambda c: (c.__name__, c.__module__))


@functools.cache
def _import_all(package: str) -> None:
    """Import all modules of a package, once."""
    if "." in package:  # a class at the top of a library has the whole library beside it, which is not imported
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            importlib.import_module(module.name)


def by_name(base: type[C], name: str, what: str) -> type[C]:
    """Return the subclass of ``base`` that is called ``name`` (its class name, alias or qualified name).

    Raises:
        ArgumentError: no class has that name; the message starts with ``what`` and suggests the nearest name.
    """
    classes = every(base)
    for cls in reversed(classes):
        if name in (cls.__name__, getattr(cls, "name", None), qualified_name(cls), *getattr(cls, "aliases", ())):
            return cls
    known = [getattr(cls, "name", None) or cls.__name__ for cls in classes]
    raise ArgumentError(f"{what}: no {base.__name__.lower()} {name!r}{did_you_mean(name, known)}")


def member(base: type[C], name: str, package: str) -> type[C]:
    """Return the class that ``from package import name`` asks for.

    Raises:
        AttributeError: no class has that name; the message names its replacement, where one is known.
    """
    every(base)  # imports the modules
    for cls in (base, *_descendants(base)):
        if cls.__module__.startswith(f"{package}.") and name in (cls.__name__, *getattr(cls, "aliases", ())):
            return cls
    raise AttributeError(f"module {package!r} has no attribute {name!r}{replacement_hint(name)}")


def names(base: type[object], package: str) -> list[str]:
    """Return the names of final classes, and their aliases, for ``from package import ...``."""
    classes = every(base, within=f"{package}.")
    own = {name for cls in classes for name in (cls.__name__, *getattr(cls, "aliases", ()))}
    return sorted(name for name in own if name.isidentifier())


def qualified_name(obj: object) -> str:
    """Return ``module:qualname`` of a class or function."""
    return f"{getattr(obj, '__module__', '?')}:{getattr(obj, '__qualname__', '?')}"


def _descendants(base: type[C]) -> Iterator[type[C]]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)
