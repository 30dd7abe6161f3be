"""Guided backpropagation, deconvolution and Guided Grad-CAM: captum's numbers, and ReLUs wherever they run."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import Deconvolution, GuidedBackprop, GuidedGradCam, NoiseTunnel, Saliency
from pnpxai.errors import ArgumentError, ConfinedError
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import agree, built, drawn, mended
from tests.on_demand import CAPTUM

NAMES = ["GuidedBackprop", "Deconvolution"]


pytestmark = pytest.mark.usefixtures("captum_may_warn")


class Modules(nn.Module):
    """Two ReLUs as modules, one of them in place."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.relu, self.in_place = nn.ReLU(), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.head(self.in_place(self.second(self.relu(self.first(x)))))


class Functions(Modules):
    """The same, as functions and methods."""

    def forward(self, x):
        return self.head(self.second(nn.functional.relu(self.first(x))).relu_())


class Torch(Modules):
    """The same, once more."""

    def forward(self, x):
        return self.head(nn.functional.relu(self.second(torch.relu(self.first(x))), True))


def both(name, case, *more, **given):
    it = CASES[case]()
    given = {"target": it.targets} | given
    found = []
    for library in (pnpxai.attributors, CAPTUM):
        modules = [it.model.get_submodule(layer) for layer in more]
        found.append(getattr(library, name)(it.model, *modules).attribute(it.inputs, **given))
    return found


@pytest.mark.parametrize("given", [{}, {"target": 1}, {"target": torch.tensor([1, 0, 2])}], ids=str)
@pytest.mark.parametrize("case", ["cnn", "skip_cnn"])
@pytest.mark.parametrize("name", NAMES)
def test_same_as_captum(name, case, given):
    agree(*both(name, case, **given))


@pytest.mark.parametrize("name", NAMES)
def test_same_as_captum_on_resnet18(name):
    agree(*both(name, "resnet18"))


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_by_hand(name):
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    x = drawn(4, 5)
    hidden = model[0](x)
    back = model[2].weight[1].clamp(min=0).expand(4, 6)
    expected = (back * (hidden > 0) if name == "GuidedBackprop" else back) @ model[0].weight
    found = getattr(pnpxai.attributors, name)(model).attribute(x, 1)
    assert torch.allclose(found, expected.detach())


