"""The benchmark's answers as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pnpxai.truth.benchmark import Cell, regret
from pnpxai.truth.candidates import HABITS
from pnpxai.truth.choosing import WAYS

__all__ = ["regrets", "truths"]


def truths(cells: Sequence[Cell]) -> str:
    """Return the mean truth of each candidate by family, those that are best on average first."""
    families = list(dict.fromkeys(c.family for c in cells))
    names = list(dict.fromkeys(name for c in cells for name in c.truth))
    table = {
        name: [np.mean([c.truth.get(name, np.nan) for c in cells if c.family == family]) for family in families]
        for name in names
    }
    ordered = sorted(names, key=lambda name: -np.nanmean(table[name]))
    lines = [" | ".join(["explainer", *families, "mean"])]
    lines += [" | ".join([n, *(f"{v:.2f}" for v in table[n]), f"{np.nanmean(table[n]):.2f}"]) for n in ordered]
    return "\n".join(lines)


def regrets(cells: Sequence[Cell]) -> str:
    """Return the mean regret of each way of choosing with its interval, and its worst family, smallest first."""
    rows = []
    for name, way in (WAYS | {h: None for h in HABITS if all(h in c.truth for c in cells)}).items():
        lost = regret(cells, way or name)
        rows.append((lost.mean, name, lost))
    lines = ["way of choosing | regret [95 %] | worst family"]
    for _, name, lost in sorted(rows, key=lambda row: row[0]):
        lines.append(f"{name} | {lost.mean:.3f} [{lost.low:.3f}, {lost.high:.3f}] | {lost.worst} {lost.worst_mean:.2f}")
    return "\n".join(lines)
