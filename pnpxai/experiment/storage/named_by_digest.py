"""Files of a store carry a digest of their bytes in their name, so that damage is noticed before they are used."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

from pnpxai.errors import ArgumentError
from pnpxai.files import file_digest, write_file

__all__ = ["check_digest", "damaged", "write_with_digest"]

_NAME = re.compile(r"[0-9a-f]{16}-([0-9a-f]{16})")


def write_with_digest(folder: Path, name: str, suffix: str, write: Callable[[Path], object]) -> Path:
    """Write ``folder / f"{name}-{digest}{suffix}"``, complete or not at all, and return its path."""
    digests = []

    def write_and_digest(partial: Path) -> None:
        write(partial)
        digests.append(file_digest(partial))

    written = write_file(folder / f".{name}{suffix}.part", write_and_digest)
    return written.replace(folder / f"{name}-{digests[0]}{suffix}")


def check_digest(path: Path) -> None:
    """Check a file against the digest in its name; a name without one says nothing.

    Raises:
        ArgumentError: the file is damaged.
    """
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return
    try:
        state = path.stat()
        digest = _digest(path, state.st_mtime_ns, state.st_size)
    except OSError as problem:
        raise damaged(path, problem) from problem
    if digest != match[1]:
        raise damaged(path, "its bytes do not have the digest in its name")


@functools.lru_cache(4096)
def _digest(path: Path, time: int, size: int) -> str:
    """Return the digest of a file; computed again when the file has changed."""
    return file_digest(path)


def damaged(path: Path, problem: object) -> ArgumentError:
    """Return the error to raise for a damaged file of a store."""
    return ArgumentError(
        f"folder: {path} is damaged; delete it, and what it held is computed again by the same call ({problem})"
    )
