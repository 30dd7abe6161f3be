"""A sample of the table: nothing is silently wrong, nothing is left behind, and little is obscure."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.reliability.judging import OUTCOMES
from tests.reliability.situations import ALL
from tests.reliability.table import Cell, cells, outcomes, sampled, table

pytestmark = pytest.mark.filterwarnings("ignore")


def _check(given: list[Cell]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    bad, obscure = [], []
    for (situation, method), outcome in outcomes(given):
        counts[situation.room, outcome.kind] += 1
        line = f"{situation.name}: {method}: {outcome.kind}: {outcome.words}"
        (obscure if outcome.kind == "obscure" else bad if outcome.kind in OUTCOMES[3:] else []).append(line)
    assert not bad, "\n".join([*bad, table(counts)])
    assert len(obscure) <= max(1, 0.01 * counts.total()), "\n".join(obscure)


def test_a_few_of_all_rooms() -> None:
    _check(sampled(150, 3, cells()))


@pytest.mark.slow
def test_more_of_them() -> None:
    _check(sampled(900, 4, cells()))


def test_there_are_enough_and_the_sample_is_spread() -> None:
    given = cells()
    assert len(ALL) >= 200
    assert {situation.name for situation, _ in given} == set(ALL)
    assert len(given) >= 10_000
    assert len({situation.name for situation, _ in sampled(150, 0, given)}) == 150
