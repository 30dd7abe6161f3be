"""Draws charts of attributions: bars and a waterfall for columns of a table, coloured lines for a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pnpxai.pictures.colours import LEVELS, coloured, largest, palette, shrunk
from pnpxai.pictures.table_values import number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ROWS", "columns", "series", "waterfall"]

_STEPS = 1000
"""Number of steps that a figure can show; longer series are drawn by means and extremes of stretches."""
_SCALES = 12
"""Largest number of channels for which the values at the ends of scales are written."""
ROWS = 16
"""Largest number of columns of a table that are drawn: those with the largest attributions."""


def series(
    axes: Axes, values: np.ndarray, x: np.ndarray, names: Sequence[str] | None = None, limit: float | None = None
) -> None:
    """Draw each channel as a line on the colours of its attributions.

    Args:
        axes: matplotlib's.
        values: (channels, time) or (time,) attributions; those of one channel are drawn behind all.
        x: (channels, time) or (time,) the series.
        names: names of the channels.
        limit: the value of the deepest colour; by default the largest absolute value.
    """
    values, x = np.atleast_2d(values), np.atleast_2d(x)
    channels, length = x.shape
    if limit is None:
        limit = largest([values]) or None
    axes.imshow(
        coloured(shrunk(values, _STEPS, 1), limit), aspect="auto", extent=(-0.5, length - 0.5, channels, 0),
        interpolation="nearest",
    )  # fmt: skip
    for k, line in enumerate(x):
        low, high = float(np.nanmin(line)), float(np.nanmax(line))
        steps, heights = _envelope(line)
        share = (heights - low) / (high - low) if high > low else np.full(len(heights), 0.5)
        axes.plot(steps, k + 0.9 - 0.8 * share, color="black", linewidth=1 if length <= _STEPS else 0.6)
        if channels <= _SCALES:  # the values at the ends of a channel's scale
            for value, height in ((high, k + 0.1), (low, k + 0.9)):
                text = f" {value:.3g}".replace("-", "\N{MINUS SIGN}")
                axes.text(length - 0.5, height, text, fontsize=6, va="center", ha="left", color="dimgrey")
    axes.set_yticks(np.arange(channels) + 0.5, names or [str(k) for k in range(channels)], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(-0.5, length - 0.5)


def _envelope(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and values of a line; of a long line, the smallest and largest value of each stretch."""
    steps = np.arange(len(line))
    if len(line) <= _STEPS:
        return steps, line
    starts = np.arange(_STEPS // 2) * len(line) // (_STEPS // 2)
    ends = np.stack([np.minimum.reduceat(line, starts), np.maximum.reduceat(line, starts)], 1).reshape(-1)
    return np.repeat(steps[starts], 2), ends


def columns(
    axes: Axes,
    values: np.ndarray,
    x: np.ndarray,
    names: Sequence[str] | None = None,
    limit: float | None = None,
    texts: Sequence[str] = (),
) -> None:
    """Draw a bar for each column, the largest first.

    Args:
        axes: matplotlib's.
        values: (columns, ...) attributions, whose further axes are added up.
        x: (columns,) the row's values.
        names: names of the columns.
        limit: extent of the axis to both sides; by default the smallest that fits.
        texts: the row's values in words; by default as numbers.
    """
    values = values.reshape(len(x), -1).sum(1)
    order = _order(values)
    axes.barh(np.arange(len(order)), values[order], color=[_bar_colour(float(values[k])) for k in order])
    _row_labels(axes, [f"{_name(k, names)} = {texts[k] if texts else number_text(float(x[k]))}" for k in order])
    axes.axvline(0, color="black", linewidth=0.8)
    if limit:
        axes.set_xlim(-1.05 * limit, 1.05 * limit)


def waterfall(
    axes: Axes,
    values: np.ndarray,
    x: np.ndarray,
    names: Sequence[str] | None = None,
    score: float | None = None,
    texts: Sequence[str] = (),
) -> None:
    """Draw how the columns' attributions add up to the score, the largest last; the smallest are drawn as one.

    Args:
        axes: matplotlib's.
        values: (columns, ...) attributions, whose further axes are added up.
        x: (columns,) the row's values.
        names: names of the columns.
        score: the model's output, at which the bars end; they start at the part that no column explains. By default
            they start at zero.
        texts: the row's values in words; by default as numbers.
    """
    values = values.reshape(len(x), -1).sum(1)
    order = _order(values)
    rest = float(values.sum() - values[order].sum())
    others = len(values) - len(order)
    steps = [*values[order], *([rest] if others else [])]
    labels = [f"{_name(k, names)} = {texts[k] if texts else number_text(float(x[k]))}" for k in order] + (
        [f"{others} other columns"] if others else []
    )
    start = 0.0 if score is None else score - float(values.sum())
    ends = start + np.cumsum(steps[::-1])[::-1]  # the last row is the first step
    begins = np.append(ends[1:], start)
    places = np.arange(len(steps))
    axes.barh(places, ends - begins, left=begins, color=[_bar_colour(step) for step in steps])
    for place, end in zip(places[1:], ends[1:], strict=True):  # a line from each step to the next above it
        axes.plot([end, end], [place - 1.4, place + 0.4], color="grey", linewidth=0.6)
    _row_labels(axes, labels)
    reach = float(np.ptp([*ends, start])) or 1.0
    axes.set_xlim(min(*ends, start) - 0.12 * reach, max(*ends, start) + 0.12 * reach)
    for place, begin, end, step in zip(places, begins, ends, steps, strict=True):
        text, side = f"{step:+.2g}".replace("-", "\N{MINUS SIGN}"), 1 if step >= 0 else -1
        near = float(max(begin, end) if side > 0 else min(begin, end)) + 0.01 * side * reach
        axes.text(
            near, float(place), text, fontsize=6, va="center", ha="left" if side > 0 else "right", color="dimgrey"
        )
    axes.set_ylim(len(steps) + 0.3, -1.1)
    for end, y, text in ((start, len(steps) - 0.1, "from"), (float(ends[0]), -0.8, "to")):
        axes.text(end, y, f" {text} {number_text(end)}", fontsize=6, va="center", color="dimgrey")
    axes.axvline(start, color="grey", linewidth=0.8, linestyle=":")
    axes.axvline(float(ends[0]), color="black", linewidth=0.8)


def _order(values: np.ndarray) -> np.ndarray:
    return np.argsort(-np.abs(values), kind="stable")[:ROWS]


def _name(k: int, names: Sequence[str] | None) -> str:
    return names[k] if names else f"column {k}"


def _row_labels(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(labels)), labels, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _bar_colour(value: float) -> np.ndarray:
    return palette()[round(0.9 * LEVELS) if value > 0 else round(0.1 * LEVELS)] / 255
