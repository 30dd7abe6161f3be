"""Draws a picture under its map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import CLIP, View, clipped_limit, coloured, inline_png, pictured, shrunk
from pnpxai.report.forms.base import Form

__all__ = ["PictureForm"]


class PictureForm(Form):
    """Draws a picture under its map; an input without the positions of its map stands beside the map."""

    kind = "image"

    def __init__(
        self,
        view: View,
        x: np.ndarray,
        maps: Sequence[np.ndarray],
        side: int,
        lay_out: Callable[[np.ndarray], np.ndarray] = lambda values: values,
        clip: float = CLIP,
    ) -> None:
        self._lay_out, self._clip, maps = lay_out, clip, [lay_out(m) for m in maps]
        places = maps[0].shape[-2:] if maps else x.shape[-2:]
        if x.ndim == 3 and x.shape[:2] == places != x.shape[1:]:
            x = np.moveaxis(x, -1, 0)
        self.side, self.axes = side, 1 if maps and maps[0].ndim == 1 else 2
        longest = max(max(m.shape[-self.axes :]) for m in maps) if maps else max(x.shape[-2:])
        self.reduced = (longest, side) if longest > side else None
        small = shrunk(x if view.display is None else view.display.undo(x), side, min(x.ndim, self.axes))
        address = inline_png(pictured(small, None if view.display is None else (0.0, 1.0)))
        height, width = x.shape[-2:] if x.ndim > 1 and self.axes == 2 else (1, 2)
        ratio = round(min(max(width / height, 0.4), 4), 3)
        self.style = f"--input: url({address}); --ratio: {ratio}"
        crisp = " crisp" if longest <= 64 or self.axes == 1 else ""
        self._tile = f"tile{crisp}"
        self.drawn = Markup('<span class="{}" role="img" aria-label="the picture"></span>').format(self._tile)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return an inline picture."""
        values = shrunk(self._lay_out(values), self.side, self.axes)
        address = inline_png(coloured(values, clipped_limit([values], self._clip)))
        return Markup('<span class="{}"><img alt="{}" src="{}"></span>').format(self._tile, alt, address)

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its position in percent of width and height."""
        values = self._lay_out(values)
        values = values.sum(tuple(range(values.ndim - self.axes)))
        place = np.unravel_index(np.abs(values).argmax(), values.shape)
        *down, across = (
            f"{100 * (int(p) + 0.5) / n:.0f} % from the {edge}"
            for p, n, edge in zip(place, values.shape, ("top", "left")[-self.axes :], strict=True)
        )
        return float(values[place]), ", ".join([across, *down])
