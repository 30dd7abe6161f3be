"""Files that are there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["complete"]


def complete(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` make a file beside ``path``, and put it there when it is done; return ``path``."""
    partial = path.with_name(f".{path.name}.part")
    try:
        write(partial)
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
