"""Drawing maps: signed maps diverge around zero, compared maps share one scale."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError

__all__ = ["as_picture", "draw_map", "inline_png", "panel", "rendered"]

_PALETTE = "RdBu_r"


def as_picture(values: Tensor) -> np.ndarray:
    """Return an input ([channels,] height, width) as an array that matplotlib shows, scaled to 0 ... 1."""
    array = values.detach().float().cpu().numpy()
    if array.ndim == 3:
        array = np.moveaxis(array, 0, -1) if array.shape[0] in (3, 4) else array.mean(0)
    low, high = float(array.min()), float(array.max())
    return (array - low) / (high - low) if high > low else np.zeros_like(array)


def draw_map(axes: Any, values: Tensor, picture: Tensor | None = None, limit: float | None = None) -> Any:
    """Draw one map on matplotlib axes: red speaks for the target, blue against it.

    Args:
        axes: where to draw.
        values: (height, width), (channels, height, width), (positions,) or (channels, positions).
        picture: the explained input, shown faintly beneath a map of pixels.
        limit: the value of the deepest colour; by default the map's largest absolute value.
    """
    array = values.detach().float().cpu().numpy()
    if array.ndim == 3:
        array = array.sum(0)
    limit = limit or float(np.abs(array).max()) or 1.0
    if array.ndim == 1:
        array = array[None]
    wide = array.shape[0] <= 8 and array.shape[1] > 4 * array.shape[0]
    if picture is not None and not wide:
        axes.imshow(as_picture(picture), cmap="gray", vmin=0, vmax=1)
    drawn = axes.imshow(
        array, cmap=_PALETTE, vmin=-limit, vmax=limit, alpha=0.75 if picture is not None and not wide else 1.0,
        aspect="auto" if wide else "equal", interpolation="nearest",
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    return drawn


def panel(maps: Sequence[Tensor], titles: Sequence[str], picture: Tensor | None = None, columns: int = 6) -> Any:
    """Return a figure of the input and its maps side by side, each map on its own scale.

    Raises:
        ArgumentError: there are not as many titles as maps.
    """
    from matplotlib.figure import Figure

    if len(maps) != len(titles):
        raise ArgumentError(f"titles: expected one for each of {len(maps)} maps, got {len(titles)}")
    shown = len(maps) + (picture is not None)
    columns = min(columns, shown)
    rows = -(-shown // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    if picture is not None:
        grid[0].imshow(as_picture(picture), cmap="gray", vmin=0, vmax=1)
        grid[0].set_title("input", fontsize=9)
    for axes, values, title in zip(grid[shown - len(maps) :], maps, titles, strict=False):
        draw_map(axes, values, picture)
        axes.set_title(title, fontsize=9)
    for axes in grid:
        axes.set_axis_off()
    return figure


def rendered(values: Tensor, limit: float | None = None, side: int = 96) -> bytes:
    """Return a map or (without ``limit``: scaled) as PNG bytes, without axes, about ``side`` pixels wide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=side)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_map(axes, values, limit=limit)
    axes.set_axis_off()
    return _png(figure)


def inline_png(content: bytes) -> str:
    """Return PNG bytes as a ``data:`` address for HTML."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
