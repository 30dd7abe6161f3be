"""How values and gradients of layers are computed: what is refused, dtypes, graphs, passes, wrappers and noise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import LayerActivation, LayerGradCam, LayerGradientXActivation, NoiseTunnel
from pnpxai.attributors.gradient.noisy_copies import noisy_copies
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, NonFiniteError
from pnpxai.testing.audit import audit
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import (
    Pairs,
    TimeFirst,
    built,
    drawn,
    explain,
    mended,
)
from tests.on_demand import CAPTUM

METHODS = ["LayerActivation", "LayerGradientXActivation"]


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_a_layer_that_runs_twice_is_refused(library, name):
    it = CASES["skip_cnn"]()
    given = {} if name == "LayerActivation" else {"target": 0}
    with pytest.raises(ValueError, match="layer 'relu' runs more than once in a forward pass"):
        explain(library, name, it.model, "relu", it.inputs, **given)


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_numbers_that_are_not_finite_are_refused(library, name):
    it = CASES["mlp"]().copy()
    it.inputs[1, 2] = float("nan")
    given = {} if name == "LayerActivation" else {"target": 0}
    with pytest.raises(NonFiniteError, match="inputs: expected finite numbers"):
        explain(library, name, it.model, "first", it.inputs, **given)


def test_gaps_that_the_model_fills_are_read_as_they_are():
    class Filling(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen, self.head = nn.Identity(), nn.Linear(3, 2)

        def forward(self, x):
            return {"logit": self.head(self.seen(x).nan_to_num(0.0)), "gaps": x.isnan()}

    x = torch.tensor([[1.0, torch.nan, 2.0], [0.0, 1.0, 3.0]])
    assert torch.equal(LayerActivation(Filling(), "seen").attribute(x).nan_to_num(7.0), x.nan_to_num(7.0))


@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "apart"])
def test_values_are_read_whatever_the_output_holds(mixed, monkeypatch):
    class Boxes(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 4)

        def forward(self, x):
            body = self.body(x - x.mean(0) if mixed else x)
            return [{"boxes": row[k % 2 :], "scores": row[:2]} for k, row in enumerate(body)]

    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (2, 2))
    model, x = built(Boxes), drawn(5, 3)
    found = LayerActivation(model, "body").attribute(x)
    assert torch.allclose(found, model.body(x - x.mean(0) if mixed else x), atol=1e-12)


@mended()
def test_a_result_holds_no_graph(library):
    it = CASES["mlp"]()
    found = explain(library, "LayerGradientXActivation", it.model, "first", it.inputs, target=0)
    assert not found.requires_grad


@mended()
@pytest.mark.parametrize("name", METHODS)
def test_a_model_in_train_mode_is_explained_in_eval_mode(library, name):
    it = CASES["mlp"]()
    model = nn.Sequential(nn.Dropout(0.5), it.model)
    given = {} if name == "LayerActivation" else {"target": 0}
    trained = explain(library, name, model.train(), "1.first", it.inputs, **given)
    assert torch.equal(trained, explain(library, name, model.eval(), "1.first", it.inputs, **given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_the_dtype_is_the_layers(name, dtype):
    it = CASES["mlp"]().to(dtype)
    given = {} if name == "LayerActivation" else {"target": 0}
    assert explain(pnpxai.attributors, name, it.model, "first", it.inputs, **given).dtype == dtype


def test_the_graph_is_kept_where_asked_for():
    it = CASES["mlp"]().copy()
    x = it.inputs.clone().requires_grad_()
    found = LayerGradientXActivation(it.model, "first").attribute(x, it.targets, grad_kwargs={"create_graph": True})
    (by_input,) = torch.autograd.grad(found.sum(), x)
    near = x.detach().clone()
    near[0, 1] += 1e-6
    plain = LayerGradientXActivation(it.model, "first")
    slope = (plain.attribute(near, it.targets) - plain.attribute(x, it.targets)).sum() / 1e-6
    assert torch.allclose(slope, by_input[0, 1], atol=1e-5)


def test_results_go_to_the_cpu_where_asked_for():
    it = CASES["mlp"]()
    saving = LayerGradientXActivation(it.model, "first", memory_efficient=True)
    found = saving.attribute(it.inputs, it.targets)
    assert found.device.type == "cpu"
    assert torch.equal(found, LayerGradientXActivation(it.model, "first").attribute(it.inputs, it.targets))


def test_nothing_behind_the_layer_runs_for_its_value():
    it = CASES["cnn"]().copy()
    rows = []
    it.model[6].register_forward_pre_hook(lambda module, args: None if is_probe() else rows.append(len(args[0])))
    LayerActivation(it.model, "0").attribute(it.inputs)
    assert not rows  # but for the probe, by which it is seen that the layer does not run again


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_cost_is_what_is_run(name, examples):
    it = CASES["cnn"]().take(slice(0, examples))
    method = getattr(pnpxai.attributors, name)(it.model, "0")
    with counted(it.model) as counter:
        method.attribute(it.inputs, **({} if name == "LayerActivation" else {"target": 0}))
    assert method.cost(it.inputs) == counter.rows


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_left_behind(name):
    it = CASES["skip_cnn"]().copy()
    it.model.train()
    given = {} if name == "LayerActivation" else {"target": 0}
    with audit(it.model, it.inputs):
        explain(pnpxai.attributors, name, it.model, "bn1", it.inputs, **given)
    with audit(it.model, it.inputs), pytest.raises(ArgumentError):
        explain(pnpxai.attributors, name, it.model, "relu", it.inputs, **given)


def test_layers_may_be_named():
    it = CASES["skip_cnn"]()
    named = LayerActivation(it.model, ["stem.0", "head"]).attribute(it.inputs)
    by_module = LayerActivation(it.model, [it.model.stem[0], it.model.head]).attribute(it.inputs)
    assert all(map(torch.equal, named, by_module))
    with pytest.raises(ArgumentError, match=r"no layer or forward argument 'steam'; did you mean 'stem'\?"):
        LayerActivation(it.model, "steam").attribute(it.inputs)


@pytest.mark.parametrize("layer", ["0", nn.Conv2d], ids=["name", "module"])
@pytest.mark.parametrize("name", [*METHODS, "LayerIntegratedGradients", "LayerConductance", "LayerGradCam"])
def test_a_data_parallel_model_is_explained_as_what_it_wraps(name, layer):
    it = CASES["cnn"]()
    given = {} if name == "LayerActivation" else {"target": it.targets}
    of = getattr(pnpxai.attributors, name)
    wrapped = of(nn.DataParallel(it.model), layer if layer == "0" else it.model[0], device_ids=[0])
    found = wrapped.attribute(it.inputs, **given)
    assert torch.equal(found, of(it.model, it.model[0]).attribute(it.inputs, **given))


@mended()
def test_a_value_that_is_infinite_is_refused(library):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.mask = nn.Identity()

        def forward(self, x):
            return self.mask(x.masked_fill(x < 0, -torch.inf)).exp()

    model, x = Masked(), torch.tensor([[1.0, -1.0]])
    assert explain(pnpxai.attributors, "LayerActivation", model, "mask", x)[0, 1] == -torch.inf
    with pytest.raises(ValueError, match="attributions: expected finite numbers"):
        explain(library, "LayerGradientXActivation", model, "mask", x, target=0)


@pytest.mark.parametrize("name", METHODS)
def test_public_facts_are_captums(name):
    it = CASES["cnn"]()
    ours, theirs = (getattr(library, name)(it.model, it.model[0]) for library in (pnpxai.attributors, CAPTUM))
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()


@pytest.mark.parametrize("name", ["LayerGradCam", "LayerGradientXActivation", "LayerActivation"])
@pytest.mark.parametrize("rows", [1, 2, 256])
def test_noise_is_averaged_at_a_layer(name, rows, monkeypatch):
    it = CASES["cnn"]()
    method = getattr(pnpxai.attributors, name)(it.model, "0")
    given = {} if name == "LayerActivation" else {"target": it.targets}
    stream = RandomStream(5).of_examples((it.inputs,))
    copies = noisy_copies((it.inputs,), [0.3], stream, Block(range(3), range(4)))[0].split(3)
    expected = torch.stack([method.attribute(copy, **given) for copy in copies]).mean(0)
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (rows, rows))
    found = NoiseTunnel(method).attribute(it.inputs, nt_samples=4, stdevs=0.3, seed=5, **given)
    assert torch.allclose(found, expected, atol=1e-12)


def test_noise_at_a_layer_with_several_tensors():
    model, x = built(Pairs, more=True), drawn(4, 6)
    method = LayerGradientXActivation(model, "both")
    given = {"target": 1, "attribute_to_layer_input": True}
    found = NoiseTunnel(method).attribute(x, nt_samples=3, stdevs=0.0, **given)
    plain = method.attribute(x, **given)
    assert found[2] is None
    assert all(torch.allclose(a, b) for a, b in zip(found, plain, strict=True) if a is not None)


def test_noise_needs_rows_that_are_the_copies():
    method = LayerGradientXActivation(built(TimeFirst), "cell")
    with pytest.raises(ArgumentError, match="expected a row for each of 6 noisy copies"):
        NoiseTunnel(method).attribute(drawn(2, 5, 2), nt_samples=3, stdevs=0.1, target=0)


def test_grad_cam_takes_what_autograd_takes():
    it = CASES["cnn"]()
    plain = LayerGradCam(it.model, "0").attribute(it.inputs, it.targets)
    kept = LayerGradCam(it.model, "0").attribute(it.inputs, it.targets, grad_kwargs={"create_graph": True})
    assert kept.requires_grad
    assert torch.allclose(plain, kept.detach())


class WithLoss(nn.Module):
    """A layer beside whose values stands a number of the whole batch, as the loss of a router does."""

    def __init__(self, *, loss):
        super().__init__()
        self.inner, self.loss = nn.Linear(3, 4), loss

    def forward(self, x):
        return (self.inner(x), x.square().mean()) if self.loss else (self.inner(x),)


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "LayerConductance"])
def test_a_number_of_the_whole_batch_beside_a_layers_values_gets_nothing(name):
    class Model(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, self.head = layer, nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.layer(x)[0].tanh())

    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    model = Model(WithLoss(loss=True))
    values, number = getattr(pnpxai.attributors, name)(model, model.layer).attribute(x, target=0)
    model.layer.loss = False
    right = getattr(pnpxai.attributors, name)(model, model.layer.inner).attribute(x, target=0)
    assert torch.allclose(values, right, atol=1e-6)
    assert (number.ndim, float(number)) == (0, 0.0)
