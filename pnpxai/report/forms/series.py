"""Draws the curves of a series on the colours of its map."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import View, coloured, inline_png, shrunk
from pnpxai.report.forms.base import Form

__all__ = ["SeriesForm"]

_POINTS = 256
"""Largest number of points of a curve, and of steps of its map."""


class SeriesForm(Form):
    """Draws the curve of each channel on the colours of its map."""

    kind = "series"

    def __init__(self, view: View, x: np.ndarray, turned: bool, name: str) -> None:
        x = x[:, : _end(x)]
        self.turned, self.length = turned, x.shape[1]
        channels = len(x)
        self.names = view.names if len(view.names) == channels else tuple(map(str, range(channels)))
        self.reduced = (self.length, _POINTS) if self.length > _POINTS else None
        self.style = f"--tall: {channels}"
        box = f"0 0 {self.length} {100 * channels}"
        frame = f'<svg aria-hidden="true" focusable="false" viewBox="{box}" preserveAspectRatio="none">'
        edges = "".join(f"M0 {100 * k}H{self.length}" for k in range(1, channels))
        curves = "".join(f'<polyline points="{_curve(line, 100 * k)}"/>' for k, line in enumerate(x))
        shape = Markup(f'<path class="edge" d="{edges}"/><g class="curve"><g id="{name}">{curves}</g></g>')
        uses = f'<use class="halo" href="#{name}"/><use class="curve" href="#{name}"/>'
        self._again = Markup(f"{frame}{uses}</svg>")
        labels = Markup("").join(Markup("<span>{}</span>").format(text) for text in self.names)
        named = Markup('<span class="names">{}</span>').format(labels) if channels > 1 or view.names else ""
        curves_alone = Markup('<span class="tile line">{}{}</svg></span>').format(Markup(frame), shape)
        self.drawn = Markup('<span class="named">{}{}</span>').format(named, curves_alone)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return an inline picture beneath the curves."""
        colours = coloured(shrunk(np.atleast_2d(self._time_last(values)), _POINTS, 1))
        return Markup('<span class="tile line crisp"><img alt="{}" src="{}">{}</span>').format(
            alt, inline_png(colours), self._again
        )

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its channel and step."""
        values = np.atleast_2d(self._time_last(values))
        channel, step = np.unravel_index(np.abs(values).argmax(), values.shape)
        where = f"{self.names[int(channel)]}, " if len(values) == len(self.names) > 1 else ""
        return float(values[channel, step]), f"{where}step {int(step) + 1} of {self.length}"

    def _time_last(self, values: np.ndarray) -> np.ndarray:
        return (values.T if self.turned and values.ndim == 2 else values)[..., : self.length]


def _end(x: np.ndarray) -> int:
    """Return the length of a series (channels, time) without the NaN that fill it up to the length of others."""
    known = np.flatnonzero(~np.isnan(x).all(0))
    return int(known[-1]) + 1 if len(known) else x.shape[1]


def _curve(line: np.ndarray, top: int) -> str:
    """Return the points of a curve that is 100 high; of a long one, the smallest and largest value of each stretch."""
    steps = np.arange(len(line)) + 0.5
    if len(line) > _POINTS:
        starts = np.unique(np.arange(_POINTS // 2) * len(line) // (_POINTS // 2))
        both = [np.minimum.reduceat(line, starts), np.maximum.reduceat(line, starts)]
        line, steps = np.stack(both, -1).reshape(-1), np.repeat(steps[starts], 2)
    low, high = float(np.nanmin(line)), float(np.nanmax(line))
    share = (line - low) / (high - low) if high > low else np.full(len(line), 0.5)
    return " ".join(f"{x:g},{top + 90 - 80 * y:.0f}" for x, y in zip(steps, share, strict=True) if np.isfinite(y))
