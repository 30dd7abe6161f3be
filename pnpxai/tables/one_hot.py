"""Columns of 0 and 1 that are one category, as one-hot encoders make them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.tables.columns import column_numbers, is_numeric_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnGroups", "given_groups", "one_hot_groups"]

ColumnGroups: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""The name of each category, and the places of its columns."""
_MARK = re.compile(r"__|[_=.:\- ]")
_ROWS = 10
"""In fewer rows it may be chance that exactly one column of several is 1."""


def one_hot_groups(frame: pd.DataFrame) -> ColumnGroups:
    """Return columns of 0 and 1 whose names begin alike and of which exactly one is 1 in every row.

    The beginning ends with a mark, as in ``city_a`` and ``city=b``; of several beginnings the longest counts.
    """
    if len(frame) < _ROWS:
        return ()
    numbers = {}
    for k, (name, column) in enumerate(frame.items()):
        if isinstance(name, str) and _MARK.search(name) and is_numeric_column(column):
            values = column_numbers(column)
            if np.isin(values, (0, 1)).all() and 0 < values.sum() < len(values):
                numbers[k] = values
    names = {k: str(frame.columns[k]) for k in numbers}
    beginnings = {name[: mark.end()] for name in names.values() for mark in _MARK.finditer(name) if mark.start()}
    groups: list[tuple[str, tuple[int, ...]]] = []
    for beginning in sorted(beginnings, key=len, reverse=True):
        members = tuple(k for k, name in names.items() if name.startswith(beginning) and k in numbers)
        if len(members) > 1 and (np.sum([numbers[k] for k in members], 0) == 1).all():
            groups.append((beginning.rstrip("_=.:- "), members))
            numbers = {k: values for k, values in numbers.items() if k not in members}
    return tuple(sorted(groups, key=lambda group: group[1]))


def given_groups(frame: pd.DataFrame, groups: Mapping[str, Sequence[Hashable]]) -> ColumnGroups:
    """Return groups of columns that a user names.

    Raises:
        ArgumentError: a group names no column, or two groups share one.
    """
    places = {name: k for k, name in enumerate(frame.columns)}
    members = [name for group in groups.values() for name in group]
    for name in members:
        if name not in places:
            raise ArgumentError(
                f"groups: the frame has no column {name!r}{did_you_mean(str(name), list(map(str, places)))}"
            )
        if members.count(name) > 1:
            raise ArgumentError(f"groups: expected every column once, got {name!r} twice")
    return tuple((name, tuple(places[member] for member in group)) for name, group in groups.items())
