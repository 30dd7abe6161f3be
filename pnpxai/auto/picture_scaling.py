"""One picture as a tensor: of any mode and depth, upright, scaled as the model was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs
from pnpxai.pictures import Display

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GREY", "PictureScaling", "Transform", "picture_tensor"]

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""The modes of pictures without colours."""
Transform: TypeAlias = Callable[[ModelInputs], ModelInputs]


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


def picture_tensor(picture: Image, channels: int, scaling: PictureScaling, name: str = "a picture") -> Tensor:
    """Return a picture as (channels, height, width) numbers from 0 to 1, or scaled.

    Args:
        picture: of any mode; transparency is dropped.
        channels: 1 or 3.
        scaling: how it becomes a tensor.
        name: what messages call it.

    Raises:
        ArgumentError: its black and white are unknown, or the transform does not return a tensor of a picture.
    """
    from torchvision.transforms import functional

    prepared: Any = _upright(picture, channels, name)  # torchvision declares tensors alone
    if scaling.transform is not None:
        return _transformed(scaling.transform, _eight_bits(prepared, channels), name)
    if scaling.resize is not None:
        prepared = functional.resize(prepared, [scaling.resize])
    if scaling.size is not None:
        size = list(scaling.size)
        prepared = functional.center_crop(prepared, size) if scaling.resize else functional.resize(prepared, size)
    values = functional.to_tensor(prepared)
    values = values.expand(channels, -1, -1).contiguous() if len(values) < channels else values
    return values if scaling.display is None else _normalised(values, scaling.display)


def _upright(picture: Image, channels: int, name: str) -> Image:
    """Return a picture, upright: 8 bits for a channel, or of a deeper one a grey picture of numbers from 0 to 1."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_unit_range(np.asarray(picture, dtype=np.float64), picture.mode, name))
    return picture.convert("L" if channels == 1 else "RGB")


def _unit_range(values: np.ndarray, mode: str, name: str) -> np.ndarray:
    """Return numbers from 0 to 1: whole numbers of 16 bits, or floats from 0 to 1, to 255 or to 65535."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535 or not np.isfinite(values).all():
        raise ArgumentError(
            f"data: {name} holds numbers from {low:g} to {high:g}; expected 0 to 1, to 255 or to 65535: "
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


def _transformed(transform: Transform, picture: Image, name: str) -> Tensor:
    values = transform(picture)
    if not isinstance(values, Tensor) or values.ndim != 3:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ArgumentError(f"transform: expected (channels, height, width) of {name}, got {shape}")
    return values


def _normalised(values: Tensor, display: Display) -> Tensor:
    counts = {np.size(level) for level in (display.mean, display.std)} - {1, len(values)}
    if counts:
        raise ArgumentError(f"mean: {counts.pop()} numbers for pictures of {len(values)} channels")
    return display.apply(values[None])[0]
