"""How maps of pictures look: beside or over their picture, signed or not, in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.pictures.view import as_array

__all__ = ["CLIP", "Look", "Style"]

Style: TypeAlias = Literal["beside", "over", "contour", "bars", "waterfall"]
CLIP = 0.995
"""Share of a picture's absolute values within the colour scale; larger values have the deepest colour."""


@dataclass(frozen=True)
class Look:
    """Says how maps of pictures look.

    Attributes:
        style: of pictures "beside" (the default), "over", or "contour", lines around the strongest parts; of tables
            "bars" (the default) or "waterfall".
        clip: share of a map's absolute values within the colour scale; 1 for all.
        signed: draw what speaks against the target too; otherwise the positive part alone.
        alpha: opacity of a map over its picture, from 0 to 1; by default large values hide the picture, small ones do
            not.
        cmap: name of a colour map of matplotlib; by default from blue over white to red.
        colour_bar: draw a scale with numbers beside each map.
    """

    style: Style | None = None
    clip: float = CLIP
    signed: bool = True
    alpha: float | None = None
    cmap: str | None = None
    colour_bar: bool = False

    def __post_init__(self) -> None:
        if self.style not in (None, "beside", "over", "contour", "bars", "waterfall"):
            raise ArgumentError(
                f"style: expected 'beside', 'over', 'contour', 'bars' or 'waterfall', got {self.style!r}"
            )
        if isinstance(self.clip, bool) or not isinstance(self.clip, (int, float)) or not 0 < self.clip <= 1:
            raise ArgumentError(f"clip: expected a share above 0 and at most 1, such as {CLIP}, got {self.clip!r}")
        if self.alpha is not None and (isinstance(self.alpha, bool) or not 0 <= self.alpha <= 1):
            raise ArgumentError(f"alpha: expected a number from 0 to 1, got {self.alpha!r}")
        if self.cmap is not None:
            from matplotlib import colormaps

            if self.cmap not in colormaps:
                raise ArgumentError(f"cmap: matplotlib has no colour map {self.cmap!r}, such as 'seismic' or 'viridis'")

    def drawn(self, values: Tensor | np.ndarray) -> np.ndarray:
        """Return a map (height, width) as it is drawn: leading axes added up, its positive part where asked."""
        array = as_array(values)
        array = array.sum(tuple(range(array.ndim - 2))) if array.ndim > 2 else array
        return array if self.signed else np.maximum(array, 0)
