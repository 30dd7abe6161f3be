"""Finds the test file that mirrors a class's source file, and what that file states of the class.

``pnpxai/explainers/ensemble.py`` is mirrored by ``tests/explainers/test_ensemble.py``. A sweep over all classes asks
such a file for the facts that only tests need, so that a new class brings its own and no shared list is edited.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

__all__ = ["mirror_of", "stated"]


def mirror_of(cls: type) -> str:
    """Return the name of the test module that mirrors a class's module."""
    package, _, module = cls.__module__.rpartition(".")
    return f"tests{package.removeprefix(package.partition('.')[0])}.test_{module}"


def stated(cls: type, fact: str, default: Any = None) -> Any:
    """Return what the class's own test file states under a name in capitals: a mapping from the class's name.

    Args:
        cls: a class of the package.
        fact: the name of the mapping, such as ``LAWS``.
        default: what is returned if there is no such file, mapping or entry.
    """
    name = mirror_of(cls)
    try:
        exists = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        exists = False
    mapping = getattr(importlib.import_module(name), fact, {}) if exists else {}
    return mapping.get(cls.__name__, default)
