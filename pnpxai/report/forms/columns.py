"""Draws a bar for each of the columns of a table that matter most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import ROWS, View, level_or_number
from pnpxai.report.forms.base import Form, per_position

__all__ = ["ColumnsForm"]


class ColumnsForm(Form):
    """Draws a bar for each of the columns with the largest attributions, beside its name and value."""

    kind = "table"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray]) -> None:
        names = view.names if len(view.names) == len(x) else [f"column {k}" for k in range(len(x))]
        worth = np.zeros(len(x))
        for values in map(per_position, maps):
            known = np.abs(np.nan_to_num(values, posinf=0, neginf=0))
            worth += known / (known.max() or 1.0)
        self.rows = np.sort(np.argsort(-worth, kind="stable")[:ROWS])
        self.names = names
        self.style = f"--rows: {len(self.rows)}"
        lines = Markup("").join(
            Markup("<li><span>{}</span> <b>{}</b></li>").format(names[k], level_or_number(int(k), x, view.levels))
            for k in self.rows
        )
        rest = len(x) - len(self.rows)
        more = (
            Markup('<p class="note">{} columns of which maps say less are not shown</p>').format(rest) if rest else ""
        )
        self.drawn = Markup('<ul class="columns">{}</ul>{}').format(lines, more)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return bars to both sides of zero."""
        values = per_position(values)[self.rows]
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
        values = per_position(values)
        place = int(np.abs(values).argmax())
        return float(values[place]), self.names[place]
