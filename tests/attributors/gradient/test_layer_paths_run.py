"""How layer paths are run: parts, memory, costs, graphs, noise, what is left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import (
    LayerIntegratedGradients,
    NoiseTunnel,
)
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    agree,
    drawn,
    explain,
)
from tests.on_demand import CAPTUM

EXACT = {"LayerConductance": {"method": "riemann_trapezoid"}}  # its nodes are the same in both libraries
METHODS = ["LayerIntegratedGradients", "LayerConductance", "InternalInfluence"]


@pytest.mark.parametrize("rows", [1, 2, 5, 256])
@pytest.mark.parametrize("layer", ["0", "5"])
@pytest.mark.parametrize("name", METHODS)
def test_parts_make_no_difference(name, layer, rows, monkeypatch):
    it = CASES["cnn"]()
    given = {"target": it.targets, "n_steps": 5}
    whole = explain(pnpxai.attributors, name, it.model, layer, it.inputs, **given)
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (rows, rows))
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
    libraries = (pnpxai.attributors, CAPTUM)
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
    ours, theirs = (getattr(library, name)(it.model, it.model[0]) for library in (pnpxai.attributors, CAPTUM))
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()
