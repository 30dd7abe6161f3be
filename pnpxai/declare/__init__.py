"""Settings that are declared once: the declaration gives signature, checks, search range, text and JSON.

``declared`` turns annotated fields into a class, with the ``marks`` of fields; ``encoding`` writes and reads values;
``messages`` words errors; ``registry`` finds classes by their base; ``counts`` checks whole numbers; ``text_columns``
lays out tables. Names that classes outside this package need are exported here, and imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pnpxai.declare.counts import whole_number
    from pnpxai.declare.declared import Declared
    from pnpxai.declare.marks import Bound, Choice, Range, Tunable
    from pnpxai.declare.registry import by_name, every

__all__ = ["Bound", "Choice", "Declared", "Range", "Tunable", "by_name", "every", "whole_number"]

_FILES = {
    "Bound": "marks",
    "Choice": "marks",
    "Declared": "declared",
    "Range": "marks",
    "Tunable": "marks",
    "by_name": "registry",
    "every": "registry",
    "whole_number": "counts",
}


def __getattr__(name: str) -> object:
    """Import an exported name when it is first used."""
    if name not in _FILES:
        raise AttributeError(f"module 'pnpxai.declare' has no attribute {name!r}")
    return getattr(importlib.import_module(f"pnpxai.declare.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_FILES]
