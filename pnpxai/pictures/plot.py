"""Defines a matplotlib figure that a notebook shows as a picture. Importing this module imports matplotlib."""

from __future__ import annotations

import base64
import io
from html import escape

from matplotlib.figure import Figure

__all__ = ["Plot"]


class Plot(Figure):
    """Is a figure without a window. Jupyter, VS Code and Colab show it, since it can write itself as PNG."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def as_html(self, alt: str) -> str:
        """Return the figure as an inline picture.

        Args:
            alt: text that describes the figure.
        """
        address = "data:image/png;base64," + base64.b64encode(self._repr_png_()).decode()
        return f'<img alt="{escape(alt, quote=True)}" src="{address}">'
