"""Class activation maps, worked by hand, held to independent formulas, and to the laws of the heads behind them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import (
    EigenCAM,
    GradCamPlusPlus,
    GuidedBackprop,
    GuidedGradCam,
    HiResCAM,
    LayerAttribution,
    LayerCAM,
    LayerGradCam,
    UpsampledGradCam,
    UpsampledGuidedGradCam,
)
from pnpxai.errors import UnsuitableError
from pnpxai.testing.zoo import CASES

CNN = CASES["cnn"]()
EVERY = [UpsampledGradCam, HiResCAM, LayerCAM, GradCamPlusPlus, EigenCAM]


class Head(nn.Module):
    """A ReLU's values and a linear head, behind a mean over positions or not: maps have the input's size."""

    def __init__(self, *, pooled):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(3 if pooled else 3 * 16, 2)
        self.pooled = pooled

    def forward(self, x):
        values = self.relu(self.conv(x))
        return self.head(values.mean((2, 3)) if self.pooled else values.flatten(1))


def head(*, pooled):
    torch.manual_seed(0)
    return Head(pooled=pooled).double(), torch.randn(3, 1, 4, 4, dtype=torch.float64)


@pytest.mark.parametrize("pooled", [True, False])
def test_hires_cam_sums_to_the_score_without_the_bias_where_the_head_is_linear(pooled):
    model, x = head(pooled=pooled)
    found = HiResCAM(model).attribute(x, [0, 1, 1])
    score = (model(x) - model.head.bias)[range(3), [0, 1, 1]].detach()
    assert torch.allclose(found.sum((1, 2, 3)), score, atol=1e-12)


def test_hires_cam_sums_to_the_score_of_a_residual_network():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model, x = resnet18(num_classes=3).double().eval(), torch.randn(2, 3, 64, 64, dtype=torch.float64)
    found = HiResCAM(model, interpolate_mode="nearest").attribute(x, 1)  # from 2 x 2, each value 32 * 32 times
    score = (model(x) - model.fc.bias)[:, 1].detach()
    assert torch.allclose(found.sum((1, 2, 3)) / 32**2, score, atol=1e-12)
    assert torch.equal(found, HiResCAM(model, "layer4", "nearest").attribute(x, 1))


def test_behind_a_mean_grad_cam_is_hires_cam_and_behind_weights_it_is_not():
    model, x = head(pooled=True)
    assert torch.allclose(UpsampledGradCam(model).attribute(x, 1), HiResCAM(model).attribute(x, 1), atol=1e-14)
    model, x = head(pooled=False)
    assert not torch.allclose(UpsampledGradCam(model).attribute(x, 1), HiResCAM(model).attribute(x, 1), atol=1e-2)


def _values_and_gradients(model, x, targets):
    values = model.relu(model.conv(x)).detach().requires_grad_()
    score = model.head(values.mean((2, 3)) if model.pooled else values.flatten(1))[range(len(x)), targets]
    return values, score, torch.autograd.grad(score.sum(), values, create_graph=True)[0]


def test_layer_cam_weights_every_value_by_its_positive_gradient():
    model, x = head(pooled=False)
    values, _, gradients = _values_and_gradients(model, x, [0, 1, 1])
    expected = (gradients.clamp(min=0) * values).sum(1, keepdim=True)
    assert (gradients < 0).any()
    assert torch.allclose(LayerCAM(model).attribute(x, [0, 1, 1]), expected, atol=1e-12)


@pytest.mark.parametrize("pooled", [True, False])
def test_grad_cam_plus_plus_by_the_derivatives_of_the_exponential(pooled):
    """Each value is moved alone, and ``exp(score)`` is differentiated three times, as the paper has it."""
    model, x = head(pooled=pooled)
    values, score, _ = _values_and_gradients(model, x, 1)

    def exponential(steps):
        moved = values.detach() + steps
        return model.head(moved.mean((2, 3)) if pooled else moved.flatten(1))[:, 1].exp()

    first, second, third = (torch.zeros_like(values) for _ in range(3))
    for at in torch.ones(values.shape[1:]).nonzero().tolist():
        place = (slice(None), *at)
        steps = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        spread = torch.zeros_like(values).index_put(
            tuple(torch.tensor(i) for i in ([0, 1, 2], *([k] * 3 for k in at))), steps
        )
        d1 = torch.autograd.grad(exponential(spread).sum(), steps, create_graph=True)[0]
        d2 = torch.autograd.grad(d1.sum(), steps, create_graph=True)[0]
        d3 = torch.autograd.grad(d2.sum(), steps)[0]
        first[place], second[place], third[place] = d1.detach(), d2.detach(), d3
    shares = second / (2 * second + values.sum((2, 3), keepdim=True) * third)
    weights = (shares * first.relu()).sum((2, 3), keepdim=True)
    expected = (weights * values).sum(1, keepdim=True).detach()
    found = GradCamPlusPlus(model).attribute(x, 1) * score.detach().exp().reshape(3, 1, 1, 1)
    assert torch.allclose(found, expected, atol=1e-12)


def test_grad_cam_plus_plus_by_hand():
    """Values 1 and 3 of one channel, gradients 2 and -1: the share of the first is 1 / (2 + 2 * 4)."""
    model = nn.Sequential(nn.Conv1d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model[0].weight.fill_(1.0)
        model[3].weight.copy_(torch.tensor([[2.0, -1.0]]))
    found = GradCamPlusPlus(model).attribute(torch.tensor([[[1.0, 3.0]]]))
    assert torch.allclose(found, torch.tensor([[[0.2, 0.6]]]))


def test_grad_cam_plus_plus_stays_finite_where_values_are_negative():
    """Two values of -1, gradients 1: the paper's share would be 1 / (2 - 2)."""
    model = nn.Sequential(nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        model[0].bias.zero_()
    found = GradCamPlusPlus(model).attribute(torch.full((1, 1, 2), -1.0))
    assert torch.allclose(found, torch.full((1, 1, 2), -1.0))


@pytest.mark.parametrize("centred", [True, False])
def test_eigen_cam_is_the_first_singular_vectors_projection(centred):
    model, x = head(pooled=False)
    found = EigenCAM(model, centred=centred).attribute(x, 1)
    for values, one in zip(model.relu(model.conv(x)).detach(), found[:, 0], strict=True):
        matrix = values.reshape(3, 16).T
        matrix = matrix - matrix.mean(0) if centred else matrix
        left, sizes, _ = torch.linalg.svd(matrix)
        expected = (left[:, 0] * sizes[0]).reshape(4, 4)
        expected = expected * expected.flatten()[expected.abs().argmax()].sign()
        assert torch.allclose(one, expected, atol=1e-12)
        assert one.max() == one.abs().max()


def test_eigen_cam_finds_what_stands_out_and_ignores_the_target():
    model, _ = head(pooled=False)
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    x[0, 0, 1, 2] = 5.0
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.weight[:, 0, 1, 1] = torch.tensor([1.0, 2.0, -1.0])
    found = EigenCAM(model).attribute(x, 0)
    assert found.argmax() == 4 * 1 + 2
    assert torch.equal(found, EigenCAM(model).attribute(x, 1))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest", "area"])
def test_by_default_the_last_feature_map_is_resized_to_the_input(mode):
    found = UpsampledGradCam(CNN.model, None, mode).attribute(CNN.inputs, CNN.targets)
    coarse = LayerGradCam(CNN.model, "4").attribute(CNN.inputs, CNN.targets)
    assert coarse.shape == (3, 1, 2, 2)
    assert torch.equal(found, LayerAttribution.interpolate(coarse, (8, 8), mode))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("kind", "sides"), [(1, (9,)), (3, (6, 5, 4))])
