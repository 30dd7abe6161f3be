"""Matplotlib figures of explained examples, each kind of input in its own form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.pictures import charts
from pnpxai.pictures.colours import coloured, largest, overlaid, pictured
from pnpxai.pictures.legend import add_legend
from pnpxai.pictures.view import Kind, View, as_array
from pnpxai.pictures.words import line_count, merged, words

__all__ = ["figure", "panel", "told_words"]

Style = Literal["beside", "over", "bars", "waterfall"]
_ACROSS = {"series": "step", "table": "attribution"}


def figure(
    maps: Tensor,
    inputs: Tensor,
    titles: Sequence[str],
    view: View,
    *,
    given_words: Any = None,
    style: Style | None = None,
    shared: bool = False,
    scores: Tensor | None = None,
) -> Any:
    """Return a figure with one part for each title.

    Args:
        maps: (examples, ...) attributions.
        inputs: (examples, ...) what is explained.
        titles: of the first examples.
        view: how the input is drawn.
        given_words: the words of each example, or a function that gives the words of ids, instead of the view's.
        style: pictures "beside" their maps (the default) or maps "over" them; of tables "bars" or a "waterfall".
        shared: one scale for all examples, by the largest value of all, instead of one for each.
        scores: (examples,) where waterfalls end.

    Raises:
        ArgumentError: there are not as many names or words as are needed, or no such style.
    """
    from matplotlib.figure import Figure

    if style not in (None, "beside", "over", "bars", "waterfall"):
        raise ArgumentError(f"style: expected 'beside', 'over', 'bars' or 'waterfall', got {style!r}")
    kind = view.kind or _kind(inputs)
    pairs = [(as_array(a), as_array(x)) for a, x in zip(maps[: len(titles)], inputs, strict=False)]
    if kind == "image":
        pairs = [(_channels_first(a), _channels_first(x)) for a, x in pairs]
        limit = largest(a for a, _ in pairs) if shared else None
        return panel([a for a, _ in pairs], titles, [x for _, x in pairs], view=view, over=style == "over", limit=limit)
    if kind == "series":
        pairs = [(_time_last(a, view), _time_last(x, view)) for a, x in pairs]
    if kind == "table":  # one column: one number for each example
        pairs = [(a.reshape(1, -1), x.reshape(1)) if x.ndim == 0 else (a, x) for a, x in pairs]
    if not all(_fits(kind, a, x) for a, x in pairs):  # values of a layer that keeps no positions
        return panel([a for a, _ in pairs], titles)
    parts = [_part(kind, k, a, x, view, given_words) for k, (a, x) in enumerate(pairs)]
    limit = largest((values for values, *_ in parts), 2 if kind == "series" else 1) if shared else None
    heights = [_height(kind, x, names) for _, x, names in parts]
    made = Figure(figsize=(7.5, sum(heights)), layout="constrained")
    grid = made.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flatten()
    for k, (axes, (values, x, names), title) in enumerate(zip(grid, parts, titles, strict=True)):
        if kind == "tokens":
            words(axes, values, names, limit)
        elif kind == "series":
            charts.series(axes, values, x, names, limit)
        elif style == "waterfall":
            charts.waterfall(axes, values, x, names, None if scores is None else float(scores[k]))
        else:
            charts.columns(axes, values, x, names, limit)
        axes.set_title(title, fontsize=9, loc="left")
    if kind in _ACROSS:
        grid[-1].set_xlabel("score" if style == "waterfall" else _ACROSS[kind], fontsize=8)
    add_legend(made, limit, steps=kind == "table" and style == "waterfall")
    return made


def panel(
    maps: Sequence[Tensor | np.ndarray],
    titles: Sequence[str],
    pictures: Sequence[Tensor | np.ndarray] | None = None,
    columns: int = 6,
    *,
    view: View | None = None,
    over: bool = False,
    limit: float | None = None,
) -> Any:
    """Return a matplotlib figure of maps, and to the left of each its input.

    Args:
        maps: what ``coloured`` takes.
        titles: one for each map.
        pictures: one input for each map, if they are to be shown.
        columns: number of tiles, inputs and maps, in a row.
        view: how inputs are drawn.
        over: draw the maps over their faded inputs.
        limit: the value of the deepest colour in all maps; by default each map's own largest.

    Raises:
        ArgumentError: there are not as many titles, or pictures, as maps.
    """
    from matplotlib.figure import Figure

    for name, given in (("titles", titles), ("pictures", pictures)):
        if given is not None and len(given) != len(maps):
            raise ArgumentError(f"{name}: expected one for each of {len(maps)} maps, got {len(given)}")
    tiles: list[tuple[str, np.ndarray]] = []
    for k, (values, title) in enumerate(zip(maps, titles, strict=True)):
        if pictures is None:
            tiles.append((title, coloured(values, limit)))
            continue
        shown = _natural(pictures[k], view)
        fits = over and shown.shape[:2] == as_array(values).shape[-2:]
        tiles.append(("input", shown))
        tiles.append((title, overlaid(values, shown, limit) if fits else coloured(values, limit)))
    step = 1 if pictures is None else 2
    columns = max(step, min(columns - columns % step, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    made = Figure(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    grid = made.subplots(rows, columns, squeeze=False).flatten()
    for axes, (title, colours) in zip(grid, tiles, strict=False):
        height, width = colours.shape[:2]
        axes.imshow(colours, interpolation="nearest", aspect="auto" if width > 4 * height else "equal")
        axes.set_title(title, fontsize=9)
    for axes in grid:
        axes.set_axis_off()
    add_legend(made, limit)
    return made


def told_words(k: int, x: np.ndarray, view: View, given: Any = None) -> tuple[list[str], list[int]]:
    """Return the words of an example of ids, and how many tokens each has.

    Raises:
        ArgumentError: they do not go with the ids.
    """
    if given is not None:
        told: Any = given([int(token) for token in x]) if callable(given) else given[k]
        texts = [str(word) for word in told]
        counts = [1] * len(texts)
    elif k < len(view.words):
        texts, counts = [word for word, _ in view.words[k]], [count for _, count in view.words[k]]
        if sum(counts) < len(x):  # the batch that it came from was shorter
            texts, counts = [*texts, ""], [*counts, len(x) - sum(counts)]
    else:
        texts, counts = [str(int(token)) for token in x], [1] * len(x)
    if sum(counts) != len(x):
        raise ArgumentError(f"names: expected {len(x)} for example {k}, got {sum(counts)}")
    return texts, counts


def _part(
    kind: Kind, k: int, values: np.ndarray, x: np.ndarray, view: View, given_words: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return what is drawn of an example: its values, its input, and the names of its parts."""
    if kind == "tokens":
        texts, counts = told_words(k, x, view, given_words)
        return merged(values, counts), x, texts
    wanted = len(np.atleast_2d(x)) if kind == "series" else len(x)
    if view.names and len(view.names) != wanted:
        raise ArgumentError(f"names: expected {wanted} for example {k}, got {len(view.names)}")
    return values, x, list(view.names) or None


