"""Defines a matplotlib figure that a notebook shows as a picture. Importing this module imports matplotlib."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["Plot"]

_DPI = 100
"""Pixels of an inch in a notebook."""


class Plot(Figure):
    """Is a figure without a window. Jupyter, VS Code and Colab show it, since it can write itself as PNG."""

    def _repr_png_(self) -> bytes:
        self.set_dpi(_DPI)
        canvas = FigureCanvasAgg(self)
        canvas.draw()  # once, where savefig draws a figure twice for its layout
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, format="png")
        return buffer.getvalue()

    def as_html(self, alt: str) -> str:
        """Return the figure as an inline picture.

        Args:
            alt: text that describes the figure.
        """
        address = "data:image/png;base64," + base64.b64encode(self._repr_png_()).decode()
        return f'<img alt="{escape(alt, quote=True)}" src="{address}">'
