"""Draws a bar for each of the columns of a table that matter most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import ROWS, View, table_values
from pnpxai.report.forms.base import Form, per_position

__all__ = ["ColumnsForm"]


class ColumnsForm(Form):
    """Draws a bar for each of the columns with the largest attributions, beside its name and value."""

    kind = "table"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray]) -> None:
        self._view, self._x = view, x
        shown = [self._by_column(values) for values in maps]
        row = table_values(np.zeros((1, len(x))), x.reshape(1, -1), view)
        texts = row.texts(0)
        worth = np.zeros(len(texts))
        for values in shown:
            known = np.abs(np.nan_to_num(values, posinf=0, neginf=0))
            worth += known / (known.max() or 1.0)
        self.rows = np.sort(np.argsort(-worth, kind="stable")[:ROWS])
        self.names = row.names or [f"column {k}" for k in range(len(texts))]
        self.style = f"--rows: {len(self.rows)}"
        lines = Markup("").join(
            Markup("<li><span>{}</span> <b>{}</b></li>").format(self.names[k], texts[k]) for k in self.rows
        )
        rest = len(texts) - len(self.rows)
        more = (
            Markup('<p class="note">{} columns of which maps say less are not shown</p>').format(rest) if rest else ""
        )
        self.drawn = Markup('<ul class="columns">{}</ul>{}').format(lines, more)

    def _by_column(self, values: np.ndarray) -> np.ndarray:
        """Return a map with one number for each column that people know."""
        return table_values(per_position(values)[None], self._x.reshape(1, -1), self._view).attributions[0]

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return bars to both sides of zero."""
        values = self._by_column(values)[self.rows]
        values = np.where(np.isfinite(values), values, np.nan)
        limit = float(np.max(np.abs(values), initial=0.0, where=~np.isnan(values))) or 1.0
        bars = []
        for k, share in enumerate(np.clip(values / limit, -1, 1)):
            if np.isfinite(share):
                long, side = round(100 * abs(float(share)), 1), "up" if share > 0 else "down"
                bars.append(
                    f'<rect class="{side}" x="{100 if share > 0 else 100 - long:g}" y="{k}.15" width="{long:g}"/>'
                )
        whole = f'viewBox="0 0 200 {len(values)}" preserveAspectRatio="none"><path d="M100 0V{len(values)}"/>'
        return Markup('<svg class="bars" role="img" aria-label="{}" {}{}</svg>').format(
            alt, Markup(whole), Markup("".join(bars))
        )

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its column."""
        values = self._by_column(values)
        place = int(np.abs(values).argmax())
        return float(values[place]), self.names[place]
