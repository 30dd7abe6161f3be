"""Values of layers and their gradients: the same as captum's, packed as the layer holds them, nothing left behind."""

from __future__ import annotations

import pytest
import torch

import pnpxai.attributors
from pnpxai.attributors import LayerActivation, LayerGradientXActivation
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    Attention,
    Pairs,
    TimeFirst,
    Windows,
    agree,
    at,
    built,
    drawn,
    explain,
    flat,
    mended,
)
from tests.on_demand import CAPTUM

LAYERS = [
    ("mlp", "first"), ("mlp", "head"), ("cnn", "0"), ("cnn", "1"), ("cnn", "2"), ("cnn", "5"), ("skip_cnn", "stem.0"),
    ("skip_cnn", "stem"), ("skip_cnn", "conv2"), ("skip_cnn", "bn1"), ("skip_cnn", "bn2"), ("series", "conv2"),
    ("two_inputs", "conv"), ("two_inputs", "linear"), ("vit", "patches"), ("vit", "encoder.norm1"),
    ("resnet18", "layer2.0.conv2"), ("resnet18", "layer3"),
]  # fmt: skip
METHODS = ["LayerActivation", "LayerGradientXActivation"]


@pytest.mark.parametrize("to_input", [False, True], ids=["output", "input"])
@pytest.mark.parametrize(("case", "layer"), LAYERS)
@pytest.mark.parametrize("name", METHODS)
def test_same_as_captum(name, case, layer, to_input):
    agree(*at(case, name, layer, attribute_to_layer_input=to_input))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("layer", ["embedding", "head"])
def test_same_as_captum_on_token_ids(name, layer):
    agree(*at("tokens", name, layer))


@pytest.mark.parametrize("given", [{"target": 1}, {"target": torch.tensor([3, 0, 1])}, {"grad_kwargs": None}], ids=str)
@pytest.mark.parametrize("multiply", [True, False])
def test_forms_of_arguments(multiply, given):
    agree(*at("cnn", "LayerGradientXActivation", "0", None, multiply, **given))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("case", "layers"),
    [
        ("two_inputs", ["linear", "conv"]),
        ("cnn", ["3", "0"]),
        ("skip_cnn", ["head", "stem.0", "conv2"]),
        ("mlp", ["first"]),
    ],
    ids=str,
)
def test_several_layers_come_in_the_order_asked_for(name, case, layers):
    ours, captums = at(case, name, layers)
    assert isinstance(ours, list)
    agree(ours, captums)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("layer", "to_input"), [("halves", False), ("both", True)])
def test_a_layer_with_several_tensors_gives_a_tuple(name, layer, to_input):
    model, x = built(Pairs), drawn(4, 6)
    given = {"attribute_to_layer_input": to_input} | ({} if name == "LayerActivation" else {"target": 1})
    found = [explain(library, name, model, layer, x, **given) for library in (pnpxai.attributors, CAPTUM)]
    assert isinstance(found[0], tuple)
    agree(*found)


@mended(AttributeError, TypeError)
@pytest.mark.parametrize("name", METHODS)
def test_none_among_a_layers_inputs_stays_none(library, name):
    given = {} if name == "LayerActivation" else {"target": 1}
    found = explain(library, name, built(Pairs, more=True), "both", drawn(4, 6), attribute_to_layer_input=True, **given)
    assert [type(member) for member in found] == [torch.Tensor, torch.Tensor, type(None), torch.Tensor]


@mended(AttributeError, TypeError, RuntimeError)
@pytest.mark.parametrize("name", METHODS)
def test_none_among_a_layers_outputs_stays_none(library, name):
    given = {} if name == "LayerActivation" else {"target": 1}
    found, nothing = explain(library, name, built(Attention), "attention", drawn(3, 5, 4), **given)
    assert nothing is None
    assert found.shape == (3, 5, 4)


def test_integers_are_activations_and_get_no_attribution():
    model, x = built(Pairs, more=True), drawn(4, 6)
    at_input = {"attribute_to_layer_input": True}
    *_, mask = explain(pnpxai.attributors, "LayerActivation", model, "both", x, **at_input)
    assert torch.equal(mask, (x[:, :3] > 0).long())
    *_, nothing = explain(pnpxai.attributors, "LayerGradientXActivation", model, "both", x, target=0, **at_input)
    assert nothing.shape == mask.shape
    assert not nothing.any()


def test_ids_before_an_embedding_can_be_read():
    it = CASES["tokens"]()
    found = LayerActivation(it.model, "embedding").attribute(it.inputs, attribute_to_layer_input=True)
    assert torch.equal(found, it.inputs)


@mended(AttributeError)
@pytest.mark.parametrize("examples", [1, 3])
def test_the_states_of_an_lstm(library, examples):
    it = CASES["tokens"]().take(slice(0, examples))
    outputs, hidden, cell = explain(library, "LayerGradientXActivation", it.model, "lstm", it.inputs, target=it.targets)
    assert outputs.shape == (examples, 7, 6)
    assert hidden.shape == cell.shape == (1, examples, 6)
    # the head sees the last output only, and is linear
    shares = outputs[:, -1].sum(1) + it.model.head.bias.detach()[it.targets]
    assert torch.allclose(shares, it.model(it.inputs).detach()[range(examples), it.targets])
    assert not hidden.any()
    assert not cell.any()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("make", "layer", "shape"), [(TimeFirst, "cell", (7, 5, 2)), (Windows, "inner", (7, 6))])
def test_a_layer_whose_rows_are_not_the_examples_is_looked_at_in_one_pass(name, make, layer, shape, monkeypatch):
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (2, 2))
    model, x = built(make), drawn(*shape)
    given = {"attribute_to_layer_input": True} | ({} if name == "LayerActivation" else {"target": 1})
    agree(*(explain(library, name, model, layer, x, **given) for library in (pnpxai.attributors, CAPTUM)))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("layer", ["0", ["3", "0"]], ids=str)
def test_parts_are_joined(name, layer, monkeypatch):
    whole = at("cnn", name, layer)[0]
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (1, 1))
    for a, b in zip(flat(at("cnn", name, layer)[0]), flat(whole), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_a_linear_layers_gradient_is_the_weight():
    it = CASES["mlp"]()
    found = LayerGradientXActivation(it.model, "head", multiply_by_inputs=False).attribute(
        it.inputs, it.targets, attribute_to_layer_input=True
    )
    assert torch.allclose(found, it.model.head.weight[it.targets])


def test_of_layers_that_depend_on_each_other_each_gets_its_whole_gradient():
    it = CASES["skip_cnn"]()
    both = LayerGradientXActivation(it.model, ["stem", "conv2"]).attribute(it.inputs, it.targets)
    alone = [LayerGradientXActivation(it.model, layer).attribute(it.inputs, it.targets) for layer in ("stem", "conv2")]
    for a, b in zip(both, alone, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
