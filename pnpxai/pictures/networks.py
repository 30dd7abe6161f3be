"""Draws interactions of features as a network: discs for the features, lines for what two are worth together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pnpxai.pictures.colours import coloured, largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network"]

_LINES = 40
"""Largest number of lines that are drawn: those of the largest interactions."""


def network(
    axes: Axes,
    values: np.ndarray,
    pairs: np.ndarray,
    names: Sequence[str] | None = None,
    places: np.ndarray | None = None,
) -> None:
    """Draw features as discs, and the largest interactions as lines between them.

    Areas of discs and widths of lines grow with the size of a value; both kinds have a scale of their own.

    Args:
        axes: matplotlib's.
        values: (features,) values.
        pairs: (features, features) interactions, symmetric.
        names: names of the features, such as words or columns.
        places: (features, 2) where each feature lies, such as the centres of regions of a picture, in the axes' units;
            by default on a circle.
    """
    count = len(values)
    angles = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    circle = places is None
    at = np.stack([np.cos(angles), np.sin(angles)], 1) if places is None else np.asarray(places)
    first, second = np.triu_indices(count, 1)
    strengths = np.asarray(pairs)[first, second]
    order = np.argsort(np.abs(strengths))[-_LINES:]
    strongest, limit = largest([strengths]) or 1.0, largest([values]) or 1.0
    colours = coloured(strengths[None], strongest)[0] / 255
    for k in order:
        ends = at[[first[k], second[k]]]
        share = abs(strengths[k]) / strongest
        axes.plot(*ends.T, color=colours[k], linewidth=0.3 + 5 * share, zorder=1, solid_capstyle="round")
    sizes = 20 + 400 * np.abs(values) / limit
    axes.scatter(*at.T, s=sizes, c=coloured(np.asarray(values)[None], limit)[0] / 255, edgecolors="black", zorder=2)
    for name, (x, y) in zip(names or [str(k) for k in range(count)], at, strict=True):
        shift = 1.2 if circle else 1.0
        side = "center" if not circle or abs(x) < 0.2 else "left" if x > 0 else "right"
        axes.text(x * shift, y * shift, name, ha=side, va="center", fontsize=8, zorder=3)
    if circle:
        axes.set_xlim(-1.8, 1.8)
        axes.set_ylim(-1.5, 1.5)
        axes.set_aspect("equal")
        axes.axis("off")
