"""Attributions of one value of a layer, against captum and the derivatives written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import NeuronConductance, NeuronGradient, NeuronIntegratedGradients
from pnpxai.errors import ArgumentError
from tests.on_demand import CAPTUM

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor:UserWarning", "ignore:Setting:UserWarning")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, 3, 3, padding=1), nn.ReLU()
        self.hidden, self.act2, self.out = nn.Linear(3 * 16, 6), nn.ReLU(), nn.Linear(6, 4)

    def forward(self, x):
        return self.out(self.act2(self.hidden(self.act(self.conv(x)).flatten(1))))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().double().eval()


X = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BASE = 0.1 * torch.ones(1, 2, 4, 4, dtype=torch.float64)
ROWS = torch.randn(4, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
MASK = torch.arange(8).reshape(1, 2, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
METHODS = {
    "NeuronGradient": {},
    "NeuronIntegratedGradients": {"baselines": BASE.expand_as(X), "n_steps": 7},
    "NeuronDeepLift": {"baselines": BASE.expand_as(X)},
    "NeuronDeepLiftShap": {"baselines": ROWS},
    "NeuronFeatureAblation": {"baselines": 0.3, "feature_mask": MASK},
    "NeuronGuidedBackprop": {},
    "NeuronDeconvolution": {},
}
SELECTORS = [("hidden", 2), ("hidden", (4,)), ("conv", (1, 2, 3)), ("hidden", lambda value: value[:, :3].sum(1))]


@pytest.mark.parametrize(("layer", "selector"), SELECTORS, ids=["index", "tuple", "position", "function"])
@pytest.mark.parametrize("name", METHODS)
def test_it_is_captums(net, name, layer, selector):
    arguments = METHODS[name]
    here = getattr(pnpxai.attributors, name)(net, layer).attribute(X, selector, **arguments)
    there = getattr(CAPTUM, name)(net, getattr(net, layer)).attribute(X.clone(), selector, **arguments)
    assert here.shape == X.shape
    assert here.abs().max() > 0
    assert torch.allclose(here, there.detach().to(here.dtype), atol=1e-6)
    assert not here.requires_grad


@pytest.mark.parametrize("name", METHODS)
def test_at_the_layers_input_it_is_captums(net, name):
    arguments = METHODS[name]
    here = getattr(pnpxai.attributors, name)(net, net.act2).attribute(X, 1, **arguments, attribute_to_neuron_input=True)
    there = getattr(CAPTUM, name)(net, net.act2).attribute(X.clone(), 1, **arguments, attribute_to_neuron_input=True)
    assert torch.allclose(here, there.detach().to(here.dtype), atol=1e-6)


def test_gradient_shap_of_a_value_is_complete_up_to_its_samples(net):
    shares = pnpxai.attributors.NeuronGradientShap(net, "hidden").attribute(X, 2, baselines=BASE, n_samples=400)
    with torch.no_grad():
        rise = [net.hidden(net.act(net.conv(x)).flatten(1))[:, 2] for x in (X, BASE)]
    assert torch.allclose(shares.flatten(1).sum(1), rise[0] - rise[1], atol=0.05)


def test_gradient_shap_of_a_value_states_the_error_that_it_has(net):
    """The spread of its values over seeds is the mean of the errors that it states."""
    method = pnpxai.attributors.NeuronGradientShap(net, "hidden")
    settings = {"neuron_selector": 2, "baselines": BASE, "n_samples": 20}
    outcomes = [method.attribute_detailed(X, **settings, seed=seed) for seed in range(30)]
    assert torch.equal(outcomes[3].attributions, method.attribute(X, **settings, seed=3))
    spread = torch.stack([outcome.attributions for outcome in outcomes]).var(0).sum()
    stated = torch.stack([outcome.standard_error.square() for outcome in outcomes]).mean(0).sum()
    assert 0.7 < spread / stated < 1.4


@pytest.mark.parametrize("target", [1, [0, 3, 2]])
def test_conductance_is_captums(net, target):
    arguments = {"baselines": BASE, "target": target, "n_steps": 9, "method": "gausslegendre"}
    here = NeuronConductance(net, net.hidden).attribute(X, 2, **arguments)
    there = CAPTUM.NeuronConductance(net, net.hidden).attribute(X.clone(), 2, **arguments)
    assert torch.allclose(here, there.detach(), atol=1e-6)


def test_conductances_of_all_values_add_up_to_integrated_gradients(net):
    along = {"baselines": BASE, "target": 1, "n_steps": 20, "method": "gausslegendre"}
    total = sum(NeuronConductance(net, "hidden").attribute(X, k, **along) for k in range(6))
    expected = pnpxai.attributors.IntegratedGradients(net).attribute(X, **along)
    assert torch.allclose(total, expected, atol=1e-10)


def test_a_slice_is_a_sum(net):
    whole = NeuronGradient(net, "act").attribute(X, (0, slice(1, 3), slice(None)))
    parts = sum(NeuronGradient(net, "act").attribute(X, (0, i, j)) for i in (1, 2) for j in range(4))
    assert torch.allclose(whole, parts, atol=1e-12)


def test_nothing_behind_the_layer_runs(net):
    ran = []
    net.out.register_forward_hook(lambda module, args, output: ran.append(module))
    NeuronIntegratedGradients(net, "hidden").attribute(X, 0)
    assert not ran


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (True, "expected an index, a tuple of indices and slices, or a function, got True"),
        ("hidden", "expected an index"),
        ((0, 1), "expected 1 indices for a layer of shape"),
        (6, "expected an index below 6 on axis 1, got 6"),
    ],
)
def test_what_selects_no_value_is_refused(net, selector, message):
    with pytest.raises(ArgumentError, match=message):
        NeuronGradient(net, "hidden").attribute(X, selector)


def test_a_model_that_is_explained_is_given_back(net):
    net.train()
    NeuronGradient(net, "hidden").attribute(X, 0)
    assert net.training
    assert not net.hidden._forward_hooks
