"""Writes files that are complete or absent, and strict JSON with a checksum that reveals damage."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pnpxai.errors import ArgumentError

__all__ = ["Json", "ReadJson", "complete", "file_digest", "read_json", "write_file", "write_folder", "write_json"]

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"
"""Value that can be written to a JSON file."""

ReadJson: TypeAlias = Any
"""JSON whose form is not declared: who reads it looks for what should be there, and refuses a file that lacks it."""

_CHECKSUM = "checksum"


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` make a file beside ``path``, move it to ``path`` when it is complete, and return ``path``.

    Two processes may write the same path at the same time: the one that ends last decides what the file holds.

    Raises:
        OSError: the file cannot be written. An older file at ``path`` stays as it is.
    """
    partial = _partial(path)
    try:
        with _naming(path):
            write(partial)
            return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


complete = write_file
"""The earlier name of ``write_file``."""


def write_folder(folder: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a folder beside ``folder``, move its files when all are complete, and return ``folder``.

    Raises:
        OSError: the files cannot be written. Older files in ``folder`` stay as they are.
    """
    partial = _partial(folder)
    try:
        with _naming(folder):
            partial.mkdir(parents=True)
            write(partial)
            folder.mkdir(exist_ok=True)
            for file in partial.iterdir():
                file.replace(folder / file.name)
            return folder
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, object] | Sequence[object]) -> Path:
    """Write strict JSON: a number that is not finite becomes null. A mapping gets a checksum, alone or in a list."""
    strict = _strict(value)
    checked = [_with_checksum(member) for member in strict] if isinstance(strict, list) else _with_checksum(strict)
    text = json.dumps(checked, indent=1, allow_nan=False)
    return write_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path, name: str) -> ReadJson:
    """Read JSON that ``write_json`` wrote; without checksums, any JSON.

    Args:
        path: the file.
        name: the argument that names the file, for errors.

    Raises:
        ArgumentError: the file cannot be read, is not JSON, or was changed after it was written.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ArgumentError(f"{name}: {path} cannot be read: {problem.strerror or problem}") from problem
    except (ValueError, RecursionError) as problem:  # no text, or no JSON
        raise ArgumentError(f"{name}: {path} is damaged, or holds no JSON ({problem})") from problem
    for member in value if isinstance(value, list) else [value]:
        if isinstance(member, dict) and _CHECKSUM in member:
            checksum = member.pop(_CHECKSUM)
            if checksum != _checksum(member):
                raise ArgumentError(
                    f"{name}: {path} is damaged: it is not as it was written; write it anew, or take the line "
                    f'"{_CHECKSUM}" out of it if it was changed on purpose'
                )
    return value


def file_digest(path: Path) -> str:
    """Return a digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _with_checksum(value: Json) -> Json:
    return value | {_CHECKSUM: _checksum(value)} if isinstance(value, dict) else value


def _checksum(value: Mapping[str, Json]) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _strict(value: object) -> ReadJson:
    """Return a value in JSON's types: text for names, lists for tuples, null for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(name): _strict(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _partial(path: Path) -> Path:
    """Return a path in the same folder that no other process uses."""
    return path.with_name(f".{uuid.uuid4().hex[:16]}.part")


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of writing name ``path`` instead of the temporary path beside it."""
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise OSError(problem.errno, f"{reason}; nothing was changed there", str(path)) from problem
