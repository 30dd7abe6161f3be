"""Which part of a map is drawn, in which colours, and the figure that it is drawn on."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from pnpxai.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

E = TypeVar("E", bound=Enum)

__all__ = ["Array", "VisualizeSign", "colour_scale", "member", "new_figure", "shares"]

Array: TypeAlias = np.ndarray


class VisualizeSign(Enum):
    """Which part of a map is drawn."""

    positive = 1
    absolute_value = 2
    negative = 3
    all = 4


def shares(values: Array, sign: VisualizeSign, outlier_perc: float) -> Array:
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


def colour_scale(sign: VisualizeSign, cmap: str | Colormap | None) -> tuple[str | Colormap, float, float]:
    """Return the colours of a part of a map, and the values of the first and the last."""
    if sign is VisualizeSign.all:
        return cmap or "RdBu_r", -1, 1
    return cmap or ("Blues" if sign is VisualizeSign.negative else "Reds"), 0, 1


def new_figure(
    size: tuple[float, float], use_pyplot: bool, rows: int = 1, columns: int = 1, *, sharex: bool = False
) -> tuple[Figure, Any]:
    """Return a figure and its axes."""
    if use_pyplot:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
    else:
        from pnpxai.pictures.plot import Plot

        figure = Plot(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, sharex=sharex)


def member(kind: type[E], name: str, value: str) -> E:
    """Return a member of an enumeration by its name.

    Raises:
        ArgumentError: there is none; names the argument and all members.
    """
    if value not in kind.__members__:
        raise ArgumentError(f"{name}: expected {', '.join(map(repr, kind.__members__))}, got {value!r}")
    return kind[value]
