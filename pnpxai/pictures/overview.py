"""One figure of a picture: a column for each class, a row for each explainer, maps over the faded picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from pnpxai.pictures.colours import clipped_limit, coloured, overlaid, pictured
from pnpxai.pictures.figures import shortened
from pnpxai.pictures.legend import add_legend
from pnpxai.pictures.look import Look
from pnpxai.pictures.view import View, as_array
from pnpxai.pictures.words import without_formula

if TYPE_CHECKING:
    from pnpxai.pictures.plot import Plot

__all__ = ["Row", "overview"]

_TILE = 1.9
"""Inches of a tile."""
_LABEL = 0.75
"""Width of what stands beside a row, in tiles."""


@dataclass(frozen=True, eq=False)
class Row:
    """What one explainer says.

    Attributes:
        name: the explainer.
        maps: (height, width) for each class.
        faithfulness: how faithful the first map is, NaN where that is not defined.
        seconds: how long it took.
        signed: False to draw the maps' positive part alone.
    """

    name: str
    maps: tuple[Tensor, ...]
    faithfulness: float
    seconds: float
    signed: bool = True

    @property
    def verdict(self) -> str:
        """How faithful its first map is, in words; empty where that is not defined."""
        if self.maps and not self.maps[0].any():
            return "every value is zero"
        return "" if self.faithfulness != self.faithfulness else f"faithfulness {self.faithfulness:+.2f}"


def overview(
    picture: Tensor, rows: Sequence[Row], columns: Sequence[str], view: View, *, title: str = "", clip: float = 1.0
) -> Plot:
    """Return the figure.

    Args:
        picture: (channels, height, width).
        rows: the explainers, with as many maps as there are columns.
        columns: what stands above the columns, such as classes.
        view: how the picture is drawn.
        title: the name of the file.
        clip: the share of a map's absolute values that its colours tell apart.
    """
    from pnpxai.pictures.plot import Plot

    array = as_array(picture)
    natural = pictured(array) if view.display is None else pictured(view.display.undo(array), (0.0, 1.0))
    tall = _TILE * min(max(natural.shape[0] / natural.shape[1], 0.5), 2.0)
    count, widths = max(len(rows), 1), [_LABEL, *[1.0] * len(columns)]
    made = Plot(figsize=(_TILE * sum(widths) + 0.3, (tall + 0.08) * count + 0.5), layout="constrained")
    grid = made.subplots(count, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
    for axes in grid.flat:
        axes.set_axis_off()
    corner = grid[0, 0].inset_axes((0.0, 0.28, 1.0, 0.72))
    corner.imshow(natural, interpolation="antialiased")
    corner.set_axis_off()
    corner.set_title(without_formula(shortened(title or "input")), fontsize=8)
    for r, (row, (words, *tiles)) in enumerate(zip(rows, grid, strict=False)):
        for axes, values in zip(tiles, row.maps, strict=True):
            look = Look(clip=clip, signed=row.signed)
            limit = clipped_limit([look.drawn(values)], clip)
            fits = natural.shape[:2] == tuple(values.shape[-2:])
            tile = overlaid(values, natural, limit, look) if fits else coloured(values, limit, look)
            axes.imshow(tile, interpolation="antialiased")
        height, align = (0.0, "bottom") if r == 0 else (0.5, "center")
        beside = "\n".join(filter(None, (row.name, row.verdict, f"{row.seconds:.1f} s")))
        words.text(1, height, beside, transform=words.transAxes, ha="right", va=align, fontsize=8, linespacing=1.3)
    for axes, name in zip(grid[0, 1:], columns, strict=True):
        axes.set_title(without_formula(name), fontsize=9)
    add_legend(made, look=Look(clip=clip))
    return made
