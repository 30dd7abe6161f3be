"""Values and gradients inside a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.layers import value_and_gradient
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.site import find_places
from pnpxai.errors import ArgumentError
from pnpxai.testing.zoo import CASES

SKIP, TWO, TOKENS = (CASES[name]() for name in ("skip_cnn", "two_inputs", "tokens"))


def _at(case, *layers, side="output"):
    score = Score.of(case.model, case.tensors, case.targets)
    return value_and_gradient(score, case.tensors, find_places(case.model, list(layers), side))[:2]


def _oracle(case, module):
    kept = []

    def keep(module, args, output):
        output.retain_grad()
        kept.append(output)
        return output.clone()

    hook = module.register_forward_hook(keep)
    case.model(*case.tensors)[range(len(case)), case.targets].sum().backward()
    hook.remove()
    case.model.zero_grad()
    return kept[0].detach(), kept[0].grad


@pytest.mark.parametrize("layer", ["stem.0", "bn1", "conv2", "head"])
def test_value_and_gradient_equal_those_of_retained_gradients(layer):
    case = SKIP.copy()
    (value,), (gradient,) = _at(case, layer)
    expected = _oracle(case, case.model.get_submodule(layer))
    assert torch.equal(value, expected[0])
    assert torch.allclose(gradient, expected[1], atol=1e-12)


def test_a_linear_layers_input_has_the_weight_as_gradient():
    _, (gradient,) = _at(SKIP, "head", side="input")
    assert torch.allclose(gradient, SKIP.model.head.weight[SKIP.targets])


def test_places_come_in_the_order_they_were_asked_for():
    values, gradients = _at(TWO, "linear", "conv")
    assert [v.shape[1] for v in values] == [6, 4]
    assert [g.shape for g in gradients] == [v.shape for v in values]


def test_unused_tensors_of_a_layer_have_gradient_zero():
    _, gradients = _at(TOKENS, "lstm")
    assert [bool(g.any()) for g in gradients] == [True, False, False]


def test_a_place_behind_another_leaves_the_other_its_whole_gradient():
    both = _at(SKIP, "head", "stem.0")
    alone = [_at(SKIP, layer) for layer in ("head", "stem.0")]
    for k, found in enumerate(both):
        assert all(torch.allclose(found[j], alone[j][k][0], atol=1e-12) for j in range(2))


def test_a_place_that_runs_twice_is_refused():
    with pytest.raises(ArgumentError, match="layer 'relu' runs more than once"):
        _at(SKIP, "relu")


def test_a_place_without_influence_is_refused():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.aside = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            self.aside(x)
            return self.main(x)

    model, x = Aside(), torch.ones(3, 2)
    with pytest.raises(ArgumentError, match="layer 'aside' has no influence on the score"):
        value_and_gradient(Score.of(model, (x,), 0), (x,), find_places(model, ["aside", "main"]))


def test_a_layer_behind_which_nothing_is_differentiable_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).requires_grad_(False)
    score = Score.of(lambda x: model[1](model[0](x).detach()), (torch.ones(1, 2),), 0)
    with pytest.raises(ArgumentError, match="the score does not depend on layer Linear through differentiable"):
        value_and_gradient(score, (torch.ones(1, 2),), find_places(score.forward, model[0]))
