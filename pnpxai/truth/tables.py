"""The benchmark's answers as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pnpxai.statistics.reliability import CLOSE
from pnpxai.truth.benchmark import Cell
from pnpxai.truth.regrets import RULES, Regret, calibration, difference, habits_of, regret

__all__ = ["regrets", "truths", "worth"]

_DEFAULT = next(iter(RULES))


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
    """Return the regret of each rule and habit, smallest first, its worst family, and how much less the default lost.

    Intervals are of 95 %, drawn over families.
    """
    ways = dict(RULES) | {habit: habit for habit in habits_of(cells)}
    rows: list[tuple[float, str]] = []
    for name, way in ways.items():
        lost, less = regret(cells, way), difference(cells, RULES[_DEFAULT], way)
        against = "" if name == _DEFAULT else _text(less, "+.3f")
        rows.append((lost.mean, f"{name} | {_text(lost)} | {lost.worst} {lost.worst_mean:.2f} | {against}"))
    head = "way of choosing | regret [95 %] | worst family | the default less this [95 %]"
    return "\n".join([head, *(line for _, line in sorted(rows))])


def worth(cells: Sequence[Cell]) -> str:
    """Return in a sentence each what the default's confidence, and naming one alone, was worth."""
    of = calibration(cells, RULES[_DEFAULT], CLOSE)
    return (
        f"{of.count} verdicts: the first was within {CLOSE} of the best in {of.right:.2f} of them, {of.stated:.2f} "
        f"stated; calibration error {of.error:.3f}, Brier score {of.brier:.3f} (of the rate alone "
        f"{of.brier_of_rate:.3f})\n{of.alone:.2f} named one alone, with a regret of {of.regret_alone:.3f}; the others "
        f"{of.regret_tied:.3f}"
    )


def _text(of: Regret, form: str = ".3f") -> str:
    return f"{of.mean:{form}} [{of.low:{form}}, {of.high:{form}}]"
