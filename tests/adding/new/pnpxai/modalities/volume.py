"""Volumes: pictures with a depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from pnpxai.modalities.base import Modality
from pnpxai.pictures import View
from pnpxai.pictures.drawings import PictureDrawing
from pnpxai.traits import Traits

__all__ = ["VolumeModality"]


class VolumeDrawing(PictureDrawing):
    """Volumes are drawn as the picture in their middle."""

    name = "volume"

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return False: it has to be stated."""
        return False

    @classmethod
    def laid_out(cls, values: np.ndarray, x: np.ndarray, view: View) -> np.ndarray:
        """Return the middle picture (channels, height, width)."""
        return values[:, values.shape[1] // 2]


class VolumeModality(Modality):
    """Volumes (examples, channels, depth, height, width)."""

    name: ClassVar[str] = "volume"

    @property
    def traits(self) -> Traits:
        """Return three axes of positions."""
        return Traits("volume", 1, 3)

    @classmethod
    def recognised(cls, values: Tensor, model: Callable[..., Any]) -> tuple[Modality, str] | None:
        """Recognise five axes of numbers."""
        fits = values.ndim == 5 and values.is_floating_point()
        return (cls(), "numbers in five dimensions are volumes") if fits else None

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return the view of a picture in the middle."""
        return View("volume", 1, classes=classes)
