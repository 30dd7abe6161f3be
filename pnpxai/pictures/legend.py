"""Draws the legend beneath a figure, which says what the colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pnpxai.pictures.colours import LEVELS, palette
from pnpxai.pictures.look import Look

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["add_legend"]

_LETTER, _HANDLE = 0.058, 0.4
"""Width in inches of a letter, and of the coloured patch of an entry with the space around it."""
_LINE = 0.22
"""Height of a line in inches."""


def add_legend(figure: Figure, limit: float | None = None, *, steps: bool = False, look: Look | None = None) -> None:
    """Write beneath a figure, which grows for it, which colour speaks for the target, and on what scale.

    Args:
        figure: matplotlib's, with constrained layout.
        limit: the value of the deepest colour in all maps; None if each has its own.
        steps: True if bars are steps from the part that no column explains to the score.
        look: how the maps of pictures look; by default signed, in the usual colours, all values within the scale.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    look = Look(clip=1.0) if look is None else look
    meanings = ((0.9, "for the target"), (0.1, "against it")) if look.signed else ((0.9, "for the target alone"),)
    handles: list[Artist] = [
        Patch(color=palette(look.cmap)[round(share * LEVELS)] / 255, label=text) for share, text in meanings
    ]
    if steps:
        handles.append(Line2D([], [], color="grey", linestyle=":", label="what no column explains"))
        handles.append(Line2D([], [], color="black", label="the score"))
    else:
        scale = "each on its own scale" if limit is None else f"all on one scale, to \N{PLUS-MINUS SIGN}{limit:.3g}"
        scale += "" if look.clip == 1 else f" (to {100 * look.clip:g} % of |a|)"
        handles.append(Patch(color="none", label=scale))
    width, height = figure.get_size_inches()
    needed = sum(_LETTER * len(str(handle.get_label())) + _HANDLE for handle in handles)
    lines = 1 if width > needed else len(handles)
    figure.set_size_inches(width, height + _LINE * (lines + 0.6))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=len(handles) // lines, frameon=False, fontsize=8,
        handlelength=1.2, borderpad=0.2,
    )  # fmt: skip
