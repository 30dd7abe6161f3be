"""What the columns of a table contribute over many rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from pnpxai.declare.counts import whole_number
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.results.table_columns import table_columns
from pnpxai.pictures import TableColumns
from pnpxai.statistics import pearson, ranks
from pnpxai.statistics.intervals import student
from pnpxai.tables import charts
from pnpxai.tables.page import write_page

if TYPE_CHECKING:
    import pandas as pd

    from pnpxai.pictures.plot import Plot

__all__ = ["TableSummary"]

Style: TypeAlias = Literal["bars", "beeswarm", "dependence", "cohorts", "heat map"]
_BLOCK = 20
"""Rows with similar values of a column, among which another column may explain what is left of its attributions."""
_SHOWN = 12
"""Columns in the printed table."""


@dataclass(frozen=True, eq=False, repr=False)
class TableSummary:
    """The attributions of many rows, by column.

    Attributes:
        explainer: the method's name.
        target: which output was explained, in words.
        columns: the columns: names, (rows, columns) attributions and values, levels of categories.
        scores: (rows,) the model's output.
        base_value: the score that the attributions start from, its mean over rows; NaN where the method knows none.
    """

    explainer: str
    target: str
    columns: TableColumns
    scores: np.ndarray
    base_value: float = math.nan

    @classmethod
    def of(cls, explanation: Explanation, target: str = "") -> TableSummary:
        """Summarise an explanation of rows of a table.

        Args:
            explanation: the rows, such as ``auto.explain("KernelShap", count=1000)``.
            target: which output was explained, in words; by default the targets' names, if few.

        Raises:
            ArgumentError: what is explained is no table, or some attributions are no numbers.
        """
        columns = table_columns(explanation)
        missing = int(np.isnan(columns.attributions).any(1).sum())
        if missing:
            raise ArgumentError(
                f"explanation: {missing} of {len(explanation)} rows have attributions that are no numbers; leave them "
                "out, such as explanation[finite_rows]"
            )
        base = math.nan if explanation.base_value is None else float(explanation.base_value.double().mean())
        scores = explanation.scores.detach().double().cpu().numpy()
        scores = np.broadcast_to(scores, (len(explanation),))
        return cls(explanation.explainer, target or _targets_in_words(explanation), columns, scores, base)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return self.columns.names

    @property
    def importance(self) -> pd.DataFrame:
        """The mean absolute attribution of each column with a 95 % interval over rows, and its mean; largest first."""
        import pandas as pd

        of_each = [student(np.abs(of_column)) for of_column in self.columns.attributions.T]
        frame = pd.DataFrame(
            {
                "mean |a|": [one.mean for one in of_each],
                "low": [one.low for one in of_each],
                "high": [one.high for one in of_each],
                "mean a": self.columns.attributions.mean(0),
            },
            index=pd.Index(self.names, name="column"),
        )
        return frame.sort_values("mean |a|", ascending=False, kind="stable")

    @property
    def order(self) -> np.ndarray:
        """The columns' places, the most important first."""
        return np.argsort(-np.abs(self.columns.attributions).mean(0), kind="stable")

    def place(self, column: str | int) -> int:
        """Return the place of a column.

        Raises:
            ArgumentError: there is no such column.
        """
        if isinstance(column, str) and column in self.names:
            return self.names.index(column)
        if isinstance(column, int) and column in range(len(self.names)):
            return column
        hint = did_you_mean(str(column), self.names)
        raise ArgumentError(f"column: no column {column!r}{hint}; there are {', '.join(self.names)}")

    def interactions(self, column: str | int) -> pd.Series:
        """Return how much of a column's attributions each other column explains, beyond what the column itself does.

        Rows are sorted by the column's values and cut into blocks of some twenty. Inside a block the column hardly
        varies; what still varies in its attributions is due to other columns. For each of them this is the share
        r^2 = sum_b (a_b . v_b)^2 / (v_b . v_b) / sum_b (a_b . a_b) of the blocks' centred attributions a_b that lines
        through its centred values v_b explain, from 0 to 1; of a column of categories, that means of levels explain.
        """
        import pandas as pd

        own = self.place(column)
        attributions, values = self.columns.attributions[:, own], self.columns.values
        order = np.argsort(values[:, own], kind="stable")
        blocks = np.array_split(order, max(1, len(order) // _BLOCK))
        total = sum(float(np.square(_centred(attributions[block])).sum()) for block in blocks)
        shares = {}
        for k, name in enumerate(self.names):
            if k != own:
                explained = sum(
                    _explained(attributions[block], values[block, k], bool(self.columns.levels[k])) for block in blocks
                )
                shares[name] = explained / total if total > 0 else 0.0
        return pd.Series(shares, name=f"interaction with {self.names[own]}", dtype=float).sort_values(
            ascending=False, kind="stable"
        )

    def cohorts(self, by: str | int | Sequence[object]) -> pd.DataFrame:
        """Return the mean absolute attributions of each cohort of rows, a row for each.

        Args:
            by: a column, whose levels make the cohorts, or of numbers the halves below and above its median; or one
                label for each row.

        Raises:
            ArgumentError: there is no such column, or not one label for each row.
        """
        import pandas as pd

        labels = pd.Series(self._labels(by), name="cohort")
        frame = pd.DataFrame(np.abs(self.columns.attributions), columns=pd.Index(self.names))
        means = pd.DataFrame(frame.groupby(labels, sort=False).mean())
        means["rows"] = labels.value_counts()
        return means

    def agreement(self, other: TableSummary) -> pd.Series:
        """Return, for each column, the rank correlation over rows of its attributions with those of another explainer.

        Raises:
            ArgumentError: the other summary is of other columns, or of another number of rows.
        """
        import pandas as pd

        if other.names != self.names or len(other) != len(self):
            raise ArgumentError(
                f"other: expected a summary of the same {len(self)} rows and {len(self.names)} columns, got "
                f"{len(other)} rows and {len(other.names)} columns"
            )
        own, others = (
            torch.from_numpy(ranks(one.columns.attributions.T, higher_is_better=True)) for one in (self, other)
        )
        correlations, defined = pearson(own, others)
        numbers = np.where(defined, correlations.numpy(), np.nan)
        return pd.Series(numbers, index=list(self.names), name=f"{self.explainer} and {other.explainer}")

    def plot(
        self,
        style: Style = "beeswarm",
        *,
        column: str | int | None = None,
        by: str | int | Sequence[object] | None = None,
        limit: int = _SHOWN,
    ) -> Plot:
        """Return a matplotlib figure; a notebook shows it as a picture.

        Args:
            style: "bars": mean absolute attributions with intervals; "beeswarm": a dot for each row, coloured by the
                column's value; "dependence": the attributions of a column over its values, coloured by the column with
                which it interacts most; "cohorts": bars for each cohort; "heat map": rows in the order of clusters.
            column: of the dependence; by default the most important one.
            by: what makes cohorts, see ``cohorts``; by default the most important column.
            limit: at most so many columns.

        Raises:
            ArgumentError: there is no such style or column.
        """
        limit = whole_number("limit", limit)
        places = self.order[:limit]
        heading = f"{self.explainer}, {len(self)} rows{f', {self.target}' if self.target else ''}"
        if style == "bars":
            return charts.bars(self.importance.iloc[:limit], heading)
        if style == "beeswarm":
            return charts.beeswarm(self.columns, places, heading)
        if style == "heat map":
            return charts.heat_map(self.columns, places, self.scores, heading)
        first = int(self.order[0])
        if style == "cohorts":
            return charts.cohort_bars(
                self.cohorts(first if by is None else by), [self.names[k] for k in places], heading
            )
        if style == "dependence":
            place = first if column is None else self.place(column)
            shares = self.interactions(place)
            partner = None if shares.empty else self.place(str(shares.index[0]))
            return charts.dependence(self.columns, place, partner, heading)
        raise ArgumentError(f"style: expected 'bars', 'beeswarm', 'dependence', 'cohorts' or 'heat map', got {style!r}")

    def __repr__(self) -> str:
        importance = self.importance
        shown = importance.iloc[:_SHOWN].to_string(float_format=lambda number: f"{number:.3g}")
        lines = [f"{self.explainer} over {len(self)} rows{f', {self.target}' if self.target else ''}", shown]
        if len(importance) > _SHOWN:
            lines.append(f"... and {len(importance) - _SHOWN} other columns")
        if not math.isnan(self.base_value):
            gap = np.abs(self.scores - self.base_value - self.columns.attributions.sum(1)).max()
            lines.append(
                f"base value {self.base_value:.4g}, mean score {self.scores.mean():.4g}; attributions and base value "
                f"miss a row's score by at most {gap:.2g}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table, the bars and the dots."""
        pictures = [self.plot(style).as_html(f"{style} of {self.explainer}") for style in ("bars", "beeswarm")]
        return "".join([f"<pre>{escape(repr(self))}</pre>", *pictures])

    def write(self, path: str | Path) -> Path:
        """Write the summary with its pictures as one HTML file, which needs no network; return its path.

        Folders that are missing are made. A path that is a folder is refused (ArgumentError).
        """
        return write_page(self, Path(path))

    def _labels(self, by: str | int | Sequence[object]) -> np.ndarray:
        if not isinstance(by, (str, int)):
            if len(by) != len(self):
                raise ArgumentError(f"by: expected one label for each of {len(self)} rows, got {len(by)}")
            return np.array([str(label) for label in by])
        place = self.place(by)
        name, values, levels = self.names[place], self.columns.values[:, place], self.columns.levels[place]
        if levels:
            words = [levels[int(v)] if v.is_integer() and 0 <= v < len(levels) else "missing" for v in values.tolist()]
            return np.array([f"{name} = {word}" for word in words])
        distinct = np.unique(values[~np.isnan(values)])
        if len(distinct) <= 4:
            return np.array([f"{name} = {value:g}" for value in values])
        middle = float(np.nanmedian(values))
        return np.array(
            [f"{name} missing" if v != v else f"{name} {'<=' if v <= middle else '>'} {middle:.3g}" for v in values]
        )


def _targets_in_words(explanation: Explanation) -> str:
    """Return the name of the explained output, or that each row has its own."""
    targets = explanation.targets
    if targets is None:
        return ""
    if not isinstance(targets, torch.Tensor) or targets.ndim != 1:
        return f"output {targets}"
    distinct = targets.unique().tolist()
    if len(distinct) > 1:
        return "each row's own output"
    classes = explanation.views[0].classes if explanation.views else ()
    first = int(distinct[0])
    return classes[first] if 0 <= first < len(classes) else f"output {first}"


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()


def _explained(attributions: np.ndarray, values: np.ndarray, categorical: bool) -> float:
    """Return how much of the sum of squares of centred attributions a line, or the means of levels, explain."""
    a = _centred(attributions)
    if categorical:
        return float(sum(a[values == level].sum() ** 2 / (values == level).sum() for level in np.unique(values)))
    v = _centred(np.where(np.isnan(values), np.nanmean(values) if not np.isnan(values).all() else 0.0, values))
    size = float(v @ v)
    return float(a @ v) ** 2 / size if size > 0 else 0.0
