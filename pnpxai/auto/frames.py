"""Frames as the front door takes them: of which library, where in the data, and what their columns hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pnpxai.auto.conversion import Data, is_column, is_frame
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.tables.columns import is_numeric_column
from pnpxai.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_pandas", "columns_of", "frame_of", "in_large_batches", "in_order"]

_ROWS = 1024
"""Rows of a large batch."""


def as_pandas(data: Data) -> Data:
    """Return data with frames and columns of other libraries, such as polars and pyarrow, as those of pandas."""
    if isinstance(data, tuple):
        members = [as_pandas(one) for one in data]
        return tuple(members) if any(a is not b for a, b in zip(members, data, strict=True)) else data
    home = type(data).__module__.partition(".")[0]
    if home == "pandas" or not callable(getattr(data, "to_pandas", None)):
        return data
    return data.to_pandas()


def frame_of(data: Data) -> pd.DataFrame | None:
    """Return the frame whose rows are explained: the data, or that of a pair (frame, labels); None if there is none."""
    if isinstance(data, tuple) and len(data) == 2 and is_frame(data[0]):
        labels = is_column(data[1]) or (not is_frame(data[1]) and np.ndim(data[1]) < 2)
        return data[0] if labels else None
    return data if is_frame(data) else None


def columns_of(data: Data, table: Table | None) -> Table | None:
    """Return what the columns of the explained frame hold, as given or as read; None without a frame of numbers.

    Raises:
        ArgumentError: a table is given, and the data is no frame with its columns.
    """
    frame = frame_of(data)
    if table is not None:
        if frame is None:
            raise ArgumentError("table: expected data that is a frame, or a pair (frame, labels)")
        if missing := [name for name in table.names if name not in frame.columns]:
            raise ArgumentError(f"table: the frame has no column {missing[0]!r}")
        return table
    if frame is None or not len(frame.columns) or not frame.columns.is_unique:
        return None
    return Table.of(frame) if all(is_numeric_column(column) for _, column in frame.items()) else None


def in_large_batches(examples: Examples) -> Examples:
    """Return rows of one frame in larger batches, which take less time; their labels are left out.

    Other examples stay as they are: batches that a user made may belong together.
    """
    inputs, targets = [batch.inputs for batch in examples], [batch.targets for batch in examples]
    if not all(isinstance(part, Tensor) for part in inputs):
        return examples
    rows = torch.cat([part for part in inputs if isinstance(part, Tensor)])
    picks = [part for part in targets if isinstance(part, Tensor)]
    if picks and (len(picks) < len(targets) or sum(map(len, picks)) < len(rows)):
        return examples
    if not picks and any(target is not None for target in targets):
        return examples
    whole = torch.cat(picks).split(_ROWS) if picks else [None] * -(-len(rows) // _ROWS)
    return Examples.of([(x, target, None) for x, target in zip(rows.split(_ROWS), whole, strict=True)])


def in_order(rows: Data, table: Table | None) -> Data:
    """Return a frame of further rows with the columns of the table in their order; other data as it is."""
    if table is None or not is_frame(rows) or not set(table.names) <= set(rows.columns):
        return rows
    return rows[list(table.names)]
