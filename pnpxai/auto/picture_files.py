"""Picture files as a dataset: of any mode and depth, upright, scaled as the model was trained."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from torch import Tensor
from torch.utils.data import Dataset

from pnpxai.auto.class_codes import class_codes
from pnpxai.auto.conversion import Data
from pnpxai.auto.picture_scaling import GREY, PictureScaling, picture_tensor
from pnpxai.errors import ArgumentError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureFiles", "open_picture", "opened", "picture_paths"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_DECODED = 256
"""Of so many files, the first ones, it is known from the start whether they can be decoded; of the others, opened."""


def picture_paths(data: Data) -> tuple[list[Path], Path] | None:
    """Return the picture files that data names, and the folder that their names are relative to; else None.

    Args:
        data: a path, a folder (with those below it), a pattern such as ``"photos/*.jpg"``, or a list of these. A text
            names files only if such files exist.

    Raises:
        ArgumentError: a path object names nothing, or a folder without pictures.
    """
    if isinstance(data, (list, tuple)) and data and all(isinstance(one, (str, Path)) for one in data):
        paths: list[Path] = []
        for one in data:
            if (member := picture_paths(one)) is None:
                return None
            paths += member[0]
        return paths, Path()
    if not isinstance(data, (str, Path)) or (isinstance(data, str) and (not data.strip() or "\n" in data)):
        return None
    path = Path(data)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):  # a text that is no name of a file
        return None
    if is_file and path.suffix.lower() in SUFFIXES:
        return [path], path.parent
    if is_folder and (isinstance(data, Path) or any(_is_picture(p) for p in path.rglob("*"))):
        return _in_folder(path), path
    if any(sign in str(data) for sign in "*?["):
        matches = sorted(Path(name) for name in glob.glob(str(data), recursive=True))
        matches = [match for match in matches if match.suffix.lower() in SUFFIXES]
        if matches:
            return matches, Path()
    if isinstance(data, Path):
        raise ArgumentError(f"data: {data} is no picture file ({', '.join(SUFFIXES[:3])} ...), folder or pattern")
    return None


def opened(data: Data, *, texts: bool = False) -> Data:
    """Return the picture that bytes or an open file hold, else the data unchanged.

    Args:
        data: what the user has.
        texts: whether a text may be meant as a text.

    Raises:
        ArgumentError: they hold no picture; or a text is the name of a picture file that is not there.
    """
    if isinstance(data, bytes) or (hasattr(data, "read") and hasattr(data, "seek")):
        return open_picture(data)
    if isinstance(data, str) and not texts and Path(data).suffix.lower() in SUFFIXES:
        problem = "is an address, not a file; download it" if "://" in data else "names no file"
        raise ArgumentError(f"data: {data} {problem}")
    return data


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _in_folder(folder: Path) -> list[Path]:
    paths = sorted(filter(_is_picture, folder.rglob("*")))
    if not paths:
        raise ArgumentError(f"data: no pictures ({', '.join(SUFFIXES[:3])} ...) in the folder {folder}")
    return paths


class PictureFiles(Dataset[Tensor | tuple[Tensor, int]]):
    """Pictures (channels, height, width) from 0 to 1, or scaled; pictures in folders have these as their classes.

    A file that is no picture is left out, and named in ``skipped``. Transparency is dropped.

    Args:
        paths: the files.
        root: the folder that names are relative to; folders below it are classes.
        scaling: how they become tensors.
        class_names: the model's classes, if they are known, one of which each folder is called by; else the folders
            are numbered in the order of their names.
        channels: how many channels the model takes, 1 or 3; by default 1 if all files are grey, else 3.

    Raises:
        ArgumentError: no file can be read, or a folder is no class.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        root: Path,
        scaling: PictureScaling | None = None,
        class_names: Sequence[str] = (),
        channels: int | None = None,
    ) -> None:
        self.scaling = scaling or PictureScaling()
        self.skipped: dict[str, str] = {}
        modes: dict[Path, str] = {}
        for k, path in enumerate(paths):
            try:
                modes[path] = _mode(path, decode=k < _DECODED)
            except ArgumentError as problem:
                self.skipped[str(path)] = str(problem)
        if not modes:
            raise ArgumentError(next(iter(self.skipped.values()), "data: expected picture files, got none"))
        self.paths = list(modes)
        common = Path(os.path.commonpath([path.parent.absolute() for path in self.paths]))
        base = common if root == Path() else root.absolute()
        self.names = [_relative(path.absolute(), base) for path in self.paths]
        grey = all(mode in GREY for mode in modes.values())
        self.channels = channels if channels in (1, 3) else 1 if grey else 3
        folders = [_relative(path.parent, root) for path in paths]
        nested = root != Path() and (len(set(folders)) > 1 or folders[0] != ".")
        codes = class_codes(folders, class_names, "folder") if nested else []
        code_of = dict(zip(paths, codes, strict=False))
        self.labels = [code_of[path] for path in self.paths] if nested else None
        self._shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor | tuple[Tensor, int]:
        """Return a picture (channels, height, width), with its class if there are classes."""
        path = self.paths[number]
        values = picture_tensor(open_picture(path), self.channels, self.scaling, str(path))
        self._shape = self._shape or tuple(values.shape)
        if tuple(values.shape) != self._shape:
            raise ArgumentError(
                f"data: {path} has shape {tuple(values.shape)}, others have {self._shape}; scale them with --size, or "
                "in Python with display= the model's transform"
            )
        return values if self.labels is None else (values, self.labels[number])


def open_picture(source: str | Path | bytes | IO[bytes]) -> Image:
    """Return the picture in a file, or in bytes.

    Args:
        source: a path, an open file, or the bytes of a file.

    Raises:
        ArgumentError: it is no picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            opened.load()
            return opened
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        name = source if isinstance(source, (str, Path)) else type(source).__name__
        raise ArgumentError(f"data: {name} is no picture that can be read ({problem})") from problem


def _mode(path: Path, *, decode: bool) -> str:
    """Return the mode of a picture file, after decoding it if it should be known that this works.

    Raises:
        ArgumentError: it cannot be read.
    """
    from PIL import Image

    if decode:
        return open_picture(path).mode
    try:
        with Image.open(path) as opened:
            return opened.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
