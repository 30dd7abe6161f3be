"""What the columns of a data frame hold: read from the frame, printed, kept as JSON, and used to turn numbers back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.tables.column import Column
from pnpxai.tables.columns import check_names
from pnpxai.tables.one_hot import given_groups, one_hot_groups

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scaler", "Table"]


class Scaler(Protocol):
    """Has scaled the columns, each by a factor and an offset of its own, and knows the way back."""

    def inverse_transform(self, values: Any, /) -> Any:
        """Return (rows, columns) numbers in their original units."""


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
