"""What the columns of a data frame hold: read from the frame, printed, kept as JSON, and used to turn numbers back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.tables.columns import check_names, column_numbers, date_numbers, is_date_column, is_numeric_column
from pnpxai.tables.one_hot import given_groups, one_hot_groups

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Scaler", "Table"]

Kind: TypeAlias = Literal["number", "boolean", "category", "date"]
_DAY = 86_400_000_000
"""Microseconds of a day."""
_WORDS = 5
"""Levels that are printed of a category."""


class Scaler(Protocol):
    """Has scaled the columns, each by a factor and an offset of its own, and knows the way back."""

    def inverse_transform(self, values: Any, /) -> Any:
        """Return (rows, columns) numbers in their original units."""


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


class Table(Declared):
    """The columns of a data frame. It prints one row for each column, and goes through JSON.

    ``Table.of(frame)`` reads them. Numbers and truth values are what they are. The values of a category are its levels
    in their order, or sorted: a word becomes its place among them. Dates become days since 1970 began.
    """

    columns: tuple[Column, ...]
    """The columns in their order."""
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The columns that are one category, such as ``city_a`` and ``city_b``: its name, and their places."""

    searched_columns: ClassVar[int] = 12
    """Columns that ``in_words`` names."""

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        groups: Mapping[str, Sequence[Hashable]] | None = None,
        categories: Sequence[Hashable] = (),
        units: Mapping[Hashable, str] | None = None,
        scaler: Scaler | None = None,
    ) -> Self:
        """Read the columns of a frame, as the model gets it.

        Args:
            frame: the frame.
            groups: columns that are one category, by its name; by default those of 0 and 1 that share the beginning of
                their names and of which exactly one is 1 in every row. ``{}`` if none belong together.
            categories: columns of numbers that are codes of categories.
            units: units of columns, by name.
            scaler: what has scaled the columns, as scikit-learn's scalers do: values are shown in their original units.

        Raises:
            ArgumentError: a column cannot be read, two have one name, or another argument names no column.
        """
        check_names(list(frame.columns))
        units = dict(units or {})
        for name in (*categories, *units):
            if name not in frame.columns:
                hint = did_you_mean(str(name), list(map(str, frame.columns)))
                raise ArgumentError(f"table: the frame has no column {name!r}{hint}")
        columns = [
            Column.of(column, category=name in categories, unit=units.get(name, "")) for name, column in frame.items()
        ]
        if scaler is not None:
            columns = _in_original_units(columns, scaler)
        found = one_hot_groups(frame) if groups is None else given_groups(frame, groups)
        return cls(tuple(columns), found)

    @property
    def names(self) -> tuple[Hashable, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def categories(self) -> tuple[int, ...]:
        """The places of the columns of categories."""
        return tuple(place for place, column in enumerate(self.columns) if column.levels)

    def numbers(self, frame: pd.DataFrame, dtype: torch.dtype) -> Tensor:
        """Return (rows, columns) numbers of a frame with these columns; a missing value is NaN.

        Raises:
            ArgumentError: a column is missing, or a value is none of the levels.
        """
        check_names([name for name in frame.columns if name in self.names])
        columns = dict(frame.items())
        if missing := [name for name in self.names if name not in columns]:
            raise ArgumentError(f"data: the frame has no column {missing[0]!r}")
        parts = [column.numbers(columns[column.name]) for column in self.columns]
        return torch.as_tensor(np.stack(parts, 1)).to(dtype)

    def frame(self, values: np.ndarray) -> pd.DataFrame:
        """Return rows of numbers as a frame with the columns' own types, as far as they hold the numbers."""
        import pandas as pd

        return pd.DataFrame({column.name: column.values(values[:, k]) for k, column in enumerate(self.columns)})

    def facts(self) -> dict[str, object]:
        """Return what a table's modality states of these columns, by the names of its fields."""
        levels = tuple(
            (k, tuple(map(str, self.columns[k].levels)) if self.columns[k].coded else ()) for k in self.categories
        )
        dates = tuple(k for k, column in enumerate(self.columns) if column.kind == "date")
        scales = tuple((column.factor, column.offset) for column in self.columns)
        facts = {"levels": levels, "groups": self.groups, "dates": dates}
        facts |= {"scales": scales} if set(scales) != {(1.0, 0.0)} else {}
        facts |= {"feature_names": tuple(column.title for column in self.columns)}
        return {name: value for name, value in facts.items() if value}

    def in_words(self) -> tuple[str, ...]:
        """Return what was read, in a line, and in another one which columns are taken for one category."""
        first = "; ".join(map(repr, self.columns[: self.searched_columns]))
        rest = len(self.columns) - self.searched_columns
        lines = [f"columns: {first}{f'; and {rest} more' if rest > 0 else ''}"]
        lines += [f"one category: {self._group_in_words(name, places)}" for name, places in self.groups]
        return tuple(lines)

    def __repr__(self) -> str:
        lines = [repr(column) for column in self.columns]
        lines += [f"{name}: one category of {self._group_in_words('', places)}" for name, places in self.groups]
        return "\n".join([f"Table of {len(self.columns)} columns", *(f"  {line}" for line in lines)])

    def _group_in_words(self, name: str, places: Sequence[int]) -> str:
        members = ", ".join(str(self.columns[k].name) for k in places)
        return f"{name} ({members})" if name else members


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


def _in_original_units(columns: Sequence[Column], scaler: Scaler) -> list[Column]:
    """Return the columns with the factors and offsets that undo a scaler.

    Raises:
        ArgumentError: the scaler is of other columns, or does more than to shift and stretch each.
    """
    fitted = [str(name) for name in getattr(scaler, "feature_names_in_", [])]
    places = [k for k, column in enumerate(columns) if not fitted or str(column.name) in fitted]
    order = sorted(places, key=lambda k: fitted.index(str(columns[k].name))) if fitted else places
    rows = np.concatenate([np.zeros((1, len(order))), np.eye(len(order)), 2 * np.eye(len(order))])
    try:
        back = np.asarray(getattr(scaler, "inverse_transform")(rows), dtype=float)  # noqa: B009
    except (AttributeError, ValueError, TypeError) as problem:
        raise ArgumentError(f"scaler: expected one of the frame's columns with inverse_transform ({problem})") from None
    offset, once, twice = back[0], back[1 : len(order) + 1] - back[0], back[len(order) + 1 :] - back[0]
    if not np.allclose(once, np.diag(np.diag(once))) or not np.allclose(twice, 2 * once):
        raise ArgumentError(
            f"scaler: expected one that shifts and stretches each column, such as StandardScaler, got "
            f"{type(scaler).__name__}; explain the model behind it as a pipeline"
        )
    made = list(columns)
    for place, k in enumerate(order):
        made[k] = columns[k].replace(factor=float(once[place, place]), offset=float(offset[place]))
    return made
