"""Files that are there as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["write_file", "write_folder"]


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` make a file beside ``path``, and put it there when it is done; return ``path``."""
    partial = path.with_name(f".{path.name}.part")
    try:
        write(partial)
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_folder(folder: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a folder beside ``folder``, and put its files there when all are done; return ``folder``."""
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        write(partial)
        folder.mkdir(exist_ok=True)
        for file in partial.iterdir():
            file.replace(folder / file.name)
        return folder
    finally:
        shutil.rmtree(partial, ignore_errors=True)
