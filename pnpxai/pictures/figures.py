"""Draws explained examples as matplotlib figures, each kind of input in its own form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.pictures.colours import clipped_limit, coloured, largest, overlaid, pictured
from pnpxai.pictures.drawings import RowDrawing, WordSource, drawing_of
from pnpxai.pictures.legend import add_legend
from pnpxai.pictures.view import View, as_array
from pnpxai.pictures.words import without_formula

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnpxai.pictures.plot import Plot

__all__ = ["CLIP", "figure", "panel", "shortened"]

Style: TypeAlias = Literal["beside", "over", "bars", "waterfall"]
_NAME = 26
"""Largest number of characters of a file's name above a tile."""
CLIP = 0.995
"""Share of a picture's absolute values within the colour scale; larger values have the deepest colour."""


def figure(
    maps: Tensor,
    inputs: Tensor,
    titles: Sequence[str],
    view: View,
    *,
    word_source: WordSource = None,
    style: Style | None = None,
    shared: bool = False,
    scores: Tensor | None = None,
    clip: float = CLIP,
    heading: str = "",
) -> Plot:
    """Return a figure with one part for each title.

    Args:
        maps: (examples, ...) attributions.
        inputs: (examples, ...) explained inputs.
        titles: titles of the first examples.
        view: the view of the input.
        word_source: words of each example, or a function from ids to words, instead of the view's words.
        style: for pictures "beside" (the default) or "over"; for tables "bars" (the default) or "waterfall".
        shared: use one scale for all examples, by the largest value of all, instead of one for each.
        scores: (examples,) scores at which waterfalls end.
        clip: share of a picture's absolute values within the colour scale; 1 for all.
        heading: a line above the figure.

    Raises:
        ArgumentError: the number of names or words is wrong, or the style or share is unknown.
    """
    if style not in (None, "beside", "over", "bars", "waterfall"):
        raise ArgumentError(f"style: expected 'beside', 'over', 'bars' or 'waterfall', got {style!r}")
    if isinstance(clip, bool) or not isinstance(clip, (int, float)) or not 0 < clip <= 1:
        raise ArgumentError(f"clip: expected a share above 0 and at most 1, such as {CLIP}, got {clip!r}")
    drawing = drawing_of(view, inputs.ndim, not inputs.is_floating_point())
    examples = [(as_array(a), as_array(x)) for a, x in zip(maps[: len(titles)], inputs, strict=False)]
    pairs = [(drawing.laid_out(a, x, view), drawing.laid_out(x, x, view)) for a, x in examples]
    if not issubclass(drawing, RowDrawing):
        limit = clipped_limit([a for a, _ in pairs], clip) if shared else None
        return panel(
            [a for a, _ in pairs], titles, [x for _, x in pairs], view=view, over=style == "over", limit=limit,
            clip=clip, heading=heading, input_titles=view.sources,
        )  # fmt: skip
    if not all(drawing.fits(a, x) for a, x in pairs):  # values of a layer without the input's positions
        return panel([a for a, _ in pairs], titles, clip=clip, heading=heading)
    return _rows(drawing, pairs, titles, view, word_source, style, shared, scores, heading)


