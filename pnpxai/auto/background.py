"""Rows that stand for absence: those that a user gives, or some of them where there are many."""

from __future__ import annotations

from pnpxai.engine.running.seeds import draws
from pnpxai.strategies.baselines import Baseline, EachBaseline
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.tensors import Tensors

__all__ = ["background_of"]

_ROWS = 256
"""Rows of a background at most, drawn at random of more: each of them costs a row for each perturbation."""


def background_of(rows: Tensors, seed: int) -> tuple[Baseline, str]:
    """Return the background of the explained inputs, and what it is in words.

    Args:
        rows: (rows, ...) of each explained input.
        seed: fixes which rows are drawn of many.
    """
    count = len(rows[0])
    few = draws(seed, "background").permutation(count)[:_ROWS].sort().values
    each = tuple(Background(part[few]) for part in rows)
    drawn = f"{_ROWS} of its {count} rows, drawn at random" if count > _ROWS else f"all its {count} rows"
    return each[0] if len(each) == 1 else EachBaseline(each), f"background: {drawn}"
