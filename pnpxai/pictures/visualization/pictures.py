"""Draws the maps of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from pnpxai.errors import ArgumentError
from pnpxai.pictures.view import as_array
from pnpxai.pictures.visualization.scales import Array, VisualizeSign, colour_scale, member, new_figure, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["ImageVisualizationMethod", "visualize_image_attr", "visualize_image_attr_multiple"]


class ImageVisualizationMethod(Enum):
    """How a picture's map is drawn."""

    heat_map = 1
    blended_heat_map = 2
    original_image = 3
    masked_image = 4
    alpha_scaling = 5


def visualize_image_attr(
    attr: Array,
    original_image: Array | None = None,
    method: str = "heat_map",
    sign: str = "absolute_value",
    plt_fig_axis: tuple[Figure, Axes] | None = None,
    outlier_perc: float = 2,
    cmap: str | Colormap | None = None,
    alpha_overlay: float = 0.5,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
) -> tuple[Figure, Axes]:
    """Draw a picture's map and return the figure and its axes.

    Args:
        attr: (height, width, channels) attributions; channels are added up.
        original_image: (height, width, channels) the picture, floats from 0 to 1 or whole numbers from 0 to 255; needed
            by all methods but "heat_map".
        method: "heat_map", "blended_heat_map", "original_image", "masked_image" or "alpha_scaling".
        sign: which part: "positive", "absolute_value", "negative" or "all"; the last two methods cannot show all.
        plt_fig_axis: the figure and axes to draw on; by default new ones.
        outlier_perc: the share of the map's total, in percent, that the largest values have which share one colour.
        cmap: the colours of the map; by default red for the target and blue against it.
        alpha_overlay: how far a blended map hides the picture.
        show_colorbar: draw the scale below.
        title: what stands above.
        fig_size: width and height in inches of a new figure.
        use_pyplot: make a new figure with pyplot, so that a notebook shows it.

    Raises:
        ArgumentError: there is no such method or sign, or the picture is missing.
    """
    way, part = member(ImageVisualizationMethod, "method", method), member(VisualizeSign, "sign", sign)
    picture = None if original_image is None else _shown(original_image)
    if picture is None and way is not ImageVisualizationMethod.heat_map:
        raise ArgumentError(f"original_image: expected a picture for method={method!r}, got None")
    if way in (ImageVisualizationMethod.masked_image, ImageVisualizationMethod.alpha_scaling):
        if part is VisualizeSign.all:
            raise ArgumentError(f"sign: expected a part of the map for method={method!r}, got 'all'")
    figure, axes = plt_fig_axis or new_figure(fig_size, use_pyplot)
    scale = None
    if picture is not None and way is ImageVisualizationMethod.original_image:
        axes.imshow(picture, cmap="gray")
    else:
        summed = as_array(attr)
        values = shares(summed.sum(2) if summed.ndim == 3 else summed, part, outlier_perc)
        colours, low, high = colour_scale(part, cmap)
        if picture is None or way is ImageVisualizationMethod.heat_map:
            scale = axes.imshow(values, cmap=colours, vmin=low, vmax=high)
        elif way is ImageVisualizationMethod.blended_heat_map:
            axes.imshow(picture if picture.ndim == 2 else picture.mean(2), cmap="gray")
            scale = axes.imshow(values, cmap=colours, vmin=low, vmax=high, alpha=alpha_overlay)
        elif way is ImageVisualizationMethod.masked_image:
            share = np.abs(values)
            masked = picture * (share if picture.ndim == 2 else share[..., None])
            axes.imshow(np.clip(masked.astype(int), 0, 255), cmap="gray")
        else:
            coloured = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
            shade = np.clip(255 * np.abs(values)[..., None], 0, 255).astype(int)
            axes.imshow(np.concatenate([coloured, shade], axis=2))
    axes.set_axis_off()
    if show_colorbar and scale is not None:
        figure.colorbar(scale, ax=axes, orientation="horizontal", fraction=0.05, pad=0.05)
    if title:
        axes.set_title(title)
    return figure, axes


def visualize_image_attr_multiple(
    attr: Array,
    original_image: Array | None,
    methods: Sequence[str],
    signs: Sequence[str],
    titles: Sequence[str] | None = None,
    fig_size: tuple[float, float] = (8, 6),
    use_pyplot: bool = True,
    **kwargs: Any,
) -> tuple[Figure, Axes]:
    """Draw a picture's map in several ways beside each other; see ``visualize_image_attr``.

    Raises:
        ArgumentError: there are not as many signs, or titles, as methods.
    """
    for name, given in (("signs", signs), ("titles", titles)):
        if given is not None and len(given) != len(methods):
            raise ArgumentError(f"{name}: expected one for each of {len(methods)} methods, got {len(given)}")
    if not methods:
        raise ArgumentError("methods: expected at least one, got none")
    figure, axes = new_figure(fig_size, use_pyplot, columns=len(methods))
    each = np.atleast_1d(axes)
    for k, (method, sign) in enumerate(zip(methods, signs, strict=True)):
        own = None if titles is None else titles[k]
        visualize_image_attr(
            attr, original_image, method, sign, (figure, each[k]), title=own, use_pyplot=use_pyplot, **kwargs
        )
    return figure, axes


def _shown(picture: Array) -> Array:
    """Return a picture with whole numbers from 0 to 255."""
    array = as_array(picture)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return np.clip((255 * array if array.max(initial=0) <= 1 else array).astype(int), 0, 255)
