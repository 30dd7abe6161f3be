"""Draws maps under captum's names and arguments, in the colours of all pictures here: red is for the target.

``visualize_image_attr`` and ``visualize_image_attr_multiple`` draw pictures, ``visualize_timeseries_attr`` series, and
``visualize_text`` words. Figures are returned; a notebook shows those that pyplot makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.pictures.view import as_array
from pnpxai.pictures.words import words_html

__all__ = [
    "ImageVisualizationMethod",
    "TimeseriesVisualizationMethod",
    "VisualizationDataRecord",
    "VisualizeSign",
    "visualize_image_attr",
    "visualize_image_attr_multiple",
    "visualize_text",
    "visualize_timeseries_attr",
]

Array: TypeAlias = np.ndarray


class ImageVisualizationMethod(Enum):
    """How a picture's map is drawn."""

    heat_map = 1
    blended_heat_map = 2
    original_image = 3
    masked_image = 4
    alpha_scaling = 5


class TimeseriesVisualizationMethod(Enum):
    """How a series' map is drawn."""

    overlay_individual = 1
    overlay_combined = 2
    colored_graph = 3


class VisualizeSign(Enum):
    """Which part of a map is drawn."""

    positive = 1
    absolute_value = 2
    negative = 3
    all = 4


@dataclass
class VisualizationDataRecord:
    """A text with its attributions, as ``visualize_text`` draws it in one row.

    Attributes:
        word_attributions: (words,) attributions, drawn as shares of 1.
        pred_prob: the probability of the predicted class.
        pred_class: the predicted class.
        true_class: the true class.
        attr_class: the class that is explained.
        attr_score: the sum of the attributions.
        raw_input_ids: the words.
        convergence_score: how far the attributions miss their sum.
    """

    word_attributions: Tensor
    pred_prob: float
    pred_class: Any
    true_class: Any
    attr_class: Any
    attr_score: float
    raw_input_ids: list[str]
    convergence_score: float


class _Html(str):
    """HTML that a notebook shows."""

    @property
    def data(self) -> str:
        """The text, under the name that IPython gives it."""
        return str(self)

    def _repr_html_(self) -> str:
        return str(self)


def visualize_image_attr(
    attr: Array,
    original_image: Array | None = None,
    method: str = "heat_map",
    sign: str = "absolute_value",
    plt_fig_axis: tuple[Any, Any] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.5,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
) -> tuple[Any, Any]:
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
    way, part = _member(ImageVisualizationMethod, "method", method), _member(VisualizeSign, "sign", sign)
    picture = None if original_image is None else _shown(original_image)
    if picture is None and way is not ImageVisualizationMethod.heat_map:
        raise ArgumentError(f"original_image: expected a picture for method={method!r}, got None")
    if way in (ImageVisualizationMethod.masked_image, ImageVisualizationMethod.alpha_scaling):
        if part is VisualizeSign.all:
            raise ArgumentError(f"sign: expected a part of the map for method={method!r}, got 'all'")
    figure, axes = plt_fig_axis or _new(fig_size, use_pyplot)
    scale = None
    if way is ImageVisualizationMethod.original_image:
        axes.imshow(picture, cmap="gray")
    else:
        summed = as_array(attr)
        values = _normalised(summed.sum(2) if summed.ndim == 3 else summed, part, outlier_perc)
        colours, low, high = _scale(part, cmap)
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
) -> tuple[Any, Any]:
    """Draw a picture's map in several ways beside each other; see ``visualize_image_attr``.

    Raises:
        ArgumentError: there are not as many signs, or titles, as methods.
    """
    for name, given in (("signs", signs), ("titles", titles)):
        if given is not None and len(given) != len(methods):
            raise ArgumentError(f"{name}: expected one for each of {len(methods)} methods, got {len(given)}")
    if not methods:
        raise ArgumentError("methods: expected at least one, got none")
    figure, axes = _new(fig_size, use_pyplot, columns=len(methods))
    each = np.atleast_1d(axes)
    for k, (method, sign) in enumerate(zip(methods, signs, strict=True)):
        own = None if titles is None else titles[k]
        visualize_image_attr(
            attr, original_image, method, sign, (figure, each[k]), title=own, use_pyplot=use_pyplot, **kwargs
        )
    return figure, axes


