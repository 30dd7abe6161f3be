"""Explainers keep their sums on networks with trained weights, whose numbers are large, deep and skewed."""

from __future__ import annotations

import functools

import pytest

from tests.real import cells
from tests.real.cells import CASES, DEAR, EXPLAINERS

pytestmark = pytest.mark.real


@functools.lru_cache(maxsize=1)
def case(network: str) -> cells.Case:
    return CASES[network]()


def marked(network: str, name: str):
    return pytest.param(network, name, marks=[pytest.mark.slow] if (network, name) in DEAR else [])


@pytest.mark.parametrize(("network", "name"), [marked(network, name) for network in CASES for name in EXPLAINERS])
def test_a_map_is_finite_and_keeps_its_sum(network, name):
    explanation = cells.explained(case(network), name)
    if isinstance(explanation, str):
        assert "no map" in explanation
        return
    gap = cells.gap(explanation)
    assert all(a.isfinite().all() and a.any() for a in explanation.attributions)
    says_so = name == "IntegratedGradients" and str(explanation).startswith("gap:")  # its steps have an upper limit
    assert gap is None or gap < 0.01 or says_so


def test_a_language_model_looks_at_the_country():
    france = cells.explained(case("SmolLM2-135M"), "AttnLRP").attributions[0].sum(-1)[0]
    assert france[3] > france[1:3].max()  # The capital of France is
