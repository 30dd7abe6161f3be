"""Runs cells, and counts what came."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pnpxai.attributors
from tests.reliability.calls import METHODS, Method
from tests.reliability.judging import OUTCOMES, Outcome, Situation, judge
from tests.reliability.situations import ALL

__all__ = ["Cell", "cells", "outcomes", "sampled", "table"]

Cell = tuple[Situation, Method]


def cells(library: Any = pnpxai.attributors) -> list[Cell]:
    """Return every situation with every method that it can come about with; of another library, with what it has."""
    ours = library is pnpxai.attributors
    return [
        (situation, method)
        for situation in ALL.values()
        for method in METHODS
        if situation.suits(method) and (ours or (method.explainer is None and hasattr(library, method.name)))
    ]


def sampled(count: int, seed: int, given: list[Cell]) -> list[Cell]:
    """Return so many cells, of every situation nearly as many."""
    draw, by_situation = random.Random(seed), dict[str, list[Cell]]()  # noqa: S311
    for cell in given:
        by_situation.setdefault(cell[0].name, []).append(cell)
    for of_one in by_situation.values():
        draw.shuffle(of_one)
    rounds = [cell for k in range(len(METHODS)) for of_one in by_situation.values() for cell in of_one[k : k + 1]]
    return rounds[:count]


def outcomes(given: Iterable[Cell], library: Any = pnpxai.attributors) -> Iterator[tuple[Cell, Outcome]]:
    """Run cells one after the other; of every tenth it is seen what stays in memory."""
    for k, (situation, method) in enumerate(given):
        if (outcome := judge(method, situation, library, growth=k % 10 == 0)) is not None:
            yield (situation, method), outcome


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return a table in Markdown: a row for each room, a column for each outcome."""
    rooms = list(dict.fromkeys(room for room, _ in counts))
    lines = ["| what is odd | " + " | ".join(OUTCOMES) + " | runs |", "|---" * (len(OUTCOMES) + 2) + "|"]
    for name, chosen in [*((room, [room]) for room in rooms), ("**all**", rooms)]:
        row = [sum(counts[room, kind] for room in chosen) for kind in OUTCOMES]
        lines.append(f"| {name} | " + " | ".join(map(str, [*row, sum(row)])) + " |")
    return "\n".join(lines)
