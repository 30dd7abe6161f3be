"""The layer of a class activation map is found by running, and its values are folded to the input's positions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors.cam.feature_maps import feature_maps, last_feature_map
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.token_grid import MapLayout
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.audit import audit


def found(model, *inputs):
    with borrowed(model), audit(model, *inputs):
        site, layout = last_feature_map(Score.of(model, inputs, 0), inputs)
    return site.name, layout.sides


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cnn", ("4", (2, 2))),  # the ReLU behind the last convolution
        ("skip_cnn", ("bn2", (8, 8))),  # the ReLU runs twice
        ("series", ("conv2", (7,))),  # its ReLU is a function
        ("two_inputs", ("conv", (4, 4))),
        ("vit", ("patches", (2, 2))),  # behind the only normalisations, the class token alone is read
    ],
)
def test_found_in_small_networks(name, expected):
    case = ARCHITECTURES[name]()
    assert found(case.model, *case.tensors) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ("layer3.1", (2, 2))),  # of pictures this small the last block leaves one position
        ("vgg", ("features.17", (4, 4))),
        ("efficientnet", ("features.3.2", (8, 8))),
        ("convnext", ("features.3.1", (4, 4))),
        ("torchvision_vit", ("encoder.layers.encoder_layer_1.ln_1", (4, 4))),
        ("swin", ("features.3.1.norm1", (4, 4))),
        ("timm_vit", ("blocks.1.norm1", (4, 4))),
    ],
)
def test_found_in_architectures(name, expected):
    case = ARCHITECTURES[name]()
    assert found(case.model, *case.tensors) == expected


class Branches(nn.Module):
    """Two convolutions side by side, a gate of one channel, one of pooled values, one over channels, one aside."""

    def __init__(self):
        super().__init__()
        self.merged = nn.Identity()
        self.gate = nn.Conv2d(4, 1, 3, padding=1)
        self.right = nn.Conv2d(1, 2, 3, padding=1)
        self.left = nn.Conv2d(1, 2, 3, padding=1)
        self.squeeze = nn.Conv2d(4, 4, 1)
        self.over_channels = nn.Conv1d(1, 1, 3, padding=1)
        self.aside = nn.Conv2d(4, 4, 1)
        self.gated = nn.Identity()

    def forward(self, x):
        out = self.merged(torch.cat([self.left(x), self.right(x)], 1))
        pooled = out.mean((2, 3), keepdim=True)
        scale = self.squeeze(pooled) * self.over_channels(pooled.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]
        self.aside(out)
        return (self.gated(out * self.gate(out)) * scale).sum((2, 3))


def test_branches_come_together_and_gates_are_no_maps():
    model, x = Branches(), torch.randn(2, 1, 5, 5)
    assert found(model, x) == ("gated", (5, 5))
    model.gated = None
    model.forward = lambda x: (lambda out: (out * model.gate(out)).sum((2, 3)))(  # noqa: PLC3002
        model.merged(torch.cat([model.left(x), model.right(x)], 1))
    )
    assert found(model, x) == ("merged", (5, 5))


def test_pooling_does_not_count_and_changes_in_place_do():
    relu = nn.ReLU(inplace=True)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(7), nn.Flatten())
    assert found(model, torch.randn(1, 1, 8, 8)) == ("1", (6, 6))


def test_the_layer_does_not_depend_on_the_example():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    with torch.no_grad():
        model[0].bias.fill_(-1.0)
    assert found(model, torch.zeros(1, 1, 8, 8)) == found(model, torch.randn(1, 1, 8, 8)) == ("1", (6, 6))


def test_positions_in_space_and_of_the_first_input_that_has_some():
    space = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    assert found(space, torch.randn(1, 1, 6, 5, 4)) == ("1", (4, 3, 2))
    picture = ARCHITECTURES["two_inputs"]()

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = picture.model

        def forward(self, table, image):
            return self.model(image, table)

    assert found(Turned(), *picture.tensors[::-1]) == ("model.conv", (4, 4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mlp", "inputs: a class activation map needs an input with channels and positions"),
        ("tokens", "inputs: a class activation map needs an input with channels and positions"),
        ("lstm", "no convolution with several positions was seen on the way to the score"),
        ("siamese", "layer 'encoder.0' and what follows it run more than once"),
    ],
)
def test_refused_before_anything_is_computed(name, message):
    case = ARCHITECTURES[name]()
    with audit(case.model), borrowed(case.model), pytest.raises(UnsuitableError, match=message):
        last_feature_map(Score.of(case.model, case.tensors, 0), case.tensors)


def test_a_shared_encoder_is_refused_with_reason():
    """Without the refusal, one of the two runs would be taken: the map is of one input, and it does not say which."""
    case = ARCHITECTURES["siamese"]()
    values = []
    hook = case.model.encoder[0].register_forward_hook(lambda module, args, output: values.append(output))
    case.model(*case.tensors)
    hook.remove()
    assert len(values) == 2
    assert not torch.allclose(values[0], values[1])


class Tokens(nn.Module):
    """Torch's own encoder on patches and a class token; tokens or examples first."""

    def __init__(self, *, norm_first=True, class_token=True, batch_first=True):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=norm_first, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)
        self.class_token, self.batch_first = class_token, batch_first

    def forward(self, x):
        tokens = torch.cat([self.token.expand(len(x), 1, 8), self.patches(x).flatten(2).transpose(1, 2)], 1)
        out = self.encoder(tokens) if self.batch_first else self.encoder(tokens.transpose(0, 1)).transpose(0, 1)
        return self.head(out[:, 0] if self.class_token else out[:, 1:].mean(1))


