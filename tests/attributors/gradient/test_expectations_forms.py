"""Expected gradients for every form of baselines, layers and models, what is refused, and how they are run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import LayerGradientShap, NoiseTunnel
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import Pairs, TimeFirst, Whole, built, drawn, mended
from tests.attributors.gradient.expecting import NAMES, made, rows_for
from tests.on_demand import CAPTUM

pytestmark = pytest.mark.usefixtures("captum_may_warn")


# what captum gets wrong, and errors


@mended()
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stdevs", [1, np.float32(0.5)], ids=repr)
def test_any_real_number_is_a_deviation(library, name, stdevs):
    it, rows = CASES["mlp"](), rows_for("mlp", 2)
    made(library, name, "mlp").attribute(it.inputs, rows, stdevs=stdevs, target=0)


@mended()
@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_not_finite_are_refused(library, name):
    it, rows = CASES["mlp"](), rows_for("mlp", 2)
    rows[1, 1] = float("nan")
    with pytest.raises(ValueError, match="baselines: expected finite numbers"):
        made(library, name, "mlp").attribute(it.inputs, rows, target=0)


@mended(RuntimeError)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_dtype_is_the_models(library, name, dtype):
    it = CASES["mlp"]().to(dtype)
    rows = rows_for("mlp", 2).to(dtype)
    found = made(library, name, it).attribute(it.inputs, rows, stdevs=0.1, target=0)
    assert found.dtype == dtype


@mended()
def test_a_layer_that_runs_twice_is_refused(library):
    it, rows = CASES["skip_cnn"](), rows_for("skip_cnn", 2)
    with pytest.raises(ValueError, match="layer 'relu' runs more than once"):
        made(library, "LayerGradientShap", it, layer="relu").attribute(it.inputs, rows, target=0)


@pytest.mark.parametrize(
    ("baselines", "error", "message"),
    [
        (0.0, ArgumentError, "baselines: expected a tensor or a tuple of tensors, got float"),
        (torch.zeros(3, 5), ShapeError, r"baselines: expected rows of shape \(6,\), got \(3, 5\)"),
        ((torch.zeros(3, 6),) * 2, ArgumentError, "baselines: expected one tensor for each of 1 inputs, got 2"),
        (torch.zeros(0, 6), ShapeError, "baselines: expected"),
    ],
    ids=["number", "shape", "count", "empty"],
)
@pytest.mark.parametrize("name", NAMES)
def test_wrong_baselines_are_refused(name, baselines, error, message):
    it = CASES["mlp"]()
    with pytest.raises(error, match=message):
        made(pnpxai.attributors, name, "mlp").attribute(it.inputs, baselines, target=0)


@pytest.mark.parametrize("n_samples", [0, -1, 2.0, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_number_of_samples_is_refused(name, n_samples):
    it = CASES["mlp"]()
    with pytest.raises(ArgumentError, match="n_samples: expected a whole number >= 1"):
        made(pnpxai.attributors, name, "mlp").attribute(it.inputs, rows_for("mlp", 2), n_samples, target=0)


def test_ids_cannot_be_blended():
    it = CASES["tokens"]()
    with pytest.raises(ArgumentError, match="expected floating point numbers to differentiate.*the embedding"):
        LayerGradientShap(it.model, "embedding").attribute(it.inputs, it.inputs, target=0)


# forms of layers and models


def test_a_layer_with_several_tensors():
    model, x, rows = built(Pairs, more=True), drawn(4, 6), drawn(3, 6, seed=1)
    method = LayerGradientShap(model, "both")
    given = {"target": 1, "attribute_to_layer_input": True, "return_convergence_delta": True}
    found, delta = method.attribute(x, rows, 4, **given)
    assert found[2] is None
    assert found[3].shape == (4, 3)
    assert delta.shape == (16,)
    plain = LayerGradientShap(built(Pairs, more=True), "halves").attribute(x, rows, 4, target=1)
    assert torch.allclose(found[0], plain[0])


def test_a_layer_whose_rows_are_not_the_examples():
    model, x, rows = built(TimeFirst), drawn(3, 5, 2), drawn(4, 5, 2, seed=1)
    method = LayerGradientShap(model, "cell")
    states, last = method.attribute(x, rows, 4, target=1)
    for k in range(3):
        alone = method.attribute(x[k : k + 1], rows, 4, target=1)
        assert torch.allclose(alone[0][:, 0], states[:, k], atol=1e-12)
        assert torch.allclose(alone[1][:, 0], last[:, k], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_with_one_value_for_its_batch(name, monkeypatch):
    model, x, rows = built(Whole), drawn(3, 3), drawn(4, 3, seed=1)
    at = () if name == "GradientShap" else ("layer",)
    method = getattr(pnpxai.attributors, name)(model, *at)
    found = method.attribute(x, rows, 5)
    each = torch.cat([method.attribute(row[None], rows, 5) for row in x])
    assert torch.allclose(found, each, atol=1e-12)  # its value is a sum over examples


@pytest.mark.parametrize("name", NAMES)
def test_further_arguments_of_each_example(name):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x, scale):
            return torch.tanh(self.layer(x)) * scale[:, None]

    model, x, rows, scale = built(Scaled), drawn(3, 3), drawn(4, 3, seed=1), drawn(3, seed=2)
    at = () if name == "GradientShap" else ("layer",)
    method = getattr(pnpxai.attributors, name)(model, *at)
    given = {"target": 1, "return_convergence_delta": True}
    found, delta = method.attribute(x, rows, 5, additional_forward_args=scale, **given)
    for k in range(3):
        one = slice(k, k + 1)
        alone, alone_delta = method.attribute(x[one], rows, 5, additional_forward_args=scale[one], **given)
        assert torch.allclose(alone[0], found[k], atol=1e-12)
        assert torch.allclose(alone_delta, delta[5 * k : 5 * k + 5], atol=1e-12)


# how it is run


@pytest.mark.parametrize("name", NAMES)
def test_cost_is_what_is_run(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 4)
    method = made(pnpxai.attributors, name, "cnn")
    with counted(it.model) as counter:
        method.attribute(it.inputs, rows, 4, target=0)
    if name == "GradientShap":
        assert method.cost(it.inputs, n_samples=4) == counter.rows
    else:  # the most that it may be
        assert 12 < counter.rows <= method.cost(it.inputs, n_samples=4)


def test_ends_that_samples_share_run_once():
    it, rows = CASES["cnn"](), rows_for("cnn", 2)
    method = made(pnpxai.attributors, "LayerGradientShap", "cnn")
    with counted(it.model) as counter:
        method.attribute(it.inputs, rows, 8, target=it.targets, return_convergence_delta=True)
    # 24 points, 3 inputs, at most 2 baselines in each of the passes, and one row to look at the layer
    assert counter.rows <= 24 + 3 + 2 * 8 + 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_behind_and_nothing_grows(name):
    it, rows = CASES["skip_cnn"]().copy(), rows_for("skip_cnn", 2)
    it.model.train()
    method = made(pnpxai.attributors, name, it)
    with audit(it.model, it.inputs, rows):
        assert not method.attribute(it.inputs, rows, stdevs=0.1, target=it.targets).requires_grad
    check_growth(lambda: method.attribute(it.inputs, rows, target=it.targets))


@pytest.mark.parametrize("name", NAMES)
def test_noise_may_be_wrapped_around(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 1)
    method = made(pnpxai.attributors, name, "cnn")
    found = NoiseTunnel(method).attribute(it.inputs, nt_samples=2, stdevs=0.0, baselines=rows, target=it.targets)
    assert torch.allclose(found, method.attribute(it.inputs, rows, target=it.targets), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_public_facts_are_captums(name):
    ours, theirs = (made(library, name, "cnn") for library in (pnpxai.attributors, CAPTUM))
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()