def _kind(inputs: Tensor) -> Kind:
    if not inputs.is_floating_point():
        return "tokens"
    return {2: "table", 3: "series"}.get(inputs.ndim, "image")  # type: ignore[return-value]


def _fits(kind: Kind, values: np.ndarray, x: np.ndarray) -> bool:
    return values.shape[-1:] == x.shape[-1:] if kind == "series" else values.shape[:1] == x.shape[:1]


def _height(kind: Kind, x: np.ndarray, names: Any) -> float:
    """Return inches."""
    if kind == "series":
        return 0.7 + 0.5 * min(len(np.atleast_2d(x)), 12)
    if kind == "table":
        return 0.7 + 0.22 * min(len(x), charts.ROWS + 1)
    return 0.22 + 0.28 * line_count(names)


def _natural(values: Tensor | np.ndarray, view: View | None) -> np.ndarray:
    """Return a picture (channels, height, width) in its natural colours, where these are known."""
    if view is None or view.display is None:
        return pictured(values)
    return pictured(view.display.undo(as_array(values)), (0.0, 1.0))


def _channels_first(values: np.ndarray) -> np.ndarray:
    last = values.ndim == 3 and values.shape[-1] in (1, 3) and values.shape[0] not in (1, 3)
    return np.moveaxis(values, -1, 0) if last else values


def _time_last(values: np.ndarray, view: View) -> np.ndarray:
    return values.T if values.ndim == 2 and view.channel_dim in (2, -1) else values
