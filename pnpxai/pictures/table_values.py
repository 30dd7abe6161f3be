"""Rows of a table as people know them: one column for each category, values in original units, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pnpxai.pictures.view import View

__all__ = ["TableColumns", "number_text", "table_values"]

_NONE = "none of these"
"""The level of a category of which no column is 1."""


@dataclass(frozen=True)
class TableColumns:
    """Rows of a table and their attributions, by the columns that people know.

    Attributes:
        names: the columns' names, empty if they have none.
        attributions: (rows, columns) numbers.
        values: (rows, columns) the values in original units; the code of a category.
        levels: for each column the words that the codes 0, 1, ... stand for; empty for a column of numbers.
        dates: for each column whether its values are dates, which are days since 1970 began.
    """

    names: tuple[str, ...]
    attributions: np.ndarray
    values: np.ndarray
    levels: tuple[tuple[str, ...], ...]
    dates: tuple[bool, ...]

    def texts(self, row: int) -> list[str]:
        """Return the values of a row in words."""
        return [self.text(k, float(value)) for k, value in enumerate(self.values[row])]

    def text(self, column: int, value: float) -> str:
        """Return a value of a column in words: the level that a code stands for, a date, or a number."""
        levels = self.levels[column]
        if value.is_integer() and 0 <= value < len(levels):
            return levels[int(value)]
        if self.dates[column] and value == value:
            return str(np.datetime64(round(value), "D"))
        return number_text(value)


def number_text(value: float) -> str:
    """Return a number with three digits, of large numbers all digits before the point, or that it is missing."""
    if value != value:
        return "missing"
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def table_values(attributions: np.ndarray, values: np.ndarray, view: View) -> TableColumns:
    """Return rows with the columns of a category as one, whose attribution is their sum, in original units.

    Args:
        attributions: (rows, columns) numbers.
        values: (rows, columns) the values that the model read.
        view: what is known of the columns.
    """
    count = values.shape[1]
    if len(view.scales) == count:
        values = values * np.array([factor for factor, _ in view.scales])
        values = values + np.array([offset for _, offset in view.scales])
    words, names = dict(view.levels), view.names if len(view.names) == count else ()
    member_of = {place: group for group in view.groups for place in group[1]}
    columns = []
    for k in range(count):
        name, places = member_of.get(k, ("", (k,)))
        if k != min(places):
            continue
        if len(places) == 1:
            levels = tuple(words.get(k, ()))
            columns.append((names[k] if names else "", attributions[:, k], values[:, k], levels, k in view.dates))
            continue
        own = values[:, list(places)]
        levels = tuple(names[p].removeprefix(name).lstrip("_=.:- ") if names else str(p) for p in places)
        codes = np.where((own <= own.min(1, keepdims=True)).all(1), len(places), own.argmax(1)).astype(float)
        codes = np.where(np.isnan(own).any(1), np.nan, codes)
        levels = (*levels, _NONE) if (codes == len(places)).any() else levels
        columns.append((name, attributions[:, list(places)].sum(1), codes, levels, False))
    return TableColumns(
        tuple(name for name, *_ in columns) if names or view.groups else (),
        _side_by_side([a for _, a, *_ in columns], len(values)),
        _side_by_side([v for _, _, v, *_ in columns], len(values)),
        tuple(levels for *_, levels, _ in columns),
        tuple(date for *_, date in columns),
    )


def _side_by_side(columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
    return np.stack(columns, 1) if columns else np.zeros((rows, 0))
