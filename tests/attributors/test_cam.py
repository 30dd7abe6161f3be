"""Class activation maps, worked by hand and resized."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import LayerGradCam, UpsampledGradCam
from pnpxai.attributors.cam import LayerAttribution
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES


class Cam(nn.Module):
    """One convolution, global mean, one linear layer: where Grad-CAM has a closed form."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


def test_behind_a_global_mean_it_is_the_class_activation_map():
    model, x = Cam(), torch.randn(2, 1, 4, 5)
    found = LayerGradCam(model, model.conv).attribute(x, target=[0, 1])
    values = model.conv(x)
    expected = torch.einsum("bc,bchw->bhw", model.head.weight[[0, 1]], values)[:, None] / 20
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.min() < 0


def test_options():
    model, x = Cam(), torch.randn(2, 1, 4, 5)
    plain = LayerGradCam(model, "conv").attribute(x, target=1)
    assert torch.equal(LayerGradCam(model, "conv").attribute(x, target=1, relu_attributions=True), plain.relu())
    channels = LayerGradCam(model, "conv").attribute(x, target=1, attr_dim_summation=False)
    assert channels.shape == (2, 3, 4, 5)
    assert torch.allclose(channels.sum(1, keepdim=True), plain)


def test_of_a_layer_without_positions_it_is_gradient_times_value():
    case = CASES["cnn"]()
    found = LayerGradCam(case.model, "6").attribute(case.inputs, case.targets)
    assert torch.allclose(found[:, 0], case.model(case.inputs)[range(3), case.targets].detach())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_by_default_the_last_convolution_is_resized_to_the_input(mode):
    case = CASES["cnn"]()
    found = UpsampledGradCam(case.model, None, mode).attribute(case.inputs, case.targets)
    coarse = LayerGradCam(case.model, "3").attribute(case.inputs, case.targets)
    assert coarse.shape == (3, 1, 2, 2)
    assert torch.equal(found, LayerAttribution.interpolate(coarse, (8, 8), mode))


def test_a_series_is_resized_along_time():
    case = CASES["series"]()
    assert UpsampledGradCam(case.model).attribute(case.inputs, 1).shape == (3, 1, 16)


def test_a_planted_corner_is_found():
    model = Cam()
    with torch.no_grad():
        model.conv.weight.fill_(1.0)
        model.conv.bias.zero_()
        model.head.weight.fill_(1.0)
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, :2, :2] = 5.0
    found = UpsampledGradCam(model).attribute(x, target=0)[0, 0]
    assert found.argmax() == 0
    assert not found[4:, 4:].any()


@pytest.mark.parametrize(
    ("layer", "kind", "message"),
    [
        ("6", UnsuitableError, r"GradCam: expected a layer with one map of 2 spatial dimensions, got \[\(3, 1\)\]"),
        (["0", "3"], ArgumentError, "layer: expected one layer, got 2"),
        ("9", ArgumentError, "layer: no layer or forward argument '9'"),
    ],
)
def test_layers_without_a_map_are_refused(layer, kind, message):
    case = CASES["cnn"]()
    with audit(case.model), pytest.raises(kind, match=message):
        UpsampledGradCam(case.model, layer).attribute(case.inputs, 1)


def test_without_a_convolution_it_is_refused():
    case = CASES["mlp"]()
    with pytest.raises(UnsuitableError, match="GradCam: no convolution with several positions was seen"):
        UpsampledGradCam(case.model).attribute(case.inputs, 1)


def test_a_hidden_model_is_refused_with_advice():
    case = CASES["cnn"]()
    with pytest.raises(UnsuitableError, match="for a scripted, exported or wrapped model the original"):
        UpsampledGradCam(lambda x: case.model(x)).attribute(case.inputs, 1)


def test_in_a_layer_of_a_lambda_a_module_can_be_named():
    case = CASES["cnn"]()
    hidden = UpsampledGradCam(lambda x: case.model(x), case.model[3]).attribute(case.inputs, 1)
    assert torch.equal(hidden, UpsampledGradCam(case.model).attribute(case.inputs, 1))


def test_cost():
    case = CASES["cnn"]()
    assert UpsampledGradCam(case.model).cost(case.inputs) == 4
    assert UpsampledGradCam(case.model, "3").cost(case.inputs) == 3