@mended()
@pytest.mark.parametrize("written", [Functions, Torch], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_relu_counts_however_it_is_written(library, name, written):
    x = drawn(4, 5)
    as_modules, otherwise = built(Modules), built(written)
    otherwise.load_state_dict(as_modules.state_dict())
    found = getattr(library, name)(otherwise).attribute(x, 1)
    assert torch.allclose(found, getattr(pnpxai.attributors, name)(as_modules).attribute(x, 1))
    assert not torch.allclose(found, Saliency(as_modules).attribute(x, 1, abs=False))


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_program_is_explained_as_its_source(name):
    model, x = built(Modules), drawn(4, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(model, (x,)).module()
    method = getattr(pnpxai.attributors, name)
    assert torch.allclose(method(exported).attribute(x, 1), method(model).attribute(x, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_model_is_explained_as_its_source(name):
    model, x = built(Modules), drawn(4, 5)
    method = getattr(pnpxai.attributors, name)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(method(compiled).attribute(x, 1), method(model).attribute(x, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_scripted_part_is_refused(name):
    with pytest.warns((FutureWarning, DeprecationWarning), match=r"torch.jit.script"):
        model = nn.Sequential(nn.Linear(3, 3), torch.jit.script(nn.ReLU()))
    with pytest.raises(ConfinedError, match="scripted model cannot be seen; pass the original Python model"):
        getattr(pnpxai.attributors, name)(model).attribute(torch.ones(1, 3), 0)


@pytest.mark.parametrize("name", NAMES)
def test_without_relus_it_is_the_gradient(name):
    it = CASES["series"]()
    model = nn.Sequential(it.model.conv1, nn.Tanh(), nn.Flatten(), nn.Linear(64, 2).double())
    found = getattr(pnpxai.attributors, name)(model).attribute(it.inputs, 1)
    assert torch.allclose(found, Saliency(model).attribute(it.inputs, 1, abs=False))


@mended()
@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_are_not_finite_are_refused(library, name):
    it = CASES["cnn"]().copy()
    it.inputs[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="inputs: expected finite numbers"):
        getattr(library, name)(it.model).attribute(it.inputs, 0)


@pytest.mark.parametrize("name", NAMES)
def test_several_inputs_of_other_dtypes(name):
    it = CASES["two_inputs"]().to(torch.float16)
    found = getattr(pnpxai.attributors, name)(it.model).attribute(it.inputs, it.targets)
    assert isinstance(found, tuple)
    assert [f.dtype for f in found] == [torch.float16] * 2
    assert [f.shape for f in found] == [x.shape for x in it.inputs]


@pytest.mark.parametrize("name", NAMES)
def test_cost_parts_and_what_is_left(name, monkeypatch):
    it = CASES["skip_cnn"]().copy()
    it.model.train()
    method = getattr(pnpxai.attributors, name)(it.model)
    assert method.forward_func is method.model is it.model
    with audit(it.model, it.inputs), counted(it.model) as counter:
        whole = method.attribute(it.inputs, it.targets)
    assert counter.rows == method.cost(it.inputs) == 3
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (1, 1))
    assert torch.allclose(method.attribute(it.inputs, it.targets), whole, atol=1e-12)
    check_growth(lambda: method.attribute(it.inputs, it.targets))


@pytest.mark.parametrize("name", NAMES)
def test_noise_may_be_wrapped_around(name):
    it = CASES["cnn"]()
    method = getattr(pnpxai.attributors, name)(it.model)
    found = NoiseTunnel(method).attribute(it.inputs, nt_samples=3, stdevs=0.0, target=it.targets)
    assert torch.allclose(found, method.attribute(it.inputs, it.targets))


# Guided Grad-CAM


@pytest.mark.parametrize("given", [{}, {"attribute_to_layer_input": True}, {"interpolate_mode": "bilinear"}], ids=str)
@pytest.mark.parametrize(("case", "layer"), [("cnn", "0"), ("cnn", "3"), ("skip_cnn", "conv2"), ("resnet18", "layer2")])
def test_guided_grad_cam_is_captums(case, layer, given):
    agree(*both("GuidedGradCam", case, layer, target=CASES[case]().other_targets, **given), tolerance=1e-9)


def test_guided_grad_cam_is_the_product_of_its_parts():
    it = replace(CASES["cnn"](), targets=CASES["cnn"]().other_targets)
    cam = pnpxai.attributors.LayerGradCam(it.model, "3").attribute(it.inputs, it.targets, relu_attributions=True)
    guided = GuidedBackprop(it.model).attribute(it.inputs, it.targets)
    resized = pnpxai.attributors.LayerAttribution.interpolate(cam, (8, 8), "nearest")
    method = GuidedGradCam(it.model, "3")
    assert torch.equal(method.attribute(it.inputs, it.targets), guided * resized)
    assert resized.any()
    with counted(it.model) as counter:
        method.attribute(it.inputs, it.targets)
    assert counter.rows == method.cost(it.inputs)


def test_an_input_without_the_maps_dimensions_gets_nothing():
    ours, captums = both("GuidedGradCam", "two_inputs", "conv")
    assert ours[0].shape == (3, 1, 6, 6)
    assert ours[0].any()
    assert [m.shape for m in ours] == [m.shape for m in captums] == [(3, 1, 6, 6), (0,)]


@mended()
def test_a_layer_without_positions_is_refused(library):
    it = CASES["cnn"]()
    with pytest.raises(ValueError, match="layer: expected a map with the dimensions of an input"):
        library.GuidedGradCam(it.model, it.model[6]).attribute(it.inputs, 0)


def test_a_layer_with_several_tensors_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = nn.Identity()

        def forward(self, x):
            a, b = self.pair((x, x * 2))
            return (a * b).flatten(1)

    with pytest.raises(ArgumentError, match="layer: expected one with a single tensor, got 2 of them"):
        GuidedGradCam(Twice(), "pair").attribute(torch.rand(2, 1, 3, 3), 0)


@pytest.mark.parametrize("name", [*NAMES, "GuidedGradCam"])
def test_public_facts_are_captums(name):
    it = CASES["cnn"]()
    more = (it.model[0],) if name == "GuidedGradCam" else ()
    ours, theirs = (getattr(library, name)(it.model, *more) for library in (pnpxai.attributors, CAPTUM))
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()


def test_deconvolution_is_not_guided_backpropagation():
    it = CASES["cnn"]()
    guided, plain = (kind(it.model).attribute(it.inputs, it.targets) for kind in (GuidedBackprop, Deconvolution))
    assert not torch.allclose(guided, plain)


def _written(x):
    x = x.clone()
    x[x < 0] = 0
    return x


BY_HAND = {
    "clamp": lambda x: x.clamp(min=0),
    "clamp_": lambda x: x.clone().clamp_(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "clip": lambda x: x.clip(0),
    "threshold": lambda x: nn.functional.threshold(x, 0, 0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "max": lambda x: torch.max(torch.zeros(()).to(x), x),
    "product": lambda x: x * (x > 0),
    "product of floats": lambda x: (x >= 0).to(x.dtype) * x,
    "product of the contrary": lambda x: x * ~(x < 0),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "where not": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "where, reflected": lambda x: torch.where(0 < x, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "written": _written,
}


class _WithActivation(nn.Module):
    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.activation = nn.Linear(5, 9).double(), nn.Linear(9, 3).double(), activation

    def forward(self, x):
        return self.b(self.activation(self.a(x)))


@pytest.mark.parametrize("kind", [GuidedBackprop, Deconvolution])
@pytest.mark.parametrize("name", BY_HAND)
def test_a_relu_written_by_hand_is_a_relu(name, kind):
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = kind(_WithActivation(torch.relu)).attribute(x, target=1)
    assert torch.allclose(kind(_WithActivation(BY_HAND[name]), needs_relu=True).attribute(x, target=1), expected)
    assert not torch.allclose(Saliency(_WithActivation(torch.relu)).attribute(x, target=1, abs=False), expected)


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.clamp(min=-1),
        lambda x: x.clamp(0, 1),
        lambda x: x * (x > 0.1),
        lambda x: torch.where(x > 0, x, 0.1 * x),
        lambda x: x * (-x > 0),
        torch.tanh,
    ],
    ids=["other limit", "two limits", "other threshold", "leaky", "of another tensor", "no ReLU"],
)
def test_what_is_no_relu_keeps_its_gradient(other):
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = _WithActivation(other)
    expected = Saliency(model).attribute(x, target=1, abs=False)
    assert torch.allclose(GuidedBackprop(model).attribute(x, target=1), expected)
