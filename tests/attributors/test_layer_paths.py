"""Integrated gradients, conductance and influence of layers: captum's numbers, and sums that must come out."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import (
    IntegratedGradients,
    InternalInfluence,
    LayerConductance,
    LayerIntegratedGradients,
    NoiseTunnel,
)
from pnpxai.attributors.conductance import with_ends
from pnpxai.errors import ArgumentError
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    Attention,
    Pairs,
    TimeFirst,
    Whole,
    Windows,
    agree,
    at,
    built,
    drawn,
    explain,
    flat,
    mended,
)

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
    found = [explain(library, name, model, layer, x, **given) for library in (pnpxai.attributors, captum.attr)]
    assert isinstance(found[0], tuple)
    agree(*found)


@pytest.mark.parametrize("name", METHODS)
def test_a_model_with_one_value_for_its_batch(name):
    model, x = built(Whole), drawn(3, 3)
    given = {"n_steps": 7} | EXACT.get(name, {})
    agree(*(explain(library, name, model, "layer", x, **given) for library in (pnpxai.attributors, captum.attr)))


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


# awkward layers


@pytest.mark.parametrize("name", METHODS)
def test_none_among_a_layers_members(name):
    model, x = built(Pairs, more=True), drawn(4, 6)
    given = {"target": 1, "n_steps": 4}
    found = explain(pnpxai.attributors, name, model, "both", x, attribute_to_layer_input=True, **given)
    plain = explain(pnpxai.attributors, name, built(Pairs), "both", x, attribute_to_layer_input=True, **given)
    assert found[2] is None
    assert found[3].shape == (4, 3)
    assert not found[3].any()
    assert found[0].shape == plain[0].shape


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize(("make", "layer", "shape"), [(TimeFirst, "cell", (5, 2)), (Windows, "inner", (6,))])
@pytest.mark.parametrize("name", METHODS)
def test_a_layer_whose_rows_are_not_the_examples(name, make, layer, shape, examples):
    model, x = built(make), drawn(examples, *shape)
    given = {"target": 1, "n_steps": 4}
    found = flat(explain(pnpxai.attributors, name, model, layer, x, **given))
    singles = [flat(explain(pnpxai.attributors, name, model, layer, row[None], **given)) for row in x]
    axes = [1, 1] if make is TimeFirst else [0]
    for k, (member, axis) in enumerate(zip(found, axes, strict=True)):
        assert torch.allclose(member, torch.cat([single[k] for single in singles], axis), atol=1e-10)


@pytest.mark.parametrize("name", METHODS[:2])
def test_deltas_where_rows_are_not_the_examples(name):
    model, x = built(TimeFirst), drawn(3, 5, 2)
    given = {"target": 1, "n_steps": 600, "return_convergence_delta": True}
    _, delta = explain(pnpxai.attributors, name, model, "cell", x, **given)
    assert delta.shape == (3,)
    assert delta.abs().max() < 1e-2 * (model(x) - model(0 * x))[:, 1].abs().max()


@pytest.mark.parametrize("name", ["LayerIntegratedGradients"])
def test_states_of_an_lstm(name):
    it = CASES["tokens"]()
    outputs, hidden, cell = explain(pnpxai.attributors, name, it.model, "lstm", it.inputs, target=it.targets, n_steps=4)
    change = it.model.lstm(it.model.embedding(it.inputs))[0] - it.model.lstm(it.model.embedding(it.inputs * 0))[0]
    assert torch.allclose(outputs[:, -1], (change[:, -1] * it.model.head.weight[it.targets]).detach())
    assert not outputs[:, :-1].any()
    assert hidden.shape == cell.shape == (1, 3, 6)
    assert not hidden.any()


def test_attention_whose_second_output_is_none():
    found, nothing = LayerIntegratedGradients(built(Attention), "attention").attribute(
        drawn(3, 5, 4), target=0, n_steps=3
    )
    assert nothing is None
    assert found.shape == (3, 5, 4)


def _compiled(part):
    return torch.compile(part, backend="eager")


def _scripted(part):
    with pytest.warns((FutureWarning, DeprecationWarning), match=r"torch.jit.script"):
        return torch.jit.script(part)


@pytest.mark.parametrize("wrapped", [_compiled, _scripted])
@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("name", METHODS)
def test_parts_of_a_model_may_be_compiled_or_scripted(name, before, wrapped):
    parts = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)]
    plain, x = nn.Sequential(*parts).double().eval(), drawn(3, 4)
    parts[0 if before else 2] = wrapped(parts[0 if before else 2])
    given = {"target": 1, "n_steps": 3}
    found = explain(pnpxai.attributors, name, nn.Sequential(*parts), "1", x, **given)
    assert torch.allclose(found, explain(pnpxai.attributors, name, plain, "1", x, **given), atol=1e-12)


# what captum gets wrong


@mended(RuntimeError)
@pytest.mark.parametrize("layer", ["bn1", "bn2"])
def test_a_layer_before_an_in_place_operation(library, layer):
    it = CASES["skip_cnn"]()
    found = explain(library, "LayerIntegratedGradients", it.model, layer, it.inputs, target=it.targets, n_steps=5)
    assert found.shape == (3, 6, 8, 8)


@mended()
@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "InternalInfluence"])
def test_trapezoid_weights_sum_to_one(library, name):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    x = drawn(3, 4)
    found = explain(library, name, model, "0", x, target=1, n_steps=5, method="riemann_trapezoid")
    change = (model[0](x) - model[0](0 * x)) if name == "LayerIntegratedGradients" else 1
    assert torch.allclose(found, (model[1].weight[1] * change).detach().expand(3, 3), atol=1e-6)


@mended()
def test_conductance_reaches_the_ends(library):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    _, delta = explain(
        library, "LayerConductance", model, "0", drawn(3, 4), target=1, n_steps=10, return_convergence_delta=True
    )
    assert delta.abs().max() < 1e-8


@mended()
def test_conductance_holds_no_graph(library):
    it = CASES["mlp"]()
    assert not explain(library, "LayerConductance", it.model, "first", it.inputs, target=0).requires_grad


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_a_layer_that_runs_twice_is_refused(library, name):
    it = CASES["skip_cnn"]()
    with pytest.raises(ValueError, match="layer 'relu' runs more than once"):
        explain(library, name, it.model, "relu", it.inputs, target=0, n_steps=2)


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_numbers_that_are_not_finite_are_refused(library, name):
    it = CASES["mlp"]().copy()
    it.inputs[1, 2] = float("inf")
    with pytest.raises(ValueError, match="inputs: expected finite numbers"):
        explain(library, name, it.model, "first", it.inputs, target=0, n_steps=2)


@mended()
@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "InternalInfluence"])
def test_the_dtype_is_the_layers(library, name):
    it = CASES["mlp"]().to(torch.bfloat16)
    assert explain(library, name, it.model, "first", it.inputs, target=0, n_steps=3).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_other_dtypes(name, dtype):
    it = CASES["mlp"]().to(dtype)
    with_delta = {} if name == "InternalInfluence" else {"return_convergence_delta": True}
    found = flat(explain(pnpxai.attributors, name, it.model, "first", it.inputs, target=0, n_steps=3, **with_delta))
    assert len(found) == 1 + bool(with_delta)
    for member in found:
        assert member.dtype == dtype
        assert torch.isfinite(member).all()


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_a_small_batch_size_splits_the_batch(library, name):
    it = CASES["mlp"]().copy()
    whole = explain(library, name, it.model, "first", it.inputs, target=it.targets, n_steps=4)
    sizes = []
    it.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    given = {"target": it.targets, "n_steps": 4, "internal_batch_size": 2}
    assert torch.allclose(explain(library, name, it.model, "first", it.inputs, **given), whole, atol=1e-12)
    assert max(sizes) <= 2


def test_layers_that_depend_on_each_other_are_refused():
    it = CASES["skip_cnn"]()
    with pytest.raises(ArgumentError, match="layer 'conv2' depends on layer 'stem'; take one of them"):
        LayerIntegratedGradients(it.model, ["stem", "conv2"]).attribute(it.inputs, target=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_steps": 0}, "n_steps: expected a whole number >= 1, got 0"),
        ({"n_steps": 2.5}, "n_steps: expected a whole number >= 1, got 2.5"),
        ({"method": "simpson"}, "method: expected one of 'gausslegendre'"),
        ({"internal_batch_size": 0}, "internal_batch_size: expected a whole number >= 1, got 0"),
        ({"baselines": torch.zeros(2, 6)}, r"baselines: expected shape \(3, 6\), one row or a number, got \(2, 6\)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", METHODS)
def test_settings_out_of_range_are_refused(name, given, message):
    it = CASES["mlp"]()
    with audit(it.model, it.inputs), pytest.raises(ArgumentError, match=message):
        explain(pnpxai.attributors, name, it.model, "first", it.inputs, target=0, **given)


@pytest.mark.parametrize("name", METHODS[1:])
def test_ids_cannot_be_blended(name):
    it = CASES["tokens"]()
    with pytest.raises(ArgumentError, match="expected floating point numbers to differentiate.*the embedding"):
        explain(pnpxai.attributors, name, it.model, "embedding", it.inputs, target=0)


# how it is run


@pytest.mark.parametrize("rows", [1, 2, 5, 256])
@pytest.mark.parametrize("layer", ["0", "5"])
@pytest.mark.parametrize("name", METHODS)
def test_parts_make_no_difference(name, layer, rows, monkeypatch):
    it = CASES["cnn"]()
    given = {"target": it.targets, "n_steps": 5}
    whole = explain(pnpxai.attributors, name, it.model, layer, it.inputs, **given)
    monkeypatch.setattr("pnpxai.engine.batching._CPU_ROWS", (rows, rows))
    assert torch.allclose(explain(pnpxai.attributors, name, it.model, layer, it.inputs, **given), whole, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_memory_is_asked_for_in_halves_when_it_runs_out(name, monkeypatch, caplog):
    it = CASES["cnn"]().copy()
    given = {"target": it.targets, "n_steps": 5}
    whole = explain(pnpxai.attributors, name, it.model, "2", it.inputs, **given)

    def full(module, args):
        if len(args[0]) > 2:
            raise torch.OutOfMemoryError("no")

    it.model[5].register_forward_pre_hook(full)
    found = explain(pnpxai.attributors, name, it.model, "2", it.inputs, **given)
    assert torch.allclose(found, whole, atol=1e-12)
    assert "out of memory: going on with at most" in caplog.text


@pytest.mark.parametrize("name", METHODS)
def test_an_example_alone_is_the_same_as_in_a_batch(name):
    it = CASES["skip_cnn"]()
    whole = explain(pnpxai.attributors, name, it.model, "conv2", it.inputs, target=it.targets, n_steps=4)
    for k in range(len(it)):
        one = it.take(slice(k, k + 1))
        alone = explain(pnpxai.attributors, name, it.model, "conv2", one.inputs, target=one.targets, n_steps=4)
        assert torch.allclose(alone[0], whole[k], atol=1e-12)


@pytest.mark.parametrize("extra", [drawn(3).abs(), torch.tensor(1.7).double()], ids=["for each example", "shared"])
@pytest.mark.parametrize("name", METHODS)
def test_further_arguments(name, extra):
    it = CASES["mlp"]()

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = it.model

        def forward(self, x, scale):
            return self.model(x) * scale.reshape(-1, 1)

    given = {"target": it.targets, "additional_forward_args": extra, "n_steps": 4} | EXACT.get(name, {})
    libraries = (pnpxai.attributors, captum.attr)
    agree(*(explain(library, name, Scaled(), "model.first", it.inputs, **given) for library in libraries))


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("layer", ["0", "5"])
@pytest.mark.parametrize("name", METHODS)
def test_cost_is_what_is_run(name, layer, examples):
    it = CASES["cnn"]().take(slice(0, examples))
    method = getattr(pnpxai.attributors, name)(it.model, layer)
    with counted(it.model) as counter:
        method.attribute(it.inputs, target=0, n_steps=4)
    assert method.cost(it.inputs, n_steps=4) == counter.rows


@pytest.mark.parametrize("name", METHODS)
def test_the_graph_is_kept_where_asked_for(name):
    it = CASES["mlp"]().copy()
    x = it.inputs.clone().requires_grad_()
    given = {"target": it.targets, "n_steps": 4}
    found = explain(pnpxai.attributors, name, it.model, "second", x, grad_kwargs={"create_graph": True}, **given)
    plain = explain(pnpxai.attributors, name, it.model, "second", it.inputs, **given)
    assert torch.allclose(found.detach(), plain, atol=1e-12)
    by_input, by_weight = torch.autograd.grad(found.square().sum(), [x, it.model.first.weight])
    near = it.copy()
    near.inputs[0, 1] += 1e-6
    near_found = explain(pnpxai.attributors, name, near.model, "second", near.inputs, **given)
    assert torch.allclose((near_found.square() - plain.square()).sum() / 1e-6, by_input[0, 1], rtol=1e-3, atol=1e-7)
    near = it.copy()
    with torch.no_grad():
        near.model.first.weight[2, 3] += 1e-6
    near_found = explain(pnpxai.attributors, name, near.model, "second", near.inputs, **given)
    assert torch.allclose((near_found.square() - plain.square()).sum() / 1e-6, by_weight[2, 3], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_left_behind_and_nothing_grows(name):
    it = CASES["skip_cnn"]().copy()
    it.model.train()
    method = getattr(pnpxai.attributors, name)(it.model, "bn1")
    with audit(it.model, it.inputs):
        method.attribute(it.inputs, target=it.targets, n_steps=3)
    check_growth(lambda: method.attribute(it.inputs, target=it.targets, n_steps=3))


def test_noise_before_a_layer_is_averaged():
    it = CASES["cnn"]()
    method = LayerIntegratedGradients(it.model, "2")
    given = {"target": it.targets, "n_steps": 4, "return_convergence_delta": True}
    plain, delta = method.attribute(it.inputs, **given)
    found, deltas = NoiseTunnel(method).attribute(it.inputs, nt_samples=3, stdevs=0.0, **given)
    assert torch.allclose(found, plain, atol=1e-12)
    assert torch.allclose(deltas.reshape(3, 3), delta[:, None].expand(3, 3), atol=1e-12)


def test_noise_before_an_embedding_of_ids():
    it = CASES["tokens"]()
    method = LayerIntegratedGradients(it.model, "embedding")
    found = NoiseTunnel(method).attribute(it.inputs, nt_samples=2, target=it.targets, n_steps=3)
    assert torch.allclose(found, method.attribute(it.inputs, target=it.targets, n_steps=3))


@pytest.mark.parametrize("name", METHODS)
def test_public_facts_are_captums(name):
    it = CASES["cnn"]()
    ours, theirs = (getattr(library, name)(it.model, it.model[0]) for library in (pnpxai.attributors, captum.attr))
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()
