"""Every explainer on every architecture: it keeps its law and says something, or its refusal is shown to be true."""

from __future__ import annotations

import pytest

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.testing.architectures import ARCHITECTURES, LARGE
from tests.laws import LAWS, laws_of
from tests.laws.matrix import cell
from tests.laws.refusals import REFUSALS, allowed, reason_against

EXPLAINERS = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
NAMES = {explainer.__name__ for explainer in EXPLAINERS}


def _cells():
    for explainer in EXPLAINERS:
        for name in ARCHITECTURES:
            marks = [pytest.mark.slow] if name in LARGE else []
            yield pytest.param(explainer, name, marks=marks, id=f"{explainer.__name__}-{name}")


@pytest.mark.parametrize(("explainer", "name"), list(_cells()))
def test_cell(explainer, name):
    found = cell(explainer, ARCHITECTURES[name]())
    assert bool(found.refused) == bool(allowed(explainer, name)), "REFUSALS allows what is not refused"
    assert found.shown if found.refused else found.findings


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.__name__)
def test_every_explainer_has_a_law_and_a_model_to_show_it_on(explainer):
    assert laws_of(explainer)
    assert any(reason_against(explainer, make()) is None for make in ARCHITECTURES.values())


def test_no_law_and_no_refusal_outlives_its_explainer():
    assert set(LAWS) <= NAMES
    assert set(REFUSALS) <= NAMES
