"""Explainers that replace parts of the input: their answers where these are known, and their backends."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pnpxai.attributors import FeatureAblation as FeatureAblationBackend
from pnpxai.attributors import KernelShap as KernelShapBackend
from pnpxai.attributors import Lime as LimeBackend
from pnpxai.attributors import ShapleyValues
from pnpxai.attributors import ShapleyValueSampling as SamplingBackend
from pnpxai.attributors.perturbation.rise import RISE as RISEBackend
from pnpxai.explainers.perturbation.feature_ablation import FeatureAblation
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.explainers.perturbation.shapley import KernelShap, ShapleyValueSampling
from pnpxai.explainers.perturbation.shapley import ShapleyValues as ValuesExplainer
from pnpxai.strategies.feature_masks import Grid, Positions
from pnpxai.strategies.known_features import Given
from pnpxai.testing.answers import check_ignored_features, check_linear, linear_case
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES
from tests.on_demand import OnDemand

linear_model = OnDemand("sklearn.linear_model")

MLP, CNN, SERIES = (CASES[name]() for name in ("mlp", "cnn", "series"))


@pytest.mark.parametrize(
    ("explainer", "settings"),
    [(FeatureAblation, {}), (KernelShap, {"n_samples": 64}), (ShapleyValueSampling, {"n_samples": 1})],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_of_a_linear_model(explainer, settings):
    subject = Subject.of_explainer(explainer, linear_case(), **settings)
    check_linear(subject, lambda weights, inputs: weights * inputs)
    check_ignored_features(subject)
    by_mean = Subject.of_explainer(explainer, linear_case(), baseline_fn="mean", **settings)
    check_linear(by_mean, lambda weights, inputs: weights * (inputs - inputs.mean(1, keepdim=True)))


def test_of_a_linear_model_lime_nears_the_weights_with_its_samples():
    """A penalty of 1 against n samples of variance 1/4 takes about 4/n away."""
    case = linear_case()
    expected = case.model.weight.detach()[case.targets] * case.inputs
    for n in (100, 1600):
        found = Lime(case.model, n_samples=n).attribute(case.inputs, case.targets)
        assert ((found - expected).abs() < 6 / n * expected.abs() + 3 / n).all()


def test_shapley_values_at_full_budget_are_exact():
    expected = ShapleyValues(MLP.model).attribute(MLP.inputs, target=MLP.targets)
    found = KernelShap(MLP.model, n_samples=64).attribute(MLP.inputs, MLP.targets)
    assert torch.allclose(found, expected, atol=1e-9)
    assert KernelShap(MLP.model, n_samples=500).cost(MLP.inputs) == 3 * 64


@pytest.mark.parametrize("explainer", [ShapleyValueSampling, KernelShap])
def test_shapley_values_by_sampling_are_within_their_error(explainer):
    """Seeds scatter around the exact values, with a mean as near as the scatter allows."""
    mask = Given(torch.arange(16)[None] // 2)
    ids = torch.arange(16)[None, None] // 2
    exact = ShapleyValues(SERIES.model).attribute(SERIES.inputs, target=SERIES.targets, feature_mask=ids)
    n = 12 if explainer is ShapleyValueSampling else 100
    made = explainer(SERIES.model, n_samples=n, feature_mask_fn=mask)
    draws = torch.stack([made.attribute(SERIES.inputs, SERIES.targets, seed=k) for k in range(20)])
    error = draws.std(0) / math.sqrt(20)
    assert float(error.max()) > 0
    assert ((draws.mean(0) - exact).abs() <= 5 * error + 1e-3 * exact.abs().max()).all()


def test_shapley_values_sum_to_the_difference_of_scores():
    made = KernelShap(CNN.model, feature_mask_fn=Grid(cells=4), baseline_fn="invert")
    found = made.attribute(CNN.inputs, CNN.targets)[:, 0].reshape(3, 4, 2, 4, 2)[:, :, 0, :, 0].sum((1, 2))
    blank = CNN.inputs.amin((2, 3), keepdim=True) + CNN.inputs.amax((2, 3), keepdim=True) - CNN.inputs
    with torch.no_grad():
        rows = torch.arange(3)
        expected = CNN.model(CNN.inputs)[rows, CNN.targets] - CNN.model(blank)[rows, CNN.targets]
    assert torch.allclose(found, expected)


class Sensors(nn.Module):
    """A weight for each channel and time step, and a product of two channels."""

    weight = torch.arange(1.0, 19.0, dtype=torch.float64).reshape(3, 6)

    def forward(self, x):
        return (x * self.weight).flatten(1).sum(1, keepdim=True) + 2 * (x[:, :1, 0] * x[:, 1:2, 0])


@pytest.mark.parametrize(
    "made",
    [
        FeatureAblation(Sensors(), feature_mask_fn=Positions(), each_channel=True),
        Occlusion(Sensors(), window=1, stride=1, each_channel=True),
        KernelShap(Sensors(), feature_mask_fn=Positions(), each_channel=True, n_samples=4000),
        ShapleyValueSampling(Sensors(), feature_mask_fn=Positions(), each_channel=True, n_samples=40),
    ],
    ids=lambda made: type(made).__name__,
)
def test_channels_can_be_features_of_their_own(made):
    x = torch.rand(2, 3, 6, dtype=torch.float64)
    product = 2 * x[:, 0, 0] * x[:, 1, 0]
    whole = isinstance(made, (FeatureAblation, Occlusion))  # without either channel, all of the product is gone
    expected = x * Sensors.weight
    expected[:, :2, 0] += product[:, None] * (1 if whole else 0.5)
    with counted(made.model) as counter:
        found = made.attribute(x, None)
    assert torch.allclose(found, expected, rtol=0, atol=1e-9 if whole else 0.4)
    assert counter.rows == made.cost(x)
    together = made.replace(each_channel=False).attribute(x, None)
    assert torch.allclose(together, together[:, :1].expand(-1, 3, -1))


def test_channels_of_features_that_differ_between_examples():
    x = torch.rand(2, 3, 6, dtype=torch.float64)
    mask = Given(torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 3]]))
    found = FeatureAblation(Sensors(), feature_mask_fn=mask, each_channel=True).attribute(x, None)
    ones = [FeatureAblation(Sensors(), feature_mask_fn=Given(mask.ids[k : k + 1]), each_channel=True) for k in (0, 1)]
    for k, one in enumerate(ones):
        assert torch.allclose(found[k : k + 1], one.attribute(x[k : k + 1], None))
    assert torch.allclose(found[0, 2, :3].unique(), (x[0, 2, :3] * Sensors.weight[2, :3]).sum())


def test_lime_is_not_silenced_by_small_scores():
    class Small(nn.Module):
        def forward(self, x):
            return 1e-6 * MLP.model(x)

    found = Lime(Small()).attribute(MLP.inputs, MLP.targets)
    assert torch.allclose(1e6 * found, Lime(MLP.model).attribute(MLP.inputs, MLP.targets))
    assert found.abs().min() > 0


MASK = torch.arange(8)[:, None] // 2 * 4 + torch.arange(8) // 2
GRID = {"feature_mask_fn": Grid(cells=4)}
BACKENDS = [
    (FeatureAblation, GRID, lambda m, x, t: FeatureAblationBackend(m).attribute(x, 0, t, feature_mask=MASK)),
    (
        KernelShap,
        GRID,
        lambda m, x, t: KernelShapBackend(m).attribute(x, 0, t, feature_mask=MASK),
    ),
    (
        KernelShap,
        GRID | {"n_samples": 50},
        lambda m, x, t: KernelShapBackend(m).attribute(x, 0, t, feature_mask=MASK, n_samples=50),
    ),
    (
        Lime,
        GRID,
        lambda m, x, t: LimeBackend(m, linear_model.Ridge()).attribute(x, 0, t, feature_mask=MASK, n_samples=30),
    ),
    (
        ValuesExplainer,
        GRID | {"estimator": "leverage"},
        lambda m, x, t: ShapleyValues(m).attribute(x, 0, t, feature_mask=MASK, estimator="leverage"),
    ),
    (
        ShapleyValueSampling,
        GRID | {"n_samples": 10},
        lambda m, x, t: SamplingBackend(m).attribute(x, 0, t, feature_mask=MASK, n_samples=10),
    ),
    (
        RISE,
        {"n_masks": 20, "grid_size": 4, "probability": 0.3},
        lambda m, x, t: RISEBackend(m).attribute(x, 0, t, n_masks=20, grid_size=4, probability=0.3),
    ),
]


@pytest.mark.parametrize(("explainer", "settings", "expected"), BACKENDS, ids=lambda v: getattr(v, "__name__", ""))
def test_an_explainer_is_its_backend_with_its_settings(explainer, settings, expected):
    found = explainer(CNN.model, **settings).attribute(CNN.inputs, CNN.targets)
    assert torch.allclose(found, expected(CNN.model, CNN.inputs, CNN.targets), rtol=0, atol=1e-13)  # a ridge's rounding
