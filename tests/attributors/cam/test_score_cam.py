"""Score-CAM against a plain loop over channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import ScoreCAM
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES


def by_loop(case, layer, mode, channels=None):
    """The paper's algorithm, one example and one channel at a time."""
    seen = []
    hook = case.model.get_submodule(layer).register_forward_hook(
        lambda module, args, output: None if is_probe() else seen.append(output)
    )
    with torch.no_grad():
        case.model(*case.tensors)
        hook.remove()
        maps = []
        for k, values in enumerate(seen[0]):
            order = values.flatten(1).std(1).argsort(descending=True)
            chosen = order[:channels].tolist()
            picture, *others = (x[k : k + 1] for x in case.tensors)
            scores = []
            for c in chosen:
                up = F.interpolate(values[None, c : c + 1], picture.shape[2:], mode=mode, align_corners=False)
                mask = ((up - up.min()) / (up.max() - up.min())).nan_to_num(0)  # a channel may be silent
                scores.append(case.model(picture * mask, *others)[0, case.targets[k]])
            weights = torch.stack(scores).softmax(0)
            coarse = torch.stack([w * values[c] for w, c in zip(weights, chosen, strict=True)]).sum(0)
            maps.append(F.interpolate(coarse[None, None], picture.shape[2:], mode=mode, align_corners=False)[0])
    return torch.stack(maps)


@pytest.mark.parametrize(
    ("name", "layer", "mode"),
    [("cnn", "4", "bilinear"), ("series", "conv2", "linear"), ("two_inputs", "conv", "bicubic")],
)
@pytest.mark.parametrize("channels", [None, 2])
def test_it_is_the_plain_loop(name, layer, mode, channels):
    case = CASES[name]()
    modes = {"linear": "bilinear"}
    found = ScoreCAM(case.model, None, modes.get(mode, mode), n_channels=channels).attribute(case.inputs, case.targets)
    assert torch.allclose(found, by_loop(case, layer, mode, channels), atol=1e-12)


def test_chunks_make_no_difference():
    case = CASES["cnn"]()
    one = ScoreCAM(case.model).attribute(case.inputs, case.targets)
    for at_once in (1, 4):
        other = ScoreCAM(case.model, perturbations_per_eval=at_once).attribute(case.inputs, case.targets)
        assert torch.allclose(one, other, atol=1e-12)


def test_a_constant_channel_hides_all_and_moves_no_position():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            return self.conv(x)[:, 0].mean((1, 2))

    model, x = Model(), torch.rand(1, 1, 3, 3)
    with torch.no_grad():
        model.conv.weight.copy_(torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))
        model.conv.bias.copy_(torch.tensor([0.0, 7.0]))
    masked = x * (x - x.min()) / (x.max() - x.min())
    weights = torch.stack([masked.mean(), torch.tensor(0.0)]).softmax(0)
    assert torch.allclose(ScoreCAM(model).attribute(x), weights[0] * x + weights[1] * 7)


@pytest.mark.parametrize("channels", [None, 2, 100])
def test_cost_counts_the_channels_there_are(channels):
    case = CASES["cnn"]()
    method = ScoreCAM(case.model, n_channels=channels)
    expected = method.cost(case.inputs)
    with counted(case.model) as counter:
        method.attribute(case.inputs, case.targets)
    assert counter.rows == expected


@pytest.mark.parametrize("channels", [0, -1, True])
def test_a_number_of_channels_that_is_none_is_refused(channels):
    with pytest.raises(ArgumentError, match="n_channels: expected a whole number >= 1, got"):
        ScoreCAM(CASES["cnn"]().model, n_channels=channels)
