"""Generated networks of a fixed seed; ``--cells N --seed S`` for more, or others."""

from __future__ import annotations

import pytest

from tests.fuzz.architectures import architecture
from tests.fuzz.cells import EXPLAINERS, network, run_cell

CELLS, SEED = 200, 0


def pytest_generate_tests(metafunc):
    if "cell" in metafunc.fixturenames:
        count, seed = (metafunc.config.getoption(name) for name in ("--cells", "--seed"))
        first = (SEED if seed is None else seed) * 10**6
        metafunc.parametrize("cell", range(first, first + (count or CELLS)))


@pytest.mark.fuzz
def test_cell(cell):
    run_cell(cell)


def test_a_network_is_fixed_by_its_seed():
    one, same, other = network(1), network(1), network(2)
    assert str(one.model) == str(same.model) != str(other.model)
    assert all((a == b).all() for a, b in zip(one.tensors, same.tensors, strict=True))
    assert one.targets == same.targets


def test_networks_are_of_every_kind_and_most_can_be_calibrated():
    kinds, failed = set(), 0
    for seed in range(60):
        try:
            kinds.add(architecture(seed).name.partition(": ")[2].partition(" and")[0])
        except ValueError:
            failed += 1
    assert kinds == {"pictures", "series", "steps", "words", "rows"}
    assert failed < 20


def test_a_cell_is_judged():
    outcomes = [run_cell(seed) for seed in range(0, 3)]
    assert all(outcome.explainer in {e.__name__ for e in EXPLAINERS} for outcome in outcomes)
