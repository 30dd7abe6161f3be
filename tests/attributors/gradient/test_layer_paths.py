"""Integrated gradients, conductance and influence of layers: captum's numbers, and sums that must come out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import (
    IntegratedGradients,
    InternalInfluence,
    LayerConductance,
    LayerIntegratedGradients,
)
from pnpxai.attributors.gradient.conductance import with_ends
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    Pairs,
    Whole,
    agree,
    at,
    built,
    drawn,
    explain,
    flat,
)
from tests.on_demand import CAPTUM

# not at the output of a layer that is followed by an in-place ReLU, where captum's LayerIntegratedGradients fails
LAYERS = [
    ("mlp", "first"), ("mlp", "head"), ("cnn", "0"), ("cnn", "2"), ("cnn", "5"), ("skip_cnn", "stem.0"),
    ("skip_cnn", "stem"), ("skip_cnn", "conv2"), ("series", "conv2"), ("two_inputs", "conv"), ("two_inputs", "linear"),
    ("vit", "patches"), ("resnet18", "layer2"), ("resnet18", "layer4.1.conv2"),
]  # fmt: skip
EXACT = {"LayerConductance": {"method": "riemann_trapezoid"}}  # its nodes are the same in both libraries
METHODS = ["LayerIntegratedGradients", "LayerConductance", "InternalInfluence"]
RULES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]


@pytest.mark.parametrize("to_input", [False, True], ids=["output", "input"])
@pytest.mark.parametrize(("case", "layer"), LAYERS)
@pytest.mark.parametrize("name", METHODS)
def test_same_as_captum(name, case, layer, to_input):
    agree(*at(case, name, layer, n_steps=5, attribute_to_layer_input=to_input, **EXACT.get(name, {})))


@pytest.mark.parametrize(
    "baselines", [0.3, drawn(3, 6), drawn(1, 6), (drawn(3, 6),)], ids=["number", "rows", "row", "tuple"]
)
@pytest.mark.parametrize("name", METHODS)
def test_forms_of_baselines(name, baselines):
    agree(*at("mlp", name, "first", baselines=baselines, n_steps=6, **EXACT.get(name, {})))


@pytest.mark.parametrize("baselines", [(0, 0.5), (drawn(3, 1, 6, 6), drawn(1, 4))], ids=["numbers", "tensors"])
@pytest.mark.parametrize("name", METHODS)
def test_baselines_of_two_inputs(name, baselines):
    agree(*at("two_inputs", name, "conv", baselines=baselines, n_steps=6, **EXACT.get(name, {})))


@pytest.mark.parametrize(
    "given",
    [
        {"target": 1}, {"target": torch.tensor([3, 0, 1])}, {"internal_batch_size": 3}, {"internal_batch_size": 7},
        {"internal_batch_size": 100}, {"grad_kwargs": None}, {"n_steps": 2}, {"n_steps": 50},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", METHODS)
def test_forms_of_arguments(name, given):
    agree(*at("cnn", name, "0", **({"n_steps": 6} | given | EXACT.get(name, {}))))


@pytest.mark.parametrize("rule", RULES[:4])
@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "InternalInfluence"])
def test_rules(name, rule):
    agree(*at("cnn", name, "2", n_steps=6, method=rule))


@pytest.mark.parametrize("name", METHODS[:2])
def test_deltas(name):
    agree(*at("cnn", name, "2", n_steps=4, return_convergence_delta=True, baselines=0.2, **EXACT.get(name, {})))


def test_without_the_product():
    agree(*at("cnn", "LayerIntegratedGradients", "2", None, False, n_steps=5))
    assert not LayerIntegratedGradients(CASES["cnn"]().model, "2", multiply_by_inputs=False).multiplies_by_inputs


@pytest.mark.parametrize("layer", ["embedding", "head"])
@pytest.mark.parametrize("baselines", [None, 3, torch.arange(7)[None]], ids=["zero", "number", "row"])
def test_token_ids(layer, baselines):
    agree(*at("tokens", "LayerIntegratedGradients", layer, baselines=baselines, n_steps=5))


def test_the_order_of_several_layers():
    agree(*at("two_inputs", "LayerIntegratedGradients", ["linear", "conv"], n_steps=5, return_convergence_delta=True))


@pytest.mark.parametrize("name", METHODS[1:])
def test_several_layers_get_what_each_gets_alone(name):
    it = CASES["skip_cnn"]()
    both = explain(pnpxai.attributors, name, it.model, ["conv2", "stem"], it.inputs, target=it.targets, n_steps=4)
    for layer, found in zip(["conv2", "stem"], both, strict=True):
        alone = explain(pnpxai.attributors, name, it.model, layer, it.inputs, target=it.targets, n_steps=4)
        assert torch.allclose(found, alone, atol=1e-12)


@pytest.mark.parametrize(("layer", "to_input"), [("halves", False), ("both", True)])
@pytest.mark.parametrize("name", METHODS)
def test_a_layer_with_several_tensors(name, layer, to_input):
    model, x = built(Pairs), drawn(4, 6)
    given = {"target": 1, "n_steps": 5, "attribute_to_layer_input": to_input} | EXACT.get(name, {})
    found = [explain(library, name, model, layer, x, **given) for library in (pnpxai.attributors, CAPTUM)]
    assert isinstance(found[0], tuple)
    agree(*found)


@pytest.mark.parametrize("name", METHODS)
def test_a_model_with_one_value_for_its_batch(name):
    model, x = built(Whole), drawn(3, 3)
    given = {"n_steps": 7} | EXACT.get(name, {})
    agree(*(explain(library, name, model, "layer", x, **given) for library in (pnpxai.attributors, CAPTUM)))


# identities


@pytest.mark.parametrize(
    ("case", "layer"), [("mlp", "first"), ("cnn", "2"), ("two_inputs", ["conv", "linear"]), ("vit", "patches")]
)
@pytest.mark.parametrize("name", METHODS[:2])
def test_attributions_sum_to_the_difference_of_scores(name, case, layer):
    it = CASES[case]()
    given = {"target": it.targets, "n_steps": 400, "return_convergence_delta": True}
    found, delta = explain(pnpxai.attributors, name, it.model, layer, it.inputs, **given)
    rows = range(len(it))
    rise = (it.model(*it.tensors) - it.model(*(x * 0 for x in it.tensors)))[rows, it.targets].detach()
    total = sum(share.flatten(1).sum(1) for share in flat(found))
    assert torch.allclose(total - rise, delta, atol=1e-12)
    # conductance takes the gradient at the left end of each step: first order
    assert delta.abs().max() < (5e-3 if name == "LayerIntegratedGradients" else 2e-2) * rise.abs().max()


@pytest.mark.parametrize("name", METHODS[:2])
def test_the_public_delta_is_the_returned_one(name):
    it = CASES["two_inputs"]()
    method = getattr(pnpxai.attributors, name)(it.model, ["conv", "linear"])
    found, delta = method.attribute(it.inputs, target=it.targets, n_steps=3, return_convergence_delta=True)
    again = method.compute_convergence_delta(found, 0, it.inputs, it.targets)
    assert torch.allclose(again, delta)


def test_the_public_delta_takes_what_attribute_gives():
    model, x = built(Pairs, more=True), drawn(4, 6)
    method = LayerConductance(model, "both")
    given = {"target": 1, "n_steps": 4, "attribute_to_layer_input": True, "return_convergence_delta": True}
    found, delta = method.attribute(x, **given)
    assert found[2] is None
    assert torch.allclose(method.compute_convergence_delta(found, 0, x, 1), delta)


@pytest.mark.parametrize("case", ["mlp", "cnn", "series"])
def test_at_the_first_layers_input_it_is_integrated_gradients(case):
    it = CASES[case]()
    first = next(name for name, m in it.model.named_modules() if not list(m.children()))
    found = LayerIntegratedGradients(it.model, first).attribute(
        it.inputs, target=it.targets, n_steps=6, attribute_to_layer_input=True
    )
    expected = IntegratedGradients(it.model).attribute(it.inputs, target=it.targets, n_steps=6)
    assert torch.allclose(found, expected, atol=1e-12)


def test_an_argument_is_a_place_too():
    it = CASES["two_inputs"]()
    found = LayerIntegratedGradients(it.model, ["image", "table"]).attribute(it.inputs, target=it.targets, n_steps=6)
    expected = IntegratedGradients(it.model).attribute(it.inputs, target=it.targets, n_steps=6)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_on_a_linear_model_all_are_known(rule):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    x, b = drawn(3, 4), drawn(3, 4, seed=1)
    weight = model[1].weight[1].detach()
    change = (model[0](x) - model[0](b)).detach()
    given = {"target": 1, "n_steps": 3, "method": rule}
    assert torch.allclose(LayerIntegratedGradients(model, "0").attribute(x, b, **given), weight * change)
    assert torch.allclose(LayerConductance(model, "0").attribute(x, b, **given), weight * change)
    assert torch.allclose(InternalInfluence(model, "0").attribute(x, b, **given), weight.expand(3, 3))


@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("rule", RULES)
def test_nodes_of_conductance_go_from_end_to_end(rule, n_steps):
    nodes = with_ends(rule, n_steps)
    assert len(nodes) == n_steps + 1
    assert nodes[0] == 0
    assert nodes[-1] == 1
    assert sorted(set(nodes)) == nodes


def test_as_much_flows_into_a_layer_as_out_of_it():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = drawn(2, 3)
    sums = [
        LayerConductance(model, "1")
        .attribute(x, None, 0, None, 1000, "riemann_left", attribute_to_layer_input=side)
        .sum(1)
        for side in (False, True)
    ]
    assert torch.allclose(*sums, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Multiple layers provided")
def test_of_layers_that_depend_on_each_other_the_first_gets_zero_where_unused_gradients_are_asked_for():
    model, x = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(4, 6)
    layers, settings = [model[0], model[1]], {"target": 0, "grad_kwargs": {"materialize_grads": True}}
    theirs, ours = (
        library.LayerIntegratedGradients(model, layers).attribute(x, **settings)
        for library in (CAPTUM, pnpxai.attributors)
    )
    assert [float(m.abs().sum()) for m in ours][0] == 0
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