def test_along_time_and_in_space(kind, sides, mode):
    conv, pool = (nn.Conv1d, nn.AdaptiveAvgPool1d) if kind == 1 else (nn.Conv3d, nn.AdaptiveAvgPool3d)
    model = nn.Sequential(conv(2, 4, 3), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(4, 2))
    x = torch.randn(2, 2, *sides)
    found = UpsampledGradCam(model, None, mode).attribute(x, 1)
    coarse = LayerGradCam(model, "1").attribute(x, 1)
    assert found.shape == (2, 1, *sides)
    assert torch.equal(found, LayerAttribution.interpolate(coarse, sides, {1: "linear", 3: "trilinear"}[kind]))


@pytest.mark.parametrize("method", EVERY)
def test_several_layers_give_the_mean_of_their_maps(method):
    one, other = (method(CNN.model, layer).attribute(CNN.inputs, CNN.targets) for layer in ("0", "4"))
    both = method(CNN.model, ["0", CNN.model[4]]).attribute(CNN.inputs, CNN.targets)
    assert torch.allclose(both, (one + other) / 2, atol=1e-12)


@pytest.mark.parametrize("method", EVERY)
def test_maps_of_half_precision_are_finite_and_close(method):
    exact = method(CNN.model).attribute(CNN.inputs, CNN.targets)
    for dtype in (torch.float16, torch.bfloat16):
        case = CNN.to(dtype)
        found = method(case.model).attribute(case.inputs, case.targets)
        assert found.dtype == dtype
        assert torch.cosine_similarity(found.double().flatten(), exact.flatten(), dim=0) > 0.98


def test_guided_grad_cam_is_the_one_at_the_layer_that_is_found():
    found = UpsampledGuidedGradCam(CNN.model).attribute(CNN.inputs, [1, 2, 3])
    assert torch.equal(found, GuidedGradCam(CNN.model, "4").attribute(CNN.inputs, [1, 2, 3]))
    case = CASES["two_inputs"]()
    maps = UpsampledGradCam(case.model, None, "nearest", relu=True).attribute(case.inputs, case.targets)
    guided = GuidedBackprop(case.model).attribute(case.inputs, case.targets)[0]
    assert torch.equal(UpsampledGuidedGradCam(case.model).attribute(case.inputs, case.targets), maps * guided)


def test_guided_grad_cam_needs_a_relu():
    case = CASES["vit"]()
    with pytest.raises(UnsuitableError, match="no ReLU runs in the model"):
        UpsampledGuidedGradCam(case.model).attribute(case.inputs, 1)


def test_a_hidden_model_is_refused_with_advice_unless_a_layer_is_given():
    def hidden(x):
        return CNN.model(x)

    with pytest.raises(UnsuitableError, match="for a scripted, exported or wrapped model the original"):
        UpsampledGradCam(hidden).attribute(CNN.inputs, 1)
    found = UpsampledGradCam(hidden, CNN.model[4]).attribute(CNN.inputs, 1)
    assert torch.equal(found, UpsampledGradCam(CNN.model).attribute(CNN.inputs, 1))


def test_cost():
    assert UpsampledGradCam(CNN.model).cost(CNN.inputs) == 4
    assert UpsampledGradCam(CNN.model, "3").cost(CNN.inputs) == 3
    assert EigenCAM(CNN.model, "3").cost(CNN.inputs) == 3
    assert UpsampledGuidedGradCam(CNN.model, "3").cost(CNN.inputs) == 6
