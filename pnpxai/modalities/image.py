"""Pictures, with the scaling that the model was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.declare.marks import Settings
from pnpxai.modalities.base import Modality, width
from pnpxai.model_types import Model
from pnpxai.pictures import Display, View
from pnpxai.strategies.baselines import Invert
from pnpxai.traits import Traits

__all__ = ["ImageModality"]


class ImageModality(Modality):
    """Pictures."""

    name: ClassVar[str] = "image"
    channel_dim: int = 1
    """The axis of channels."""
    display: Annotated[Any, BeforeValidator(Display.of)] = None
    """How pictures were scaled: a ``Display``, (mean, std), or a transform that has both; by default unknown."""

    @property
    def traits(self) -> Traits:
        """Two axes of positions; where the range of values is known, the negative picture is a baseline."""
        limits = {} if self.display is None else dict(zip(("low", "high"), self.display.limits, strict=True))
        return Traits("image", self.channel_dim, 2, ready=(Invert(**limits),) if limits else ())

    @classmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Recognise four axes of numbers; channels lie on the axis whose size the first convolution takes."""
        if values.ndim != 4 or not values.is_floating_point():
            return None
        wanted = width(model, (nn.Conv2d,))
        last = wanted == values.shape[3] != values.shape[1]
        return cls(channel_dim=-1 if last else 1), "numbers in four dimensions are pictures"

    def common(self, inputs: Sequence[Tensor]) -> Settings:
        """Return the shared settings, with the range of values where it is known."""
        if self.display is None:
            return super().common(inputs)
        low, high = self.display.limits
        return super().common(inputs) | {"low": float(np.min(low)), "high": float(np.max(high))}

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view in natural colours, where the scaling is known."""
        return View("image", self.channel_dim, self.display, classes=classes)
