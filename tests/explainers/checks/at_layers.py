"""Explainers at layers: they explain what the rest of the model does with the layers' values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers.ensemble import Ensemble
from pnpxai.explainers.propagation.lrp import LRPEpsilonGammaBox
from pnpxai.explainers.propagation.lrp_rules import RAP
from pnpxai.tensors import as_tuple
from tests.explainers.checks import check, made

BOXED = (Ensemble, LRPEpsilonGammaBox, RAP)
"""Those whose rule for the first layer, or a member's, is for a model's own inputs alone."""


def at_sites(explainer):
    return explainer.layer_is_site


def at_any_site(explainer):
    return explainer.layer_is_site and explainer not in BOXED


def values_at(model, layer, inputs):
    """Return what a layer gives."""
    values = []
    handle = layer.register_forward_hook(lambda module, args, output: values.append(output.detach().clone()))
    with torch.no_grad():
        model(*as_tuple(inputs))
    handle.remove()
    return values[0]


@check("cnn", of=at_any_site)
def at_a_layer_it_explains_what_comes_after(explainer, case):
    values = values_at(case.model, case.model[2], case.inputs)
    expected = made(explainer, case.model[3:]).attribute(values, case.targets)
    maps = made(explainer, case.model, layer="2").attribute(case.inputs, case.targets)
    assert maps.shape in (values.shape, (3, 1, *values.shape[2:]))
    assert torch.allclose(maps, expected, atol=1e-10 * float(expected.abs().max()))
    assert maps.abs().max() > 0


@check("cnn", of=at_sites)
def a_layer_goes_by_its_name_or_itself(explainer, case):
    by_name = made(explainer, case.model, layer="2").attribute(case.inputs, case.targets)
    for layer in (case.model[2], ["2"], (case.model[2],)):
        maps = made(explainer, case.model, layer=layer).attribute(case.inputs, case.targets)
        assert torch.equal(maps, by_name), layer


@check("skip_cnn", of=at_sites)
def the_argument_is_the_input(explainer, case):
    plain = made(explainer, case.model).attribute(case.inputs, case.targets)
    at_argument = made(explainer, case.model, layer="x").attribute(case.inputs, case.targets)
    assert torch.allclose(at_argument, plain, atol=1e-10 * float(plain.abs().max()))


@check("skip_cnn", of=at_sites)
def a_layer_that_runs_twice_is_refused(explainer, case):
    with pytest.raises(ArgumentError, match="layer 'relu' runs more than once"):
        made(explainer, case.model, layer="relu").attribute(case.inputs, case.targets)


@check("two_inputs", of=at_sites)
def several_layers_and_arguments_are_mixed(explainer, case):
    maps = made(explainer, case.model, layer=["image", case.model.linear]).attribute(case.inputs, case.targets)
    values = case.inputs[0], values_at(case.model, case.model.linear, case.inputs)
    assert isinstance(maps, tuple)
    for one, value in zip(maps, values, strict=True):
        assert one.shape in (value.shape, (3, 1, *value.shape[2:]))
        assert one.abs().max() > 0
    turned = made(explainer, case.model, layer=["linear", "image"]).attribute(case.inputs, case.targets)
    assert [t.shape for t in turned] == [t.shape for t in maps[::-1]]
    if not explainer.stochastic:
        assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(turned[::-1], maps, strict=True))


class After(nn.Module):
    """The two-input network behind its table's layer."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, image, seen):
        pictured = torch.relu(self.inner.conv(image)).flatten(1)
        return self.inner.head(torch.cat([pictured, torch.tanh(seen)], dim=1))


@check("two_inputs", of=at_any_site)
def mixed_it_explains_a_function_of_all_places(explainer, case):
    values = case.inputs[0], values_at(case.model, case.model.linear, case.inputs)
    expected = made(explainer, After(case.model)).attribute(values, case.targets)
    maps = made(explainer, case.model, layer=["image", "linear"]).attribute(case.inputs, case.targets)
    for one, other in zip(maps, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-10 * float(other.abs().max()))


@check("two_inputs", of=at_sites)
def layers_that_depend_on_each_other_are_refused(explainer, case):
    with pytest.raises(ArgumentError, match="layer 'head' depends on layer 'linear'; take one of them"):
        made(explainer, case.model, layer=["linear", "head"]).attribute(case.inputs, case.targets)


NO_LAYERS = (
    ("conv_2", "no layer or forward argument 'conv_2'; did you mean 'conv2'"),
    (nn.Linear(1, 1), "this Linear is not part of the model SkipNet"),
    (3, r"layer: expected a module or a name, got 3 \(int\)"),
    ([], "layer: expected at least one layer, got none"),
)


def what_is_no_layer_is_refused_at_once(explainer, model):
    """Refuse, when it is made for a ``SkipNet``, what is no layer of it; whether it fits or not."""
    for layer, message in NO_LAYERS:
        with pytest.raises(ArgumentError, match=message):
            made(explainer, model, layer=layer)
