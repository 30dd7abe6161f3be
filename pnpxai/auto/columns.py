"""Columns of data frames as numbers, and numbers as the columns that they came from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pnpxai.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionDtype

ColumnType: TypeAlias = "np.dtype | ExtensionDtype"
"""Type of a column: numpy's, or one of pandas."""

__all__ = ["TableSchema", "column_numbers", "frame_numbers", "is_numeric_column"]


@dataclass(frozen=True)
class TableSchema:
    """What the columns of a frame hold, so that numbers can be turned back into rows of that frame.

    Attributes:
        names: the columns' names.
        dtypes: their pandas types.
        levels: of a column of categories its values, whose places stand for them; empty for numbers.
    """

    names: tuple[Hashable, ...]
    dtypes: tuple[ColumnType, ...]
    levels: tuple[tuple[Hashable, ...], ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> TableSchema:
        """Return what the columns of a frame hold.

        Raises:
            ArgumentError: a column holds neither numbers nor categories, or two columns have one name.
        """
        _check_names(list(frame.columns))
        levels = tuple(_levels(column) for _, column in frame.items())
        return cls(tuple(frame.columns), tuple(frame.dtypes), levels)

    @property
    def categories(self) -> tuple[int, ...]:
        """The places of the columns of categories."""
        return tuple(place for place, levels in enumerate(self.levels) if levels)

    def numbers(self, frame: pd.DataFrame, dtype: torch.dtype) -> Tensor:
        """Return (rows, columns) numbers of a frame with these columns; a missing value is NaN."""
        import pandas as pd

        _check_names([name for name in frame.columns if name in self.names])
        columns = dict(frame.items())
        if missing := [name for name in self.names if name not in columns]:
            raise ArgumentError(f"data: the frame has no column {missing[0]!r}")
        parts = []
        for name, levels in zip(self.names, self.levels, strict=True):
            column = columns[name]
            if levels:
                codes = pd.Categorical(column, categories=list(levels)).codes.astype(np.float64)
                parts.append(np.where(codes < 0, np.nan, codes))
            else:
                parts.append(column_numbers(column))
        return torch.as_tensor(np.stack(parts, 1)).to(dtype)

    def frame(self, values: np.ndarray) -> pd.DataFrame:
        """Return rows of numbers as a frame with the columns' own types, as far as they hold the numbers."""
        import pandas as pd

        columns = {}
        for place, (name, dtype, levels) in enumerate(zip(self.names, self.dtypes, self.levels, strict=True)):
            numbers = values[:, place]
            if levels:
                codes = np.where(np.isnan(numbers), -1, np.clip(np.round(numbers), 0, len(levels) - 1)).astype(int)
                columns[name] = pd.Series(pd.Categorical.from_codes(codes, list(levels))).astype(dtype)
            else:
                columns[name] = _typed(pd.Series(numbers), dtype)
        return pd.DataFrame(columns)


def frame_numbers(frame: pd.DataFrame) -> Tensor:
    """Return (rows, columns) numbers of a frame of numbers and truth values; a missing value is NaN.

    Raises:
        ArgumentError: columns hold something else, or two have one name; the message names them.
    """
    _check_names(list(frame.columns))
    wrong = [f"{name} ({_example(column)})" for name, column in frame.items() if not is_numeric_column(column)]
    if wrong:
        raise ArgumentError(
            f"data: expected columns of numbers, got others: {', '.join(wrong)}; encode them as the model was trained "
            "on them"
        )
    if not len(frame.columns):
        raise ArgumentError("data: expected columns of numbers, got a frame without columns")
    return torch.tensor(np.stack([column_numbers(column) for _, column in frame.items()], 1))


def _check_names(names: Sequence[Hashable]) -> None:
    """Refuse two columns of one name: their values could not be told apart.

    Raises:
        ArgumentError: names the columns.
    """
    if repeated := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ArgumentError(f"data: expected columns of different names, got several named {', '.join(repeated)}")


def column_numbers(column: pd.Series) -> np.ndarray:
    """Return a column of numbers or truth values, of any pandas type, as doubles; a missing value is NaN."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
        return column.to_numpy().astype(np.float64)
    if column.dtype == object:
        return pd.Series(pd.to_numeric(column)).to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def is_numeric_column(column: pd.Series) -> bool:
    """Return whether a column holds numbers or truth values, also as objects or as categories of numbers."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories.dtype.kind in "biuf"
    if column.dtype == object:
        return all(isinstance(v, (int, float, np.number, np.bool_)) or v is None or v is pd.NA for v in column)
    types = pd.api.types
    numeric = types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype)
    return numeric and not types.is_complex_dtype(column.dtype)


def _levels(column: pd.Series) -> tuple[Hashable, ...]:
    """Return the values of a column of categories, nothing for a column of numbers."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return tuple(column.cat.categories)
    if is_numeric_column(column):
        return ()
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or isinstance(column.dtype, pd.PeriodDtype):
        raise ArgumentError(
            f"data: column {column.name!r} holds dates; turn them into numbers, such as days since the first one"
        )
    return tuple(sorted(column.dropna().unique(), key=lambda value: (str(type(value)), value)))


def _typed(numbers: pd.Series, dtype: ColumnType) -> pd.Series:
    """Return numbers in a type, unless it cannot hold them: a mean of whole numbers stays what it is."""
    try:
        typed = numbers.astype(dtype)
        same = np.allclose(column_numbers(typed), numbers, equal_nan=True)
    except (TypeError, ValueError):
        return numbers
    return typed if same else numbers


def _example(column: pd.Series) -> str:
    values = column.dropna().unique()[:3].tolist()
    return ", ".join(map(repr, values)) or str(column.dtype)
