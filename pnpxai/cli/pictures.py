"""A folder of pictures as a dataset: read when they are needed, scaled as the model was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pnpxai.cli.models import built, named_object
from pnpxai.cli.options import Scaling
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.pictures import Display

__all__ = ["Pictures", "codes", "display_of"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
_IMAGENET = Display((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Pictures(Dataset[Any]):
    """Pictures in a folder, upright, from 0 to 1 or as options; those in folders below it have these as their classes.

    All are grey if all files are, else all have three colours; what is transparent is dropped.

    Args:
        folder: where they are.
        options: how they are scaled.
        class_names: the model's classes, if they are known, one of which each folder is called by; else the folders
            are numbered in the order of their names.

    Raises:
        ArgumentError: there are none, one cannot be read, or a folder is no class.
    """

    def __init__(self, folder: Path, options: Scaling, class_names: Sequence[str] = ()) -> None:
        self.paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
        if not self.paths:
            raise ArgumentError(f"data: no pictures ({', '.join(_SUFFIXES[:3])} ...) in the folder {folder}")
        self.colours = not all(_mode(path) in _GREY for path in self.paths)
        folders = [path.parent for path in self.paths]
        nested = len(set(folders)) > 1 or folders[0] != folder
        self.labels = codes([str(f.relative_to(folder)) for f in folders], class_names, "folder") if nested else None
        self.display = display_of(options)
        self.transform = _transform(options)
        self._resize, self._size = options.resize, options.size
        self._shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor | tuple[Tensor, int]:
        """Return a picture (channels, height, width), with its class if there are classes."""
        path = self.paths[number]
        values = self._read(path)
        self._shape = self._shape or tuple(values.shape)
        if tuple(values.shape) != self._shape:
            raise ArgumentError(
                f"data: {path} has shape {tuple(values.shape)}, others have {self._shape}; scale them with --size"
            )
        return values if self.labels is None else (values, self.labels[number])

    def _read(self, path: Path) -> Tensor:
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                if picture.mode.startswith("I") and not self.colours:
                    picture = Image.fromarray((np.asarray(picture) / 65535).astype(np.float32))
                elif picture.mode != "F" or self.colours:
                    picture = picture.convert("RGB" if self.colours else "L")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
            raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem
        return self._scaled(picture) if self.transform is None else _transformed(self.transform, picture, path)

    def _scaled(self, picture: Any) -> Tensor:
        from torchvision.transforms import functional

        height, width = self._size if isinstance(self._size, list) else (self._size, self._size)
        if self._resize is not None:
            picture = functional.resize(picture, [self._resize])
        if height is not None:
            size = [height, width]
            picture = functional.center_crop(picture, size) if self._resize else functional.resize(picture, size)
        values = functional.to_tensor(picture)
        return values if self.display is None else _normalised(values, self.display)


def _transformed(transform: Callable[[Any], Any], picture: Any, path: Path) -> Tensor:
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


def _transform(options: Scaling) -> Callable[[Any], Any] | None:
    if options.transform is None:
        return None
    return built(named_object(options.transform, "transform", "transform"), "transform")


def display_of(options: Scaling) -> Display | None:
    """Return how values of 0 to 1 are scaled for the model.

    Raises:
        ArgumentError: of mean and std, one is missing, or they are no numbers of channels.
    """
    if (transform := _transform(options)) is not None:
        given = [n for n in ("resize", "size", "mean", "std") if getattr(options, n) is not None]
        if given:
            raise ArgumentError(f"{given[0]}: the transform makes tensors of pictures; leave one of the two out")
        try:
            return Display.of(transform)
        except ArgumentError:  # it has no mean and std: drawn as they are
            return None
    if options.mean is None and options.std is None:
        return None
    if options.mean == "imagenet" and options.std in ("imagenet", None):
        return _IMAGENET
    levels = [tuple(v) if isinstance(v, list) else v for v in (options.mean, options.std)]
    if any(v is None or isinstance(v, str) for v in levels):
        raise ArgumentError("mean: expected numbers beside --std, or imagenet alone for both")
    return Display(*levels)  # type: ignore[arg-type]


def codes(names: Sequence[str], class_names: Sequence[str], what: str) -> list[int]:
    """Return classes as numbers: their places among the model's classes, else among themselves, sorted.

    Raises:
        ArgumentError: one is no class of the model.
    """
    known = list(class_names) or sorted(set(names))
    places = {name: number for number, name in enumerate(known)}
    unknown = next((name for name in names if name not in places), None)
    if unknown is not None:
        raise ArgumentError(f"class_names: the {what} {unknown!r} is none of them{did_you_mean(unknown, known)}")
    return [places[name] for name in names]


def _mode(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return opened.mode
    except (UnidentifiedImageError, OSError) as problem:
        raise ArgumentError(f"data: {path} is no picture that can be read ({problem})") from problem
