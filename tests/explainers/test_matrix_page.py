"""The page of explainers against architectures shows figures that hold, for all there are."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.planted import TASKS
from tests.laws import laws_of
from tests.laws.refusals import allowed

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("matrix_page", DOCS / "hooks/matrix.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(page):
    return json.loads(page.MEASURED.read_text())


def test_every_figure_holds_and_every_refusal_is_shown(data):
    for explainer, row in data["cells"].items():
        for name, found in row.items():
            assert found.get("shown") if "refused" in found else found, (explainer, name)
            for title, figure in found.items() if "refused" not in found else ():
                assert figure <= data["laws"][explainer][title][0], (explainer, name, title)


ROUNDS_OR_STOPS = {
    *(("SmolLM2-135M", name) for name in ("DeepLift", "DeepLiftShap", "IntegratedGradients")),
    ("MaxViT pico", "IntegratedGradients"),
}
"""Norms in float32, and a path that 320 steps do not cover; the page tells of both."""


def test_figures_of_trained_networks_hold(data):
    for network, row in data["real"].items():
        for explainer, found in row.items():
            for title, figure in found.items() if "refused" not in found else ():
                holds = figure <= data["laws"][explainer][title][0]
                assert holds or (network, explainer) in ROUNDS_OR_STOPS, (network, explainer, title)


def test_the_marks_are_filled_in(page, data):
    text = page.on_page_markdown((DOCS / "matrix.md").read_text())
    assert "<!-- matrix" not in text
    assert page.on_page_markdown("no marks") == "no marks"
    for explainer in data["cells"]:
        assert text.count(f"| {explainer} | ") >= 4  # laws, two tables of cells, planted evidence
    for refused in ("GradCam | mlp, tokens", "AttentionRollout | swin", "GuidedBackprop | tokens"):
        assert f"| {refused}" in text


@pytest.mark.slow
def test_it_is_of_all_explainers_and_architectures_as_they_are_now(data):
    explainers = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
    hint = "run python docs/hooks/matrix.py"
    assert set(data["cells"]) == {explainer.__name__ for explainer in explainers}, hint
    assert set(data["planted"]) == set(TASKS), hint
    for explainer in explainers:
        row = data["cells"][explainer.__name__]
        assert set(row) == set(ARCHITECTURES), hint
        for law in laws_of(explainer):
            assert data["laws"][explainer.__name__][law.title] == [law.limit, law.on is None], hint
        for name, found in row.items():
            assert ("refused" in found) == bool(allowed(explainer, name)), (explainer, name, hint)
