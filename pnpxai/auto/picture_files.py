"""Picture files as a dataset: of any mode and depth, upright, scaled as the model was trained."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pnpxai.auto.class_codes import class_codes
from pnpxai.errors import ArgumentError
from pnpxai.pictures import Display

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureFiles", "PictureScaling", "open_picture", "picture_paths"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
Transform: TypeAlias = Callable[[Any], Any]
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_DECODED = 256
"""Of so many files, the first ones, it is known from the start whether they can be decoded; of the others, opened."""


def picture_paths(data: Any) -> tuple[list[Path], Path] | None:
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


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _in_folder(folder: Path) -> list[Path]:
    paths = sorted(filter(_is_picture, folder.rglob("*")))
    if not paths:
        raise ArgumentError(f"data: no pictures ({', '.join(SUFFIXES[:3])} ...) in the folder {folder}")
    return paths


@dataclass(frozen=True)
class PictureScaling:
    """How pictures become tensors.

    Attributes:
        resize: the shorter side in pixels.
        size: height and width; after ``resize`` they are cut out of the middle.
        display: mean and standard deviation.
        transform: makes a tensor of a PIL picture, in place of all these.
    """

    resize: int | None = None
    size: tuple[int, int] | None = None
    display: Display | None = None
    transform: Transform | None = None


class PictureFiles(Dataset[Any]):
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
        grey = all(mode in _GREY for mode in modes.values())
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
        values = self._tensor(path)
        self._shape = self._shape or tuple(values.shape)
        if tuple(values.shape) != self._shape:
            raise ArgumentError(
                f"data: {path} has shape {tuple(values.shape)}, others have {self._shape}; scale them with --size, or "
                "in Python with display= the model's transform"
            )
        return values if self.labels is None else (values, self.labels[number])

    def _tensor(self, path: Path) -> Tensor:
        from torchvision.transforms import functional

        scaling = self.scaling
        picture: Any = open_picture(path, self.channels)  # torchvision declares tensors alone
        if scaling.transform is not None:
            return _transformed(scaling.transform, _eight_bits(picture, self.channels), path)
        if scaling.resize is not None:
            picture = functional.resize(picture, [scaling.resize])
        if scaling.size is not None:
            size = list(scaling.size)
            picture = functional.center_crop(picture, size) if scaling.resize else functional.resize(picture, size)
        values = functional.to_tensor(picture)
        values = values.expand(self.channels, -1, -1).contiguous() if len(values) < self.channels else values
        return values if scaling.display is None else _normalised(values, scaling.display)


def open_picture(path: Path, channels: int) -> Image:
    """Return a picture, upright: 8 bits for a channel, or of a deeper one a grey picture of numbers from 0 to 1.

    Raises:
        ArgumentError: the file is no picture, or holds numbers whose black and white are unknown.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I") or picture.mode == "F":
                return Image.fromarray(_unit_range(np.asarray(picture, dtype=np.float64), picture.mode, path))
            return picture.convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem


def _unit_range(values: np.ndarray, mode: str, path: Path) -> np.ndarray:
    """Return numbers from 0 to 1: whole numbers of 16 bits, or floats from 0 to 1, to 255 or to 65535."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535 or not np.isfinite(values).all():
        raise ArgumentError(
            f"data: {path} holds numbers from {low:g} to {high:g}; expected 0 to 1, to 255 or to 65535: "
            "scale them with --transform"
        )
    white = 65535 if mode.startswith("I") or high > 255 else 255 if high > 1 else 1
    return (values / white).astype(np.float32)


def _eight_bits(picture: Image, channels: int) -> Image:
    """Return a picture as transforms of torchvision take it."""
    from PIL import Image

    if picture.mode == "F":
        picture = Image.fromarray(np.round(255 * np.asarray(picture)).astype(np.uint8))
    return picture.convert("L" if channels == 1 else "RGB")


def _transformed(transform: Transform, picture: Image, path: Path) -> Tensor:
    values = transform(picture)
    if not isinstance(values, Tensor) or values.ndim != 3:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ArgumentError(f"transform: expected (channels, height, width) of {path}, got {shape}")
    return values


def _normalised(values: Tensor, display: Display) -> Tensor:
    counts = {np.size(level) for level in (display.mean, display.std)} - {1, len(values)}
    if counts:
        raise ArgumentError(f"mean: {counts.pop()} numbers for pictures of {len(values)} channels")
    return display.apply(values[None])[0]


def _mode(path: Path, *, decode: bool) -> str:
    """Return the mode of a picture file, after decoding it if it should be known that this works.

    Raises:
        ArgumentError: it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if decode:
                opened.load()
            return opened.mode
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
