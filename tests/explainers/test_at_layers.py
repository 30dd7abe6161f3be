"""Every explainer at layers: they are what the rest of the model does with their values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers.propagation.lrp import LRPEpsilonGammaBox
from pnpxai.explainers.propagation.lrp_rules import RAP
from pnpxai.tensors import as_tuple
from pnpxai.testing.zoo import CASES
from tests.explainers.each import EXPLAINERS, each, fits, made

CNN, MLP, TWO, SKIP = (CASES[name]() for name in ("cnn", "mlp", "two_inputs", "skip_cnn"))
AT_SITES = [e for e in EXPLAINERS if e.layer_is_site]
BOXED = (LRPEpsilonGammaBox, RAP)
"""Those whose rule for the first layer is for a model's own inputs alone."""
ON_CNN, ON_TWO = ([e for e in AT_SITES if fits(e, name)] for name in ("cnn", "two_inputs"))


def values_at(model, layer, inputs):
    """Return what a layer gives."""
    kept = []
    handle = layer.register_forward_hook(lambda module, args, output: kept.append(output.detach().clone()))
    with torch.no_grad():
        model(*as_tuple(inputs))
    handle.remove()
    return kept[0]


@each([e for e in ON_CNN if e not in BOXED])
def test_at_a_layer_it_explains_what_comes_after(explainer):
    tail = CNN.model[3:]
    values = values_at(CNN.model, CNN.model[2], CNN.inputs)
    expected = made(explainer, tail).attribute(values, CNN.targets)
    found = made(explainer, CNN.model, layer="2").attribute(CNN.inputs, CNN.targets)
    assert found.shape in (values.shape, (3, 1, *values.shape[2:]))
    assert torch.allclose(found, expected, atol=1e-10 * float(expected.abs().max()))
    assert found.abs().max() > 0


@each(ON_CNN)
def test_a_layer_goes_by_its_name_or_itself(explainer):
    by_name = made(explainer, CNN.model, layer="2").attribute(CNN.inputs, CNN.targets)
    for layer in (CNN.model[2], ["2"], (CNN.model[2],)):
        assert torch.equal(made(explainer, CNN.model, layer=layer).attribute(CNN.inputs, CNN.targets), by_name)


@each(ON_CNN)
def test_the_argument_is_the_input(explainer):
    plain = made(explainer, SKIP.model).attribute(SKIP.inputs, SKIP.targets)
    at_argument = made(explainer, SKIP.model, layer="x").attribute(SKIP.inputs, SKIP.targets)
    assert torch.allclose(at_argument, plain, atol=1e-10 * float(plain.abs().max()))


@each(ON_TWO)
def test_several_layers_and_arguments_mixed(explainer):
    mixed = made(explainer, TWO.model, layer=["image", TWO.model.linear])
    found = mixed.attribute(TWO.inputs, TWO.targets)
    values = TWO.inputs[0], values_at(TWO.model, TWO.model.linear, TWO.inputs)
    assert isinstance(found, tuple)
    for one, value in zip(found, values, strict=True):
        assert one.shape in (value.shape, (3, 1, *value.shape[2:]))
        assert one.abs().max() > 0
    turned = made(explainer, TWO.model, layer=["linear", "image"]).attribute(TWO.inputs, TWO.targets)
    assert [t.shape for t in turned] == [t.shape for t in found[::-1]]
    if not explainer.stochastic:
        assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(turned[::-1], found, strict=True))


class After(nn.Module):
    """The two-input network behind its table's layer."""

    def __init__(self):
        super().__init__()
        self.inner = TWO.model

    def forward(self, image, seen):
        pictured = torch.relu(self.inner.conv(image)).flatten(1)
        return self.inner.head(torch.cat([pictured, torch.tanh(seen)], dim=1))


@each([e for e in ON_TWO if e not in BOXED])
def test_mixed_it_explains_a_function_of_all_places(explainer):
    values = TWO.inputs[0], values_at(TWO.model, TWO.model.linear, TWO.inputs)
    expected = made(explainer, After()).attribute(values, TWO.targets)
    found = made(explainer, TWO.model, layer=["image", "linear"]).attribute(TWO.inputs, TWO.targets)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-10 * float(other.abs().max()))


@each([e for e in EXPLAINERS if e.layer_is_site])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv_2", "no layer or forward argument 'conv_2'; did you mean 'conv2'"),
        (nn.Linear(1, 1), "this Linear is not part of the model SkipNet"),
        (3, r"layer: expected a module or a name, got 3 \(int\)"),
        ([], "layer: expected at least one layer, got none"),
    ],
)
def test_what_is_no_layer_is_refused_at_once(explainer, layer, message):
    with pytest.raises(ArgumentError, match=message):
        made(explainer, SKIP.model, layer=layer)


@each(ON_CNN)
def test_a_layer_that_runs_twice_is_refused(explainer):
    with pytest.raises(ArgumentError, match="layer 'relu' runs more than once"):
        made(explainer, SKIP.model, layer="relu").attribute(SKIP.inputs, SKIP.targets)


@each(ON_TWO)
def test_layers_that_depend_on_each_other_are_refused(explainer):
    with pytest.raises(ArgumentError, match="layer 'head' depends on layer 'linear'; take one of them"):
        made(explainer, TWO.model, layer=["linear", "head"]).attribute(TWO.inputs, TWO.targets)
