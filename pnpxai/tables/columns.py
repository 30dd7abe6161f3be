"""Columns of data frames as numbers: numbers and truth values of any type, dates, categories."""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pnpxai.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_names", "column_numbers", "date_numbers", "frame_numbers", "is_date_column", "is_numeric_column"]


def frame_numbers(frame: pd.DataFrame) -> Tensor:
    """Return (rows, columns) numbers of a frame of numbers and truth values; a missing value is NaN.

    Raises:
        ArgumentError: columns hold something else, or two have one name; the message names them.
    """
    check_names(list(frame.columns))
    wrong = [f"{name} ({_example(column)})" for name, column in frame.items() if not is_numeric_column(column)]
    if wrong:
        raise ArgumentError(
            f"data: expected columns of numbers, got others: {', '.join(wrong)}; encode them as the model was trained "
            "on them, or where it reads the places of levels in their order, or days since 1970, give "
            "table=pnpxai.Table.of(frame)"
        )
    if not len(frame.columns):
        raise ArgumentError("data: expected columns of numbers, got a frame without columns")
    return torch.tensor(np.stack([column_numbers(column) for _, column in frame.items()], 1))


def check_names(names: Sequence[Hashable]) -> None:
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
        column = column.astype(column.cat.categories.dtype) if not column.isna().any() else column.astype(object)
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
        return column.to_numpy().astype(np.float64)
    if column.dtype == object:
        return pd.Series(pd.to_numeric(column)).to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def date_numbers(column: pd.Series) -> np.ndarray:
    """Return a column of dates as days since 1970 began, in UTC; a missing date is NaN."""
    import pandas as pd

    plain = column if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M" else column.astype(object)
    since = pd.to_datetime(plain, utc=True).dt.tz_localize(None) - pd.Timestamp(0)
    return (since / pd.Timedelta(days=1)).to_numpy(dtype=np.float64, na_value=np.nan)


def is_date_column(column: pd.Series) -> bool:
    """Return whether a column holds points in time, of pandas' or pyarrow's types or as Python's objects."""
    import pandas as pd

    if column.dtype == object:
        known = column.dropna()
        return len(known) > 0 and all(isinstance(value, datetime.date) for value in known)
    return pd.api.types.is_datetime64_any_dtype(column.dtype)


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


def _example(column: pd.Series) -> str:
    values = column.dropna().unique()[:3].tolist()
    return ", ".join(map(repr, values)) or str(column.dtype)