def _rows(
    drawing: type[RowDrawing],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    titles: Sequence[str],
    view: View,
    word_source: WordSource,
    style: Style | None,
    shared: bool,
    scores: Tensor | None,
    heading: str,
) -> Plot:
    """Return a figure with one row for each pair of a map and its input."""
    from pnpxai.pictures.plot import Plot

    rows = [drawing.parts(k, a, x, view, word_source) for k, (a, x) in enumerate(pairs)]
    limit = largest((row.values for row in rows), drawing.positions) if shared else None
    heights = [drawing.height(row) for row in rows]
    made = Plot(figsize=(7.5, sum(heights)), layout="constrained")
    grid = made.subplots(len(rows), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flatten()
    for k, (axes, row, title) in enumerate(zip(grid, rows, titles, strict=True)):
        drawing.draw(axes, row, limit, style, None if scores is None else float(scores[k]))
        source = f"{view.sources[k]}  " if k < len(view.sources) else ""
        axes.set_title(without_formula(source + title), fontsize=9, loc="left")
    steps = style == "waterfall" and style in drawing.styles
    if drawing.unit:
        grid[-1].set_xlabel("score" if steps else drawing.unit, fontsize=8)
    return _finished(made, heading, limit, steps=steps)


def panel(
    maps: Sequence[Tensor | np.ndarray],
    titles: Sequence[str],
    pictures: Sequence[Tensor | np.ndarray] | None = None,
    columns: int = 6,
    *,
    view: View | None = None,
    over: bool = False,
    limit: float | None = None,
    clip: float = 1.0,
    heading: str = "",
    input_titles: Sequence[str] = (),
) -> Plot:
    """Return a matplotlib figure of maps, and to the left of each its input.

    Args:
        maps: maps as ``coloured`` takes them.
        titles: one title for each map.
        pictures: one input for each map; by default no inputs are drawn.
        columns: number of tiles, inputs and maps, in a row.
        view: the view of the inputs.
        over: draw the maps over their faded inputs.
        limit: the value of the deepest colour in all maps; by default each map has its own.
        clip: without a limit, the share of a map's absolute values within the colour scale.
        heading: a line above the figure.
        input_titles: titles of the inputs, such as names of files; by default "input".

    Raises:
        ArgumentError: there are not as many titles, or pictures, as maps.
    """
    from pnpxai.pictures.plot import Plot

    for name, members in (("titles", titles), ("pictures", pictures)):
        if members is not None and len(members) != len(maps):
            raise ArgumentError(f"{name}: expected one for each of {len(maps)} maps, got {len(members)}")
    tiles: list[tuple[str, np.ndarray]] = []
    for k, (values, title) in enumerate(zip(maps, titles, strict=True)):
        deepest = clipped_limit([values], clip) if limit is None else limit
        if pictures is None:
            tiles.append((title, coloured(values, deepest)))
            continue
        natural = _natural(pictures[k], view)
        fits = over and natural.shape[:2] == as_array(values).shape[-2:]
        tiles.append((shortened(input_titles[k]) if k < len(input_titles) else "input", natural))
        tiles.append((title, overlaid(values, natural, deepest) if fits else coloured(values, deepest)))
    step = 1 if pictures is None else 2
    columns = max(step, min(columns - columns % step, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    made = Plot(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    grid: list[Axes] = list(made.subplots(rows, columns, squeeze=False).flatten())
    for axes, (title, colours) in zip(grid, tiles, strict=False):
        height, width = colours.shape[:2]
        axes.imshow(colours, interpolation="nearest", aspect="auto" if width > 4 * height else "equal")
        axes.set_title(without_formula(title), fontsize=9)
    for axes in grid:
        axes.set_axis_off()
    return _finished(made, heading, limit, clip=clip)


def _finished(made: Plot, heading: str, limit: float | None, *, steps: bool = False, clip: float = 1.0) -> Plot:
    """Return a figure with its heading and its legend; the figure grows to hold them."""
    if heading:
        width, height = made.get_size_inches()
        lines = 1 + heading.count("\n")
        made.set_size_inches(width, height + 0.2 * lines)
        made.suptitle(heading, fontsize=9, x=0.01, ha="left")
    add_legend(made, limit, steps=steps, clip=clip)
    return made


def shortened(name: str) -> str:
    """Return a name that fits above a tile; a long name keeps its end, by which files differ."""
    return name if len(name) <= _NAME else "\N{HORIZONTAL ELLIPSIS}" + name[1 - _NAME :]


def _natural(values: Tensor | np.ndarray, view: View | None) -> np.ndarray:
    """Return a picture (channels, height, width) in its natural colours, if the view knows them."""
    if view is None or view.display is None:
        return pictured(values)
    return pictured(view.display.undo(as_array(values)), (0.0, 1.0))
