"""Chooses the form that suits an input and its maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pnpxai.pictures import View, drawing_of
from pnpxai.report.forms.base import Form
from pnpxai.report.forms.columns import ColumnsForm
from pnpxai.report.forms.graphs import GraphForm
from pnpxai.report.forms.pictures import PictureForm
from pnpxai.report.forms.series import SeriesForm
from pnpxai.report.forms.words import WordsForm

__all__ = ["form_of"]

_CHANNELS = 12
"""Largest number of channels of a series that are drawn as curves; more are drawn as colours alone."""


def form_of(view: View, x: np.ndarray, maps: Sequence[np.ndarray], k: int, *, side: int, name: str, ids: bool) -> Form:
    """Return the form of an input: that of its drawing, or a picture if the maps do not have its positions.

    Args:
        view: the view of the input.
        x: the input.
        maps: all maps of the input.
        k: number of the example among the stored ones.
        side: the longest side of a picture, in pixels.
        name: a name of the example and input that is unique on the page.
        ids: True if the values are ids.
    """
    drawing = drawing_of(view, x.ndim + 1, ids)
    form = drawing.form
    if form == "tokens" and x.ndim == 1 and all(len(m) >= _length(k, x, view) for m in maps):
        return WordsForm(view, x, maps, k)
    if form == "table" and x.ndim == 1 and all(len(m) == len(x) for m in maps):
        return ColumnsForm(view, x, maps)
    if form == "graph" and k < len(view.graphs) and all(len(m) == len(x) for m in maps):
        return GraphForm(view, x, maps, k)
    if form == "series":
        time_last = x.T if x.ndim == 2 and view.channel_dim in (2, -1) else np.atleast_2d(x)
        turned = x.ndim == 2 and time_last is not x
        steps = [m.shape[-1 - (turned and m.ndim == 2)] for m in maps]
        if len(time_last) <= _CHANNELS and all(count == time_last.shape[1] for count in steps):
            return SeriesForm(view, time_last, turned, name)
    if form != "image":
        return PictureForm(view, x, maps, side, clip=1.0)
    return PictureForm(view, drawing.laid_out(x, x, view), maps, side, lambda values: drawing.laid_out(values, x, view))


def _length(k: int, x: np.ndarray, view: View) -> int:
    """Return the number of tokens of an example."""
    return sum(count for _, count in view.words[k]) if k < len(view.words) else len(x)
