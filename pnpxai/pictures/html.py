"""Writes explained examples as HTML for notebooks: words as text, other inputs as inline pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from torch import Tensor

from pnpxai.pictures.drawings import drawing_of, words_of_example
from pnpxai.pictures.figures import figure
from pnpxai.pictures.look import Look
from pnpxai.pictures.view import View, as_array
from pnpxai.pictures.words import merged, words_html

__all__ = ["html"]


def html(maps: Tensor, inputs: Tensor, titles: Sequence[str], view: View, look: Look | None = None) -> str:
    """Return the HTML of one part for each title, which may be empty; the arguments are those of ``figure``."""
    if drawing_of(view, inputs.ndim, not inputs.is_floating_point()).form != "tokens" or maps.shape[:2] != inputs.shape:
        return figure(maps, inputs, titles, view, look=look).as_html("maps of " + ", ".join(titles))
    parts = []
    for k, title in enumerate(titles):
        values, x = as_array(maps[k]), as_array(inputs[k])
        texts, counts = words_of_example(k, x, view)
        head = f"<p style='margin:.6em 0 0'>{escape(title)}</p>" if title else ""
        parts.append(head + words_html(merged(values, counts), texts))
    return "".join(parts)
