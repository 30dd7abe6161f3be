"""GradientShap, DeepLift, guided backpropagation and their like, against what is known of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import DeepLift as DeepLiftBackend
from pnpxai.attributors import DeepLiftShap as DeepLiftShapBackend
from pnpxai.declare.registry import by_name
from pnpxai.detector import detect
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.backprop import Deconvolution, GuidedBackprop
from pnpxai.explainers.gradient.gradient_shap import ExpectedGradients, GradientShap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGradSquared
from pnpxai.explainers.propagation.deeplift import DeepLift, DeepLiftShap
from pnpxai.explainers.propagation.full_grad import FullGrad
from pnpxai.strategies.baselines import EachBaseline, Mean
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.tensors import as_tuple
from pnpxai.testing.answers import check_linear, linear_case
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

CNN, MLP, TWO, SKIP, VIT = (CASES[name]() for name in ("cnn", "mlp", "two_inputs", "skip_cnn", "vit"))


class Quadratic(nn.Module):
    """A sum of weighted squares."""

    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)

    def forward(self, x):
        return (self.weights * x**2).sum(1, keepdim=True)


@pytest.mark.parametrize("baseline", ["zeros", "mean"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_gradient_shap_of_a_quadratic_is_its_expectation(noise, baseline):
    x = torch.tensor([[1.0, 2.0, -1.0, 0.5], [0.25, -0.5, 3.0, 1.0]], dtype=torch.float64)
    b = Mean()(x) if baseline == "mean" else torch.zeros_like(x)
    w, d = Quadratic.weights, x - b
    deviation = noise * (x.amax(1, keepdim=True) - x.amin(1, keepdim=True))
    # 2w (b + u (d + n)) (d + n), in the mean over u in [0, 1] and n
    expected = 2 * w * b * d + w * (d**2 + deviation**2)
    made = GradientShap(Quadratic(), n_samples=50, noise_level=noise, baseline_fn=baseline)
    draws = torch.stack([made.attribute(x, seed=seed) for seed in range(40)])
    error = draws.std(0) / 40**0.5
    assert ((draws.mean(0) - expected).abs() <= 4 * error + 1e-12).all()
    assert (error < 0.2 * expected.abs().max()).all()


def test_gradient_shap_takes_each_examples_own_baseline():
    made = GradientShap(MLP.model, n_samples=400, noise_level=0.0, baseline_fn="mean")
    explained = made.explain(MLP.inputs, MLP.targets)
    with torch.no_grad():
        rise = (MLP.model(MLP.inputs) - MLP.model(Mean()(MLP.inputs)))[range(3), MLP.targets]
    total = explained.attributions[0].sum(1)
    assert torch.allclose(total, rise, atol=0.05 * float(rise.abs().max()))
    assert torch.allclose(explained.gap, total - rise, atol=1e-10)


def test_expected_gradients_is_another_name():
    assert ExpectedGradients is GradientShap
    assert by_name(Explainer, "ExpectedGradients", "explainer") is GradientShap


@pytest.mark.parametrize(
    ("explainer", "settings"),
    [
        (DeepLift, {}),
        (DeepLift, {"baseline_fn": "mean"}),
        (DeepLiftShap, {}),
        (DeepLiftShap, {"background_data": "mean"}),
    ],
)
def test_deeplift_of_a_linear_model_is_integrated_gradients(explainer, settings):
    case = linear_case()
    baseline = next(iter(settings.values()), "zeros")
    expected = IntegratedGradients(case.model, 1, baseline).attribute(case.inputs, case.targets)
    assert torch.allclose(explainer(case.model, **settings).attribute(case.inputs, case.targets), expected)


@pytest.mark.parametrize("name", ["mlp", "cnn", "skip_cnn", "two_inputs", "vit", "tokens"])
@pytest.mark.parametrize("baseline", ["zeros", "mean"])
def test_deeplift_is_complete(name, baseline):
    case = CASES[name]()
    explained = DeepLift(case.model, baseline).explain(case.inputs, case.targets)
    assert explained.gap.abs().max() < 1e-10
    assert all(a.abs().max() > 1e-3 for a in explained.attributions)


def test_over_a_background_deeplift_is_averaged():
    rows = tuple(torch.randn(4, *x.shape[1:], dtype=torch.float64) for x in TWO.inputs)
    found = DeepLiftShap(TWO.model, rows).attribute(TWO.inputs, TWO.targets)
    each = [
        DeepLiftBackend(TWO.model).attribute(TWO.inputs, tuple(r[k : k + 1] for r in rows), TWO.targets)
        for k in range(4)
    ]
    for one, members in zip(found, zip(*each, strict=True), strict=True):
        assert torch.allclose(one, torch.stack(members).mean(0), atol=1e-12)
    explained = DeepLiftShap(TWO.model, rows).explain(TWO.inputs, TWO.targets)
    assert explained.gap.shape == (3,)
    assert explained.gap.abs().max() < 1e-10


def test_a_background_is_shared_by_all_examples():
    rows = torch.randn(3, 6, dtype=torch.float64)
    expected = DeepLiftShap(MLP.model, rows).attribute(MLP.inputs, MLP.targets)
    found = DeepLiftShap(MLP.model, Background(rows)).attribute(MLP.inputs, MLP.targets)
    assert torch.equal(found, expected)
    made = GradientShap(MLP.model, 2000, 0.0, Background(rows))
    assert torch.allclose(made.attribute(MLP.inputs, MLP.targets), expected, atol=0.15 * float(expected.abs().max()))
    with torch.no_grad():
        rise = MLP.model(MLP.inputs)[range(3), MLP.targets] - MLP.model(rows)[:, MLP.targets].mean(0)
    assert torch.allclose(made.attribute(MLP.inputs, MLP.targets).sum(1), rise, atol=0.03)


def test_a_background_is_a_setting_like_others():
    rows = torch.randn(2, 6, dtype=torch.float64)
    made = DeepLiftShap(MLP.model, rows)
    assert DeepLiftShap.from_dict(made.to_dict(), MLP.model) == made
    assert made != DeepLiftShap(MLP.model, rows + 1)
    assert made.cost(MLP.inputs) == 2 * 2 * 3
    expected = DeepLiftShapBackend(MLP.model).attribute(MLP.inputs, rows, MLP.targets)
    assert torch.equal(made.attribute(MLP.inputs, MLP.targets), expected)


@pytest.mark.parametrize(
    ("background", "message"),
    [
        (3, r"background_data: expected a tensor \(rows, \.\.\.\), a tuple of them or a baseline, got int"),
        ((), "background_data: expected a tensor"),
        (torch.tensor(1.0), "background_data: expected a tensor"),
        ("zero", "no baseline 'zero'; did you mean 'zeros'"),
    ],
)
def test_a_wrong_background_is_refused(background, message):
    with pytest.raises(ArgumentError, match=message):
        DeepLiftShap(MLP.model, background)


def by_hand(x, targets, rule):
    """Return what flows back through the plain convolutional network, its ReLUs ruled by ``rule(gradient, input)``."""
    first, _, _, second, _, _, head = CNN.model
    with torch.no_grad():
        a = first(x)
        pooled, places = F.max_pool2d(a.relu(), 2, return_indices=True)
        b = second(pooled)
        back = head.weight[targets].unflatten(1, b.shape[1:])
        back = F.conv_transpose2d(rule(back, b), second.weight)
        back = F.max_unpool2d(back, places, 2)
        return F.conv_transpose2d(rule(back, a), first.weight, padding=1)


@pytest.mark.parametrize(
    ("explainer", "rule"),
    [
        (Gradient, lambda back, x: back * (x > 0)),
        (GuidedBackprop, lambda back, x: back.clamp(min=0) * (x > 0)),
        (Deconvolution, lambda back, x: back.clamp(min=0)),
    ],
)
def test_what_flows_back_is_what_a_hand_would_compute(explainer, rule):
    found = explainer(CNN.model).attribute(CNN.inputs, CNN.targets)
    assert torch.allclose(found, by_hand(CNN.inputs, CNN.targets, rule), atol=1e-12)
    assert found.abs().max() > 0


@pytest.mark.parametrize("explainer", [GuidedBackprop, Deconvolution])
def test_without_a_relu_they_are_refused(explainer):
    reason = explainer.reason_against(detect(VIT.model), VIT.traits)
    assert reason == "changes what ReLUs pass back; VisionTransformer has none, so it would be the plain gradient"
    assert explainer.reason_against(detect(SKIP.model), SKIP.traits) is None
    name = explainer.__name__
    with pytest.raises(
        UnsuitableError, match=f"{name}: no ReLU runs in the model, so this would be the plain gradient"
    ):
        explainer(VIT.model).attribute(VIT.inputs, VIT.targets)
    # after its last ReLU a model has none
    with pytest.raises(UnsuitableError, match="no ReLU runs"):
        explainer(CNN.model, layer="4").attribute(CNN.inputs, CNN.targets)


class AsFunction(nn.Module):
    def forward(self, x):
        return F.relu(x)


class AsMethod(nn.Module):
    def forward(self, x):
        return x.clone().relu_()


class AsAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = F.relu

    def forward(self, x):
        return self.act(x)


class Smooth(nn.Module):
    def forward(self, x):
        return F.gelu(x)


@pytest.mark.parametrize("form", [nn.ReLU, AsFunction, AsMethod, AsAttribute, Smooth], ids=lambda f: f.__name__)
def test_a_relu_is_detected_in_any_form(form):
    facts = detect(nn.Sequential(nn.Linear(2, 2), form()))
    assert facts.rectified == (form is not Smooth)


def test_full_grad_does_not_fit_tokens():
    assert "lie tokens" in FullGrad.reason_against(detect(VIT.model), VIT.traits)
    assert FullGrad.reason_against(detect(MLP.model)) == "needs convolution; Perceptron has linear"


@pytest.mark.parametrize("name", ["mlp", "skip_cnn"])
def test_the_mean_square_is_that_of_a_plain_loop(name):
    case = CASES[name]()
    x, squares = case.inputs, []
    spread = (x.flatten(1).amax(1) - x.flatten(1).amin(1)).reshape(-1, *[1] * (x.ndim - 1))
    draws = RandomStream(2).of_examples((x,)).draws("noise", 0)
    for k in range(5):
        noise = draws.at(k).normal(x.shape[1:], x) if k < 4 else 0
        noisy = (x + 0.15 * spread * noise).requires_grad_()
        squares.append(torch.autograd.grad(case.model(noisy)[range(len(x)), case.targets].sum(), noisy)[0] ** 2)
    found = SmoothGradSquared(case.model, 0.15, 5).attribute(x, case.targets, seed=2)
    assert torch.allclose(found, torch.stack(squares).mean(0), atol=1e-10)


def test_the_mean_square_of_a_linear_model():
    check_linear(Subject.of_explainer(SmoothGradSquared, linear_case(), n_iter=3), lambda weights, inputs: weights**2)


@pytest.mark.parametrize("explainer", [DeepLift, GradientShap, DeepLiftShap], ids=lambda e: e.__name__)
def test_several_inputs_have_baselines_of_their_own(explainer):
    name = "background_data" if explainer is DeepLiftShap else "baseline_fn"
    made = explainer(TWO.model, **{name: EachBaseline(("mean", "zeros"))})
    plain = explainer(TWO.model, **{name: "zeros"})
    found, other = (as_tuple(e.attribute(TWO.inputs, TWO.targets)) for e in (made, plain))
    assert not torch.allclose(found[0], other[0])
    with torch.no_grad():
        starts = TWO.model(Mean()(TWO.inputs[0]), torch.zeros_like(TWO.inputs[1]))[range(3), TWO.targets]
        rise = TWO.model(*TWO.inputs)[range(3), TWO.targets] - starts
    total = sum(a.flatten(1).sum(1) for a in found)
    if explainer is not GradientShap:
        assert torch.allclose(total, rise, atol=1e-10)
    assert torch.allclose(total, rise, atol=0.7)
