"""Integrated gradients, conductance and influence at layers of every form, their dtypes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import (
    LayerConductance,
    LayerIntegratedGradients,
)
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    Attention,
    Pairs,
    TimeFirst,
    Windows,
    built,
    drawn,
    explain,
    flat,
    mended,
)

EXACT = {"LayerConductance": {"method": "riemann_trapezoid"}}  # its nodes are the same in both libraries
METHODS = ["LayerIntegratedGradients", "LayerConductance", "InternalInfluence"]


# forms of layers


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
    it.model.register_forward_pre_hook(lambda module, args: None if is_probe() else sizes.append(len(args[0])))
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


class _Turned(nn.Module):
    """Its layer ``act`` has the examples elsewhere than first, and as many of them as of something else."""

    def __init__(self, there, back):
        super().__init__()
        self.there, self.back = there, back
        self.first, self.act, self.last = nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.back(self.act(self.there(self.first(x)))).mean(1).tanh())


TURNS = {
    "steps first": (lambda h: h.transpose(0, 1), lambda v: v.transpose(0, 1)),
    "examples last": (lambda h: h.movedim(0, -1), lambda v: v.movedim(-1, 0)),
    "steps first, in rows": (
        lambda h: h.transpose(0, 1).flatten(0, 1),
        lambda v: v.unflatten(0, (4, -1)).transpose(0, 1),
    ),
    "in rows": (lambda h: h.flatten(0, 1), lambda v: v.unflatten(0, (-1, 4))),
}


@pytest.mark.parametrize("method", [LayerIntegratedGradients, LayerConductance])
@pytest.mark.parametrize("name", TURNS)
def test_a_delta_is_that_of_its_example_wherever_the_layer_has_the_examples(name, method):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = _Turned(*TURNS[name]).double(), torch.randn(4, 4, 3, dtype=torch.float64)
    steps = 50 if method is LayerIntegratedGradients else 200
    _, delta = method(model, model.act).attribute(x, target=1, n_steps=steps, return_convergence_delta=True)
    assert delta.shape == (4,)
    assert delta.abs().max() < 2e-4
