"""Charts of a table's summary: bars with intervals, dots for rows, dependence, cohorts, a heat map of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pnpxai.pictures import TableColumns, clipped_limit, coloured, without_formula

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from pnpxai.pictures.plot import Plot

__all__ = ["bars", "beeswarm", "cohort_bars", "dependence", "heat_map"]

_DOTS = 3000
"""Rows that are drawn as dots at most: of more, evenly spaced ones."""
_ROWS = 1500
"""Rows of a heat map at most, whose clusters are found in a time that grows with their square."""
_SHARE = 0.98
"""Share of the values of a column that the colours of dots tell apart."""
_GREY = "#999999"


def bars(importance: pd.DataFrame, heading: str) -> Plot:
    """Return bars of mean absolute attributions with their intervals.

    Args:
        importance: see ``TableSummary.importance``.
        heading: the line above.
    """
    made, axes = _figure(len(importance), heading)
    means = importance["mean |a|"].to_numpy()
    reach = np.nan_to_num(np.stack([means - importance["low"], importance["high"] - means]))
    places = np.arange(len(importance))
    axes.barh(places, means, color="#4477aa", xerr=reach, error_kw={"ecolor": "#333333", "capsize": 2})
    _columns_down(axes, list(map(str, importance.index)))
    axes.set_xlim(left=0)
    axes.set_xlabel("mean |attribution|, with its 95 % interval over rows", fontsize=8)
    return made


def beeswarm(columns: TableColumns, places: np.ndarray, heading: str) -> Plot:
    """Return a line of dots for each column: a row's attribution to the side, its value as colour.

    Args:
        columns: the table.
        places: which columns, the first on top.
        heading: the line above.
    """
    made, axes = _figure(len(places), heading)
    rows = _evenly(len(columns.attributions), _DOTS)
    for line, k in enumerate(places):
        attributions, values = columns.attributions[rows, k], columns.values[rows, k]
        heights = line + 0.4 * _spread_out(attributions)
        axes.scatter(attributions, heights, c=_value_colours(values), s=6, linewidths=0, rasterized=True)
    axes.axvline(0, color="black", linewidth=0.8)
    _columns_down(axes, [columns.names[k] for k in places])
    drawn = f", {len(rows)} rows drawn" if len(rows) < len(columns.attributions) else ""
    axes.set_xlabel(f"attribution{drawn}", fontsize=8)
    _value_bar(made, axes, "value in its column", ("low", "high"))
    return made


def dependence(columns: TableColumns, place: int, partner: int | None, heading: str) -> Plot:
    """Return a column's attributions over its values, coloured by the values of another.

    Args:
        columns: the table.
        place: the column.
        partner: the other column; None if there is no other.
        heading: the line above.
    """
    made, axes = _figure(10, heading)
    rows = _evenly(len(columns.attributions), _DOTS)
    values, attributions = columns.values[rows, place], columns.attributions[rows, place]
    colours: str | np.ndarray = "#4477aa" if partner is None else _value_colours(columns.values[rows, partner])
    levels = columns.levels[place]
    across = np.linspace(-0.2, 0.2, len(rows)) if levels else 0.0  # dots of one level side by side
    axes.scatter(values + across, attributions, c=colours, s=10, linewidths=0, rasterized=True)
    if levels:
        axes.set_xticks(np.arange(len(levels)), [without_formula(level) for level in levels], fontsize=8)
    if columns.dates[place]:
        axes.xaxis_date()
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel(without_formula(columns.names[place]), fontsize=9)
    axes.set_ylabel(without_formula(f"attribution of {columns.names[place]}"), fontsize=9)
    axes.tick_params(labelsize=8)
    if partner is not None:
        low, high = np.nanmin(columns.values[:, partner]), np.nanmax(columns.values[:, partner])
        ends = [columns.text(partner, float(end)) for end in (low, high)]
        _value_bar(made, axes, columns.names[partner], (ends[0], ends[1]))
    return made


def cohort_bars(cohorts: pd.DataFrame, names: list[str], heading: str) -> Plot:
    """Return for each column the mean absolute attributions of each cohort.

    Args:
        cohorts: see ``TableSummary.cohorts``.
        names: which columns, the first on top.
        heading: the line above.
    """
    from matplotlib import colormaps

    made, axes = _figure(len(names) * max(1, len(cohorts) // 2), heading)
    colours = colormaps["viridis"](np.linspace(0.1, 0.85, len(cohorts)))
    height = 0.8 / len(cohorts)
    for k, (label, row) in enumerate(cohorts.iterrows()):
        places = np.arange(len(names)) - 0.4 + height * (k + 0.5)
        label = f"{label} ({int(row['rows'])} rows)"
        axes.barh(places, row[names].to_numpy(float), height, color=colours[k], label=without_formula(label))
    _columns_down(axes, names)
    axes.set_xlabel("mean |attribution|", fontsize=8)
    axes.legend(fontsize=8, frameon=False)
    return made


def heat_map(columns: TableColumns, places: np.ndarray, scores: np.ndarray, heading: str) -> Plot:
    """Return the attributions of all rows as colours, similar rows side by side, and above them the scores.

    Args:
        columns: the table.
        places: which columns, the first on top.
        scores: (rows,) the model's output.
        heading: the line above.
    """
    from pnpxai.pictures.plot import Plot

    rows = _evenly(len(scores), _ROWS)
    attributions = columns.attributions[rows]
    order = _clustered(attributions)
    made = Plot(figsize=(7.5, 2.2 + 0.28 * len(places)), layout="constrained")
    made.suptitle(without_formula(heading), fontsize=9, x=0.01, ha="left")
    above, axes = made.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, max(2, len(places) / 3)]})
    above.plot(scores[rows][order], color="black", linewidth=0.8)
    above.set_ylabel("score", fontsize=8)
    above.tick_params(labelsize=8)
    shown = attributions[order][:, places].T
    limit = clipped_limit([shown], 0.99) or 1.0
    axes.imshow(coloured(shown, limit), aspect="auto", interpolation="nearest")
    axes.set_yticks(np.arange(len(places)), [without_formula(columns.names[k]) for k in places], fontsize=8)
    drawn = f"{len(rows)} of {len(scores)} rows" if len(rows) < len(scores) else "rows"
    axes.set_xlabel(f"{drawn}, similar ones side by side; red raises the score, blue lowers it, deepest at "
                    f"\N{PLUS-MINUS SIGN}{limit:.2g}", fontsize=8)  # fmt: skip
    axes.tick_params(axis="x", labelsize=8)
    return made


def _figure(lines: int, heading: str) -> tuple[Plot, Axes]:
    from pnpxai.pictures.plot import Plot

    made = Plot(figsize=(7.5, 1.1 + 0.3 * lines), layout="constrained")
    made.suptitle(without_formula(heading), fontsize=9, x=0.01, ha="left")
    axes = made.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    return made, axes


def _columns_down(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(np.arange(len(names)), [without_formula(name) for name in names], fontsize=8)
    axes.invert_yaxis()


def _evenly(count: int, most: int) -> np.ndarray:
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def _spread_out(values: np.ndarray) -> np.ndarray:
    """Return heights from -1 to 1 for dots, so that those with about the same value lie beside each other."""
    low, high = values.min(), values.max()
    bins = np.zeros(len(values), int) if high == low else ((values - low) / (high - low) * 100).astype(int)
    order = np.argsort(bins, kind="stable")
    sizes = np.bincount(bins)
    rank = np.empty(len(values), int)
    rank[order] = np.concatenate([np.arange(size) for size in sizes])
    sides = np.where(rank % 2, (rank + 1) // 2, -(rank // 2))
    return sides / max(1, sizes.max() // 2)


def _value_colours(values: np.ndarray) -> np.ndarray:
    """Return a colour for each value, from the low to the high ones of its column; grey where a value is missing."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [(1 - _SHARE) / 2, (1 + _SHARE) / 2]) if len(known) else (0.0, 1.0)
    share = np.clip((values - low) / (high - low), 0, 1) if high > low else np.full(len(values), 0.5)
    colours = _colour_map()(np.nan_to_num(share))
    colours[np.isnan(values)] = 0.6
    return colours


def _colour_map() -> Colormap:
    from matplotlib import colormaps

    return colormaps["viridis"]


def _value_bar(made: Plot, axes: Axes, label: str, ends: tuple[str, str]) -> None:
    from matplotlib.cm import ScalarMappable

    bar = made.colorbar(ScalarMappable(cmap=_colour_map()), ax=axes, aspect=40, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels([without_formula(end) for end in ends], fontsize=8)
    bar.set_label(without_formula(label), fontsize=8, labelpad=-8)
    bar.outline.set_visible(False)


def _clustered(attributions: np.ndarray) -> np.ndarray:
    """Return rows in the order of the leaves of a tree of clusters (Ward, 1963)."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    return leaves_list(linkage(attributions, "ward")) if len(attributions) > 2 else np.arange(len(attributions))
