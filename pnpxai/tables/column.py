"""One column of a data frame: what it holds, and how its values and numbers become each other."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from pnpxai.declare.declared import Declared
from pnpxai.errors import ArgumentError
from pnpxai.tables.columns import column_numbers, date_numbers, is_date_column, is_numeric_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column"]

Kind: TypeAlias = Literal["number", "boolean", "category", "date"]
_DAY = 86_400_000_000
"""Microseconds of a day."""
_WORDS = 5
"""Levels that are printed of a category."""


class Column(Declared):
    """One column of a frame, and how its values become the numbers that a model reads."""

    name: Any
    """The column's name."""
    kind: Kind
    """Numbers, truth values, categories, or dates, which are days since 1970 began."""
    dtype: str
    """The type that pandas gives the column."""
    levels: tuple[Any, ...] = ()
    """The values of a category. A word's place among them stands for it; a number stands for itself."""
    ordered: bool = False
    """Whether pandas holds the levels in an order."""
    low: float | None = None
    """The smallest number; None if there is none."""
    high: float | None = None
    """The largest number."""
    missing: int = 0
    """Number of rows without a value."""
    unit: str = ""
    """The unit of the values that people see."""
    factor: float = 1.0
    """What people see is factor * number + offset."""
    offset: float = 0.0
    """See ``factor``."""

    @property
    def coded(self) -> bool:
        """Whether the places of levels stand for words."""
        return bool(self.levels) and not all(isinstance(level, (int, float)) for level in self.levels)

    @property
    def title(self) -> str:
        """The name, with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else str(self.name)

    @classmethod
    def of(cls, column: pd.Series, *, category: bool = False, unit: str = "") -> Self:
        """Read a column.

        Args:
            column: the column.
            category: take its numbers for the codes of categories.
            unit: the unit of its values.

        Raises:
            ArgumentError: the column holds something that has no place among numbers, such as lengths of time.
        """
        levels, ordered = _levels(column, category)
        if not levels and not is_date_column(column) and not is_numeric_column(column):
            raise ArgumentError(
                f"data: column {column.name!r} holds {column.dtype}; turn it into numbers, truth values, dates or words"
            )
        kind: Kind = "category" if levels else "number"
        if not levels and is_date_column(column):
            kind = "date"
        elif not levels and _is_boolean(column):
            kind = "boolean"
        made = cls(column.name, kind, _type_name(column), levels, ordered, unit=unit)
        numbers = made.numbers(column)
        known = numbers[np.isfinite(numbers)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
        return made.replace(low=low, high=high, missing=int(np.isnan(numbers).sum()))

    def numbers(self, column: pd.Series) -> np.ndarray:
        """Return the numbers that stand for the values of a column; NaN for a missing one.

        Raises:
            ArgumentError: a value is none of the levels.
        """
        import pandas as pd

        if self.kind == "date":
            return date_numbers(column)
        if not self.levels:
            return column_numbers(column)
        unknown = column[~column.isin(list(self.levels)) & column.notna()]
        if len(unknown):
            raise ArgumentError(
                f"data: column {self.name!r} holds {unknown.iloc[0]!r}, which is none of its levels "
                f"{', '.join(map(repr, self.levels[:9]))}"
            )
        if not self.coded:
            return column_numbers(column)
        codes = pd.Categorical(column, categories=list(self.levels)).codes.astype(np.float64)
        return np.where(codes < 0, np.nan, codes)

    def values(self, numbers: np.ndarray) -> pd.Series:
        """Return the column whose numbers these are, in its own type as far as that type holds them."""
        import pandas as pd

        if self.kind == "date":
            since = np.where(np.isnan(numbers), 0, numbers * _DAY).round().astype("int64").astype("datetime64[us]")
            dates = pd.Series(np.where(np.isnan(numbers), np.datetime64("NaT"), since))
            zoned = getattr(pd.api.types.pandas_dtype(self.dtype), "tz", None)
            return (dates if zoned is None else dates.dt.tz_localize("UTC")).astype(self.dtype)
        if not self.levels:
            return _typed(pd.Series(numbers), self.dtype)
        places = numbers if self.coded else np.abs(numbers[:, None] - np.array(self.levels, dtype=float)).argmin(1)
        codes = np.where(np.isnan(numbers), -1, np.clip(np.round(places), 0, len(self.levels) - 1)).astype(int)
        categories = pd.Series(pd.Categorical.from_codes(codes, list(self.levels), ordered=self.ordered))
        return categories if self.dtype == "category" else categories.astype(self.dtype)

    def __repr__(self) -> str:
        words = ", ".join(map(str, self.levels[:_WORDS])) + (", ..." if len(self.levels) > _WORDS else "")
        ends = [self._shown(end) for end in (self.low, self.high)]
        value_range = f" of {len(self.levels)}: {words}" if self.levels else f" {ends[0]} to {ends[1]}"
        missing = f", {self.missing} missing" if self.missing else ""
        return f"{self.title}: {self.kind}{value_range}{missing}"

    def _shown(self, number: float | None) -> str:
        if number is None:
            return "nothing"
        if self.kind == "date":
            return str(np.datetime64(round(number), "D"))
        return f"{self.factor * number + self.offset:.4g}"


def _levels(column: pd.Series, category: bool) -> tuple[tuple[Hashable, ...], bool]:
    """Return the values of a column of categories, nothing for others; and whether they have an order."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return tuple(column.cat.categories.tolist()), bool(column.cat.ordered)
    if is_date_column(column) or isinstance(column.dtype, pd.PeriodDtype) or getattr(column.dtype, "kind", "") == "m":
        return (), False
    if is_numeric_column(column):
        return (tuple(np.unique(column_numbers(column.dropna())).tolist()) if category else ()), False
    if not isinstance(column.dtype, np.dtype) or column.dtype.kind in "OUS":
        known = column.dropna().unique().tolist()
        return tuple(sorted(known, key=lambda value: (str(type(value)), value))), False
    return (), False


def _is_boolean(column: pd.Series) -> bool:
    import pandas as pd

    if column.dtype == object:
        return all(isinstance(value, (bool, np.bool_)) for value in column.dropna())
    return pd.api.types.is_bool_dtype(column.dtype)


def _type_name(column: pd.Series) -> str:
    """Return the name of a column's type, which pandas reads back; that of dense values of a sparse column."""
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        return str(dtype.subtype)
    try:
        pd.api.types.pandas_dtype(str(dtype))
    except TypeError:  # a dictionary of pyarrow
        return "category"
    return str(dtype)


def _typed(numbers: pd.Series, dtype: str) -> pd.Series:
    """Return numbers in a type, unless it cannot hold them: a mean of whole numbers stays what it is."""
    try:
        typed = numbers.astype(dtype)
        same = np.allclose(column_numbers(typed), numbers, equal_nan=True)
    except (TypeError, ValueError):
        return numbers
    return typed if same else numbers
