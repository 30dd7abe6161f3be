"""Laws of answers catch wrong answers."""

from __future__ import annotations

import pytest
import torch

from pnpxai.attributors import InputXGradient, Saliency
from pnpxai.testing.answers import check_ignored_features, check_linear, check_sums_to, linear_case
from pnpxai.testing.subject import Broken, Subject
from pnpxai.testing.zoo import CASES


def _of(call):
    return Subject("toy", lambda model: model, lambda model, x, t, seed: call(model, x, t))


GRADIENT = Subject.of_attributor(Saliency, abs=False)
PRODUCT = Subject.of_attributor(InputXGradient)


def test_the_linear_model_ignores_two_features_and_is_what_its_weights_say():
    case = linear_case()
    expected = case.inputs @ case.model.weight.T + case.model.bias
    assert torch.equal(case.model(case.inputs), expected)
    assert not case.model.weight[:, 4:].any()


def test_right_and_wrong_answers():
    check_linear(GRADIENT, lambda weights, inputs: weights)
    with pytest.raises(Broken, match="linear model: expected"):
        check_linear(PRODUCT, lambda weights, inputs: weights)
    with pytest.raises(Broken, match="linear model: expected"):
        check_linear(GRADIENT, lambda weights, inputs: -weights)


def test_attributions_to_what_is_ignored_are_noticed():
    check_ignored_features(GRADIENT)
    with pytest.raises(Broken, match="ignored features: .* went to features that do nothing"):
        check_ignored_features(_of(lambda model, x, t: x.abs()))
    with pytest.raises(Broken, match="ignored features: nothing went to the others either"):
        check_ignored_features(_of(lambda model, x, t: torch.zeros_like(x)))


def test_sums_that_do_not_add_up_are_noticed():
    linear = linear_case()
    bias = linear.model.bias.detach()[linear.targets]
    check_sums_to(PRODUCT, linear, lambda score: score - bias)
    with pytest.raises(Broken, match="sums to: expected"):
        check_sums_to(PRODUCT, CASES["mlp"](), lambda score: score)
