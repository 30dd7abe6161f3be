"""Draws explained examples as matplotlib figures, each kind of input in its own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.pictures.colours import clipped_limit, colour_scale, coloured, largest, overlaid, pictured
from pnpxai.pictures.drawings import RowDrawing, WordSource, drawing_of
from pnpxai.pictures.legend import add_legend
from pnpxai.pictures.look import Look
from pnpxai.pictures.view import View, as_array
from pnpxai.pictures.words import without_formula

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnpxai.pictures.plot import Plot

__all__ = ["figure", "panel", "shortened"]

_FRAME = "#e6a100"
"""Colour of a box, which is neither that of values for the target nor that of values against it."""
_NAME = 26
"""Largest number of characters of a file's name above a tile."""


def figure(
    maps: Tensor | Sequence[Tensor],
    inputs: Tensor,
    titles: Sequence[str],
    view: View,
    *,
    word_source: WordSource = None,
    look: Look | None = None,
    shared: bool = False,
    scores: Tensor | None = None,
    heading: str = "",
) -> Plot:
    """Return a figure with one part for each title.

    Args:
        maps: (examples, ...) attributions.
        inputs: (examples, ...) explained inputs.
        titles: titles of the first examples.
        view: the view of the input.
        word_source: words of each example, or a function from ids to words, instead of the view's words.
        look: the style, and the colours of pictures.
        shared: use one scale for all examples, by the largest value of all, instead of one for each.
        scores: (examples,) scores at which waterfalls end.
        heading: a line above the figure.

    Raises:
        ArgumentError: the number of names or words is wrong.
    """
    look = Look() if look is None else look
    drawing = drawing_of(view, inputs.ndim, not inputs.is_floating_point())
    examples = [(as_array(a), as_array(x)) for a, x in zip(maps[: len(titles)], inputs, strict=False)]
    pairs = [(drawing.laid_out(a, x, view), drawing.laid_out(x, x, view)) for a, x in examples]
    if not issubclass(drawing, RowDrawing):
        limit = clipped_limit([look.drawn(a) for a, _ in pairs], look.clip) if shared else None
        return panel(
            [a for a, _ in pairs], titles, [x for _, x in pairs], view=view, look=look, limit=limit, heading=heading,
            input_titles=view.sources,
        )  # fmt: skip
    if not all(drawing.fits(a, x) for a, x in pairs):  # values of a layer without the input's positions
        return panel([a for a, _ in pairs], titles, look=replace(look, style=None), heading=heading)
    return _rows(drawing, pairs, titles, view, word_source, look.style, shared, scores, heading)


def _rows(
    drawing: type[RowDrawing],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    titles: Sequence[str],
    view: View,
    word_source: WordSource,
    style: str | None,
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
    look: Look | None = None,
    limit: float | None = None,
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
        look: how the maps look; by default beside their inputs, all values within the colour scale.
        limit: the value of the deepest colour in all maps; by default each map has its own.
        heading: a line above the figure.
        input_titles: titles of the inputs, such as names of files; by default "input".

    Raises:
        ArgumentError: there are not as many titles, or pictures, as maps.
    """
    from pnpxai.pictures.plot import Plot

    for name, members in (("titles", titles), ("pictures", pictures)):
        if members is not None and len(members) != len(maps):
            raise ArgumentError(f"{name}: expected one for each of {len(maps)} maps, got {len(members)}")
    look = Look(clip=1.0) if look is None else look
    tiles: list[_Tile] = []
    for k, (values, title) in enumerate(zip(maps, titles, strict=True)):
        shown = look.drawn(values)
        deepest = clipped_limit([shown], look.clip) if limit is None else limit
        if pictures is None:
            tiles.append(_Tile(title, coloured(shown, deepest, look), deepest))
            continue
        natural = _natural(pictures[k], view)
        fits = natural.shape[:2] == shown.shape[-2:]
        tiles.append(_Tile(shortened(input_titles[k]) if k < len(input_titles) else "input", natural))
        if fits and look.style == "contour":
            tiles.append(_Tile(title, natural, deepest, shown))
        else:
            over = fits and look.style == "over"
            tiles.append(
                _Tile(
                    title,
                    (overlaid(shown, natural, deepest, look) if over else coloured(shown, deepest, look)),
                    deepest,
                )
            )
    step = 1 if pictures is None else 2
    columns = max(step, min(columns - columns % step, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    made = Plot(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    grid: list[Axes] = list(made.subplots(rows, columns, squeeze=False).flatten())
    for axes, tile in zip(grid, tiles, strict=False):
        tile.draw(axes, look)
    for k, (left, top, right, bottom) in enumerate(() if view is None or pictures is None else view.boxes):
        for axes in grid[step * k : step * (k + 1)]:
            axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=_FRAME, linewidth=1.4)
    for axes in grid:
        axes.set_axis_off()
    return _finished(made, heading, limit, look=look)


@dataclass(frozen=True)
class _Tile:
    """A picture of a panel.

    Attributes:
        title: what stands above it.
        colours: (height, width, 4).
        limit: the value of the deepest colour, if it shows a map.
        lines: a map (height, width) that is drawn as lines around its strongest parts.
    """

    title: str
    colours: np.ndarray
    limit: float | None = None
    lines: np.ndarray | None = None

    def draw(self, axes: Axes, look: Look) -> None:
        """Draw the tile, its lines, and a scale with numbers where that is asked."""
        height, width = self.colours.shape[:2]
        axes.imshow(self.colours, interpolation="nearest", aspect="auto" if width > 4 * height else "equal")
        axes.set_title(without_formula(self.title), fontsize=9)
        if self.limit is None or not self.limit:
            return
        scale = colour_scale(self.limit, look)
        if self.lines is not None:
            levels = [share * self.limit for share in (*([-0.75, -0.5, -0.25] if look.signed else []), 0.25, 0.5, 0.75)]
            axes.contour(np.nan_to_num(self.lines), levels=levels, cmap=scale.cmap, norm=scale.norm, linewidths=1.2)
        if look.colour_bar and (made := axes.get_figure()) is not None:
            bar = made.colorbar(scale, ax=axes, shrink=0.8, pad=0.02)
            bar.ax.tick_params(labelsize=6)


def _finished(made: Plot, heading: str, limit: float | None, *, steps: bool = False, look: Look | None = None) -> Plot:
    """Return a figure with its heading and its legend; the figure grows to hold them."""
    if heading:
        width, height = made.get_size_inches()
        lines = 1 + heading.count("\n")
        made.set_size_inches(width, height + 0.2 * lines)
        made.suptitle(heading, fontsize=9, x=0.01, ha="left")
    add_legend(made, limit, steps=steps, look=look)
    return made


def shortened(name: str) -> str:
    """Return a name that fits above a tile; a long name keeps its end, by which files differ."""
    return name if len(name) <= _NAME else "\N{HORIZONTAL ELLIPSIS}" + name[1 - _NAME :]


def _natural(values: Tensor | np.ndarray, view: View | None) -> np.ndarray:
    """Return a picture (channels, height, width) in its natural colours, if the view knows them."""
    if view is None or view.display is None:
        return pictured(values)
    return pictured(view.display.undo(as_array(values)), (0.0, 1.0))
