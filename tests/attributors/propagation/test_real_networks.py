"""Rules on networks with trained weights, whose numbers toy networks do not show."""

from __future__ import annotations

import pytest
import torch

from pnpxai import explainers
from pnpxai.targets import Contrast
from tests.real_models import efficientnet_lite0

pytestmark = pytest.mark.real

CONSERVING = ("RAP", "AttnLRP", "LRPUniformEpsilon", "LRPEpsilonPlus", "LRPEpsilonGammaBox", "LRPEpsilonAlpha2Beta1")


@pytest.fixture(scope="module")
def espresso():
    return efficientnet_lite0()


def test_the_network_knows_its_class(espresso):
    model, picture, index = espresso
    with torch.no_grad():
        assert model(picture).softmax(1)[0, index] > 0.9


@pytest.mark.parametrize("name", CONSERVING)
@pytest.mark.parametrize("contrast", [False, True])
def test_relevance_sums_to_the_score(espresso, name, contrast):
    model, picture, index = espresso
    target = Contrast(index, 968) if contrast else [index]
    explanation = getattr(explainers, name)(model).explain(picture, target)
    score = float(explanation.scores)
    accounted = float(explanation.attributions[0].sum()) + sum(float(s) for s in explanation.sinks.values())
    assert abs(accounted - score) < 1e-3 * abs(score)
    if name == "RAP":  # biases get nothing
        assert abs(float(explanation.attributions[0].sum()) - score) < 1e-3 * abs(score)


def test_differences_sum_to_the_difference(espresso):
    model, picture, index = espresso
    explanation = explainers.DeepLift(model).explain(picture, [index])
    with torch.no_grad():
        rise = float((model(picture) - model(torch.zeros_like(picture)))[0, index])
    assert abs(float(explanation.attributions[0].sum()) - rise) < 1e-3 * abs(rise)