def visualize_timeseries_attr(
    attr: Array,
    data: Array,
    x_values: Array | None = None,
    method: str = "overlay_individual",
    sign: str = "absolute_value",
    channel_labels: Sequence[str] | None = None,
    channels_last: bool = True,
    plt_fig_axis: tuple[Any, Any] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.7,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
    **pyplot_kwargs: Any,
) -> tuple[Any, Any]:
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
    way, part = _member(TimeseriesVisualizationMethod, "method", method), _member(VisualizeSign, "sign", sign)
    values, series = as_array(attr), as_array(data)
    if values.ndim != 2 or values.shape != series.shape:
        raise ShapeError(f"attr: expected (time, channels) as the series {series.shape}, got {values.shape}")
    if channels_last:
        values, series = values.T, series.T
    combined = way is TimeseriesVisualizationMethod.overlay_combined
    values = _normalised(values.sum(0) if combined else values, part, outlier_perc)
    steps = np.arange(series.shape[1]) if x_values is None else as_array(x_values)
    if len(steps) != series.shape[1]:
        raise ShapeError(f"x_values: expected one for each of {series.shape[1]} steps, got {len(steps)}")
    figure, axes = plt_fig_axis or _new(fig_size, use_pyplot, rows=1 if combined else len(series), sharex=True)
    each = np.atleast_1d(axes)
    colours, low, high = _scale(part, cmap)
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


def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> _Html:
    """Return a table of texts on the colours of their attributions, which a notebook shows.

    Args:
        datarecords: the texts.
        legend: say what the colours mean.
    """
    heads = ("True label", "Predicted label", "Attribution label", "Attribution score", "Word importance")
    rows = ["".join(f"<th>{head}</th>" for head in heads)]
    for record in datarecords:
        values = as_array(record.word_attributions).reshape(-1)[: len(record.raw_input_ids)]
        cells = [record.true_class, f"{record.pred_class} ({record.pred_prob:.2f})", record.attr_class]
        cells.append(f"{record.attr_score:.2f}")
        row = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        rows.append(row + f"<td>{words_html(values, record.raw_input_ids[: len(values)], 1.0)}</td>")
    words = "<p>red: for the class; blue: against it</p>" if legend else ""
    return _Html(words + "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")


def _normalised(values: Array, sign: VisualizeSign, outlier_perc: float) -> Array:
    """Return the part of a map as shares of the value below which 100 - outlier_perc % of its total lie.

    They go from -1 to 1; of the negative part alone, which is turned around, from 0 to 1.

    Raises:
        ArgumentError: the percentage is not between 0 and 100.
    """
    if not 0 <= outlier_perc <= 100:
        raise ArgumentError(f"outlier_perc: expected 0 to 100, got {outlier_perc!r}")
    parts = {
        VisualizeSign.all: values, VisualizeSign.positive: np.maximum(values, 0),
        VisualizeSign.negative: np.minimum(values, 0), VisualizeSign.absolute_value: np.abs(values),
    }  # fmt: skip
    chosen = parts[sign]
    sizes = np.sort(np.abs(chosen), axis=None)
    sums = np.cumsum(sizes)
    deepest = sizes[min(np.searchsorted(sums, sums[-1] * 0.01 * (100.0 - outlier_perc)), len(sizes) - 1)] or 1.0
    return np.clip(chosen / (-deepest if sign is VisualizeSign.negative else deepest), -1, 1)


def _scale(sign: VisualizeSign, cmap: Any) -> tuple[Any, float, float]:
    """Return the colours of a part of a map, and the values of the first and the last."""
    if sign is VisualizeSign.all:
        return cmap or "RdBu_r", -1, 1
    return cmap or ("Blues" if sign is VisualizeSign.negative else "Reds"), 0, 1


def _shown(picture: Array) -> Array:
    """Return a picture with whole numbers from 0 to 255."""
    array = as_array(picture)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return np.clip((255 * array if array.max(initial=0) <= 1 else array).astype(int), 0, 255)


def _new(size: tuple[float, float], use_pyplot: bool, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Return a figure and its axes."""
    if use_pyplot:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
    else:
        from pnpxai.pictures.plot import Plot

        figure = Plot(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def _member(kind: type[Enum], name: str, value: str) -> Any:
    if value not in kind.__members__:
        raise ArgumentError(f"{name}: expected {', '.join(map(repr, kind.__members__))}, got {value!r}")
    return kind[value]
