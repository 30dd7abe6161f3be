"""Explained examples as HTML, for notebooks: words as text, all else as inline pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from torch import Tensor

from pnpxai.pictures.figures import figure, told_words
from pnpxai.pictures.view import View, as_array
from pnpxai.pictures.words import merged, words_html

__all__ = ["figure_html", "html"]


def html(maps: Tensor, inputs: Tensor, titles: Sequence[str], view: View) -> str:
    """Return one part for each title, which may be empty; arguments as for ``figure``."""
    is_text = (view.kind or ("" if inputs.is_floating_point() else "tokens")) == "tokens"
    if not is_text or maps.shape[:2] != inputs.shape:
        return figure_html(figure(maps, inputs, titles, view), "maps of " + ", ".join(titles))
    lines = []
    for k, title in enumerate(titles):
        values, x = as_array(maps[k]), as_array(inputs[k])
        texts, counts = told_words(k, x, view)
        head = f"<p style='margin:.6em 0 0'>{escape(title)}</p>" if title else ""
        lines.append(head + words_html(merged(values, counts), texts))
    return "".join(lines)


def figure_html(made: Any, alt: str) -> str:
    """Return a matplotlib figure as an inline picture."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=100)
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(alt, quote=True)}" src="{address}">'
