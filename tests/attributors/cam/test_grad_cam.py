"""Grad-CAM at a layer, worked by hand."""

from __future__ import annotations

import torch
from torch import nn

from pnpxai.attributors import LayerGradCam
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
