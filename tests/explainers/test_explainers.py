"""Every explainer is its backend with its settings; each has its answer on a linear model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import LRP as LRPBackend
from pnpxai.attributors import InputXGradient, Saliency, UpsampledGradCam
from pnpxai.attributors import IntegratedGradients as IGBackend
from pnpxai.attributors import Occlusion as OcclusionBackend
from pnpxai.errors import ArgumentError
from pnpxai.explainers.cam.grad_cam import GradCAM, GradCam
from pnpxai.explainers.controls import InputOnly, RandomMap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.propagation.lrp import LRPEpsilonPlus
from pnpxai.strategies.baselines import Mean
from pnpxai.testing.answers import check_ignored_features, check_linear, check_sums_to, linear_case
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

CNN, MLP = CASES["cnn"](), CASES["mlp"]()

ANSWERS = [
    (Gradient, {}, lambda weights, inputs: weights),
    (GradientXInput, {}, lambda weights, inputs: weights * inputs),
    (IntegratedGradients, {"n_steps": 1}, lambda weights, inputs: weights * inputs),
    (
        IntegratedGradients,
        {"n_steps": 1, "baseline_fn": "mean"},
        lambda weights, inputs: weights * (inputs - inputs.mean(1, keepdim=True)),
    ),
    (Occlusion, {"window": 1, "stride": 1}, lambda weights, inputs: weights * inputs),
    (InputOnly, {}, lambda weights, inputs: (inputs - inputs.mean(1, keepdim=True)).abs()),
]


@pytest.mark.parametrize(("explainer", "settings", "answer"), ANSWERS, ids=lambda v: getattr(v, "__name__", ""))
def test_of_a_linear_model(explainer, settings, answer):
    subject = Subject.of_explainer(explainer, linear_case(), **settings)
    check_linear(subject, answer)
    if not explainer.control and "baseline_fn" not in settings:
        check_ignored_features(subject)


BACKENDS = [
    (Gradient, {}, lambda m, x, t: Saliency(m).attribute(x, t, abs=False)),
    (GradientXInput, {}, lambda m, x, t: InputXGradient(m).attribute(x, t)),
    (IntegratedGradients, {"n_steps": 7}, lambda m, x, t: IGBackend(m).attribute(x, 0, t, n_steps=7)),
    (
        IntegratedGradients,
        {"n_steps": 7, "baseline_fn": Mean()},
        lambda m, x, t: IGBackend(m).attribute(x, Mean()(x), t, n_steps=7),
    ),
    (Occlusion, {}, lambda m, x, t: OcclusionBackend(m).attribute(x, (2, 3, 3), (2, 1, 1), 0, t)),
    (Occlusion, {"window": 1 / 4}, lambda m, x, t: OcclusionBackend(m).attribute(x, (2, 2, 2), (2, 1, 1), 0, t)),
    (
        Occlusion,
        {"window": (4, 2), "stride": 2},
        lambda m, x, t: OcclusionBackend(m).attribute(x, (2, 4, 2), (2, 2, 2), 0, t),
    ),
    (
        Occlusion,
        {"window": 100, "stride": 3},
        lambda m, x, t: OcclusionBackend(m).attribute(x, (2, 8, 8), (2, 3, 3), 0, t),
    ),
    (GradCam, {}, lambda m, x, t: UpsampledGradCam(m).attribute(x, t)),
    (
        GradCam,
        {"interpolate_mode": "nearest", "layer": "0"},
        lambda m, x, t: UpsampledGradCam(m, "0", "nearest").attribute(x, t),
    ),
]


@pytest.mark.parametrize(("explainer", "settings", "expected"), BACKENDS, ids=lambda v: getattr(v, "__name__", ""))
def test_an_explainer_is_its_backend_with_its_settings(explainer, settings, expected):
    found = explainer(CNN.model, **settings).attribute(CNN.inputs, CNN.targets)
    assert torch.equal(found, expected(CNN.model, CNN.inputs, CNN.targets))


def test_relevance_by_epsilon_plus_is_zennits():
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import EpsilonPlus

    composite = EpsilonPlus(epsilon=0.1, stabilizer=1e-6, canonizers=[SequentialMergeBatchNorm()])
    expected = LRPBackend(CNN.model, composite).attribute(CNN.inputs, CNN.targets)
    assert torch.allclose(LRPEpsilonPlus(CNN.model, epsilon=0.1).attribute(CNN.inputs, CNN.targets), expected)


@pytest.mark.parametrize("name", ["cnn", "skip_cnn", "series"])
def test_relevance_is_conserved(name):
    case = CASES[name]()
    explanation = LRPEpsilonPlus(case.model).explain(case.inputs, case.targets)
    assert explanation.gap.abs().max() < 1e-6


def test_integrated_gradients_sum_to_the_difference_of_scores():
    with torch.no_grad():
        blank = MLP.model(torch.zeros_like(MLP.inputs))[range(3), MLP.targets]
    subject = Subject.of_explainer(IntegratedGradients, MLP, n_steps=300)
    check_sums_to(subject, MLP, lambda score: score - blank, tolerance=2e-3)


def test_grad_cam_goes_by_both_spellings():
    assert GradCAM is GradCam


def test_grad_cam_resizes_each_way_differently():
    maps = [GradCam(CNN.model, mode).attribute(CNN.inputs, 1) for mode in ("bilinear", "bicubic", "nearest")]
    assert all(m.shape == (3, 1, 8, 8) for m in maps)
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])


def test_random_maps_depend_on_content_and_seed_only():
    found = RandomMap(CNN.model).attribute(CNN.inputs, 1)
    assert torch.equal(found, RandomMap(MLP.model).attribute(CNN.inputs, [3, 2, 1]))
    assert torch.equal(found.flip(0), RandomMap(CNN.model).attribute(CNN.inputs.flip(0), 1))
    assert abs(float(found.mean())) < 0.2
    assert float(found.std()) == pytest.approx(1, abs=0.1)


def test_input_only_knows_no_model():
    found = InputOnly(CNN.model).attribute(CNN.inputs, 1)
    assert torch.equal(found, InputOnly(nn.Linear(1, 1)).attribute(CNN.inputs, 0))
    ids = InputOnly(CNN.model).attribute(torch.tensor([[1, 2, 6]]), 0)
    assert ids.tolist() == [[2, 1, 3]]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Occlusion(CNN.model, window=0), "Occlusion: window: expected a positive size or fraction, got 0"),
        (
            lambda: Occlusion(CNN.model, window=-0.5),
            "Occlusion: window: expected a positive size or fraction, got -0.5",
        ),
        (
            lambda: Occlusion(CNN.model, stride=(1, 0)),
            r"Occlusion: stride: expected a positive size or fraction, got \(1, 0\)",
        ),
        (lambda: Occlusion(CNN.model, window=2, stride=3), "Occlusion: stride: expected at most the window 2, got 3"),
        (lambda: Occlusion(CNN.model, window="1/8"), "Occlusion: window: expected"),
        (
            lambda: Occlusion(CNN.model, (2, 2, 2)).attribute(CNN.inputs, 1),
            r"window: expected 2 numbers, got \(2, 2, 2\)",
        ),
        (lambda: IntegratedGradients(CNN.model, n_steps=0), "n_steps: expected a whole number >= 1, got 0"),
        (lambda: IntegratedGradients(CNN.model, baseline_fn="zero"), "no baseline 'zero'; did you mean 'zeros'"),
        (
            lambda: GradCam(CNN.model, "cubic"),
            "interpolate_mode: expected one of 'bilinear', 'bicubic', 'nearest', got 'cubic'",
        ),
        (lambda: LRPEpsilonPlus(CNN.model, epsilon=-1.0), "epsilon: expected a number >= 0, got -1.0"),
        (lambda: LRPEpsilonPlus(CNN.model, zennit_canonizers=3), "zennit_canonizers: expected a tuple or None, got 3"),
        (lambda: LRPEpsilonPlus(CNN.model, stabilizer=0.0), "stabilizer: expected a number > 0, got 0.0"),
    ],
)
def test_wrong_settings_are_refused(made, message):
    with pytest.raises(ArgumentError, match=message):
        made()


TWO, TOKENS = CASES["two_inputs"](), CASES["tokens"]()


@pytest.mark.parametrize(
    ("explainer", "settings"),
    [
        (Gradient, {}),
        (IntegratedGradients, {"n_steps": 3}),
        (Occlusion, {}),
        (GradCam, {}),
        (GradCam, {"layer": "conv"}),
        (LRPEpsilonPlus, {}),
        (RandomMap, {}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_keyword_arguments_in_any_order_are_the_positional_ones(explainer, settings):
    image, table = TWO.inputs
    made = explainer(TWO.model, **settings)
    by_position = made.attribute((image, table), TWO.targets)
    members = by_position if isinstance(by_position, tuple) else (by_position,)
    by_keyword = made.attribute({"image": image, "table": table}, TWO.targets)
    for one, other in zip(members, by_keyword if isinstance(by_keyword, tuple) else (by_keyword,), strict=True):
        assert torch.equal(one, other)
    assert made.cost({"table": table, "image": image}) == made.cost((image, table))
    if not explainer.control and len(members) == 2:
        turned = made.attribute({"table": table, "image": image}, TWO.targets)
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(turned[::-1], members, strict=True))


@pytest.mark.parametrize("explainer", [Occlusion, RandomMap, InputOnly], ids=lambda e: e.__name__)
def test_what_takes_no_gradient_takes_ids_by_keyword(explainer):
    found = explainer(TOKENS.model).attribute({"ids": TOKENS.inputs}, TOKENS.targets)
    assert torch.equal(found, explainer(TOKENS.model).attribute(TOKENS.inputs, TOKENS.targets))


def test_a_gradient_of_ids_by_keyword_is_that_at_their_embedding():
    found = Gradient(TOKENS.model).attribute({"ids": TOKENS.inputs}, TOKENS.targets)
    assert torch.equal(found, Gradient(TOKENS.model, layer="embedding").attribute(TOKENS.inputs, TOKENS.targets))