@pytest.mark.parametrize(
    ("norm_first", "class_token", "expected"),
    [
        (True, True, "encoder.layers.1.norm1"),  # what goes into the last attention
        (False, True, "encoder.layers.0.norm2"),
        (True, False, "encoder.layers.1.norm1"),  # whether or not all tokens are read
        (False, False, "encoder.layers.0.norm2"),
    ],
)
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_last_tokens_that_the_score_depends_on(norm_first, class_token, expected, batch_first):
    model = Tokens(norm_first=norm_first, class_token=class_token, batch_first=batch_first)
    x = torch.randn(3, 1, 8, 12)
    with borrowed(model):
        score = Score.of(model, (x,), 0)
        site, layout = last_feature_map(score, (x,))
        by_name = feature_maps(score, (x,), site.name)[0]
        by_default = feature_maps(score, (x,), None)[0]
    assert (site.name, layout) == (expected, MapLayout((4, 6), True, 0 if batch_first else 1))
    assert by_default.values.shape == (3, 8, 4, 6)
    for one, other in zip(by_default, by_name, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("6", r"layer '6': expected a map of the input's positions \(8, 8\), with channels: .* got \(3, 4\)"),
        ("9", "layer: no layer or forward argument '9'"),
    ],
)
def test_layers_without_a_map_are_refused(layer, message):
    case = ARCHITECTURES["cnn"]()
    with audit(case.model), borrowed(case.model), pytest.raises(ArgumentError, match=message):
        feature_maps(Score.of(case.model, case.tensors, 0), case.tensors, layer)


def test_a_layer_with_several_tensors_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, 2 * x

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.two = Two()

        def forward(self, x):
            one, other = self.two(x)
            return (one * other).sum((2, 3))

    model, x = Model(), torch.randn(2, 1, 3, 3)
    for differentiate in (True, False):
        with borrowed(model), pytest.raises(UnsuitableError, match="layer 'two': expected one map, got 2 tensors"):
            feature_maps(Score.of(model, (x,), 0), (x,), "two", differentiate=differentiate)


@pytest.mark.parametrize("name", ["cnn", "series", "vit"])
def test_values_are_the_same_with_and_without_gradients(name):
    case = ARCHITECTURES[name]()
    score = Score.of(case.model, case.tensors, case.targets)
    with borrowed(case.model):
        (one,), (other,) = (feature_maps(score, case.tensors, None, differentiate=d) for d in (True, False))
    assert torch.equal(one.values, other.values)
    assert one.gradients.shape == one.values.shape
    assert other.gradients.numel() == 0
