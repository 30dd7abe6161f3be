"""Draws the maps of series."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from pnpxai.errors import ShapeError
from pnpxai.pictures.view import as_array
from pnpxai.pictures.visualization.scales import Array, VisualizeSign, colour_scale, member, new_figure, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["TimeseriesVisualizationMethod", "visualize_timeseries_attr"]


class TimeseriesVisualizationMethod(Enum):
    """How a series' map is drawn."""

    overlay_individual = 1
    overlay_combined = 2
    colored_graph = 3


def visualize_timeseries_attr(
    attr: Array,
    data: Array,
    x_values: Array | None = None,
    method: str = "overlay_individual",
    sign: str = "absolute_value",
    channel_labels: Sequence[str] | None = None,
    channels_last: bool = True,
    plt_fig_axis: tuple[Figure, Any] | None = None,
    outlier_perc: float = 2,
    cmap: str | Colormap | None = None,
    alpha_overlay: float = 0.7,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
    **pyplot_kwargs: Any,
) -> tuple[Figure, Axes]:
    """Draw a series' map and return the figure and its axes.

    Args:
        attr: (time, channels) attributions.
        data: (time, channels) the series.
        x_values: (time,) what stands on the horizontal axis; by default 0, 1, ...
        method: "overlay_individual" draws each channel on the colours of its map, "overlay_combined" all on those of
            the sum, "colored_graph" each channel as points in these colours.
        sign: which part: "positive", "absolute_value", "negative" or "all".
        channel_labels: names of the channels.
        channels_last: whether channels are the last axis; otherwise the first.
        plt_fig_axis: the figure and axes to draw on; by default new ones.
        outlier_perc: as for ``visualize_image_attr``.
        cmap: the colours of the map; by default red for the target and blue against it.
        alpha_overlay: how strong colours behind lines are.
        show_colorbar: draw the scale below.
        title: what stands above.
        fig_size: width and height in inches of a new figure.
        use_pyplot: make a new figure with pyplot, so that a notebook shows it.
        **pyplot_kwargs: passed on to matplotlib for the lines or points.

    Raises:
        ArgumentError: there is no such method or sign.
        ShapeError: the map has another shape than the series.
    """
    way, part = member(TimeseriesVisualizationMethod, "method", method), member(VisualizeSign, "sign", sign)
    values, series = as_array(attr), as_array(data)
    if values.ndim != 2 or values.shape != series.shape:
        raise ShapeError(f"attr: expected (time, channels) as the series {series.shape}, got {values.shape}")
    if channels_last:
        values, series = values.T, series.T
    combined = way is TimeseriesVisualizationMethod.overlay_combined
    values = shares(values.sum(0) if combined else values, part, outlier_perc)
    steps = np.arange(series.shape[1]) if x_values is None else as_array(x_values)
    if len(steps) != series.shape[1]:
        raise ShapeError(f"x_values: expected one for each of {series.shape[1]} steps, got {len(steps)}")
    figure, axes = plt_fig_axis or new_figure(fig_size, use_pyplot, rows=1 if combined else len(series), sharex=True)
    each = np.atleast_1d(axes)
    colours, low, high = colour_scale(part, cmap)
    names = list(channel_labels or [])
    scale = None
    for k, line in enumerate(series):
        own, map_of_line = (each[0], values) if combined else (each[k], values[k])
        label = names[k] if k < len(names) else None
        if way is TimeseriesVisualizationMethod.colored_graph:
            settings = {"s": 8} | pyplot_kwargs
            scale = own.scatter(steps, line, c=map_of_line, cmap=colours, vmin=low, vmax=high, **settings)
        else:
            own.plot(steps, line, **({"label": label} if combined else {"color": "black"}), **pyplot_kwargs)
        if not combined and label:
            own.set_ylabel(label)
    if way is not TimeseriesVisualizationMethod.colored_graph:
        half = (steps[1] - steps[0]) / 2 if len(steps) > 1 else 0.5
        for k, own in enumerate(each):
            extent = (steps[0] - half, steps[-1] + half, *own.get_ylim())
            behind = values[None] if combined else values[k][None]
            scale = own.imshow(
                behind, cmap=colours, vmin=low, vmax=high, alpha=alpha_overlay, aspect="auto", extent=extent, zorder=0
            )
    if combined and names:
        each[0].legend(loc="best")
    if show_colorbar and scale is not None:
        figure.colorbar(scale, ax=list(each), orientation="horizontal", fraction=0.05, pad=0.1)
    if title:
        each[0].set_title(title)
    return figure, axes
