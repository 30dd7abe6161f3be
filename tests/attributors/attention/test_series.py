"""Attention over a series comes back at its times, on whichever axis channels are, or at the channels it is between."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pnpxai
from pnpxai.attributors import AttentionRollout
from pnpxai.engine.seeing.token_grid import layout_of_tokens
from pnpxai.modalities import TimeSeriesModality

pytestmark = pytest.mark.usefixtures("double")


class Series(nn.Module):
    """One layer of attention over tokens that ``tokens`` makes of a series; keeps its weights (examples, T, T)."""

    def __init__(self, width, tokens, token=False):
        super().__init__()
        self.tokens, self.project, self.head = tokens, nn.Linear(width, 12), nn.Linear(4, 3)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if token else None

    def forward(self, x):
        t = self.tokens(x)
        t = t if self.token is None else torch.cat([self.token.expand(len(t), -1, -1), t], 1)
        q, k, v = self.project(t).chunk(3, -1)
        self.weights = (q @ k.transpose(1, 2)).softmax(-1)
        out = self.weights @ v
        return self.head(out.mean(1) if self.token is None else out[:, 0])

    def of_tokens(self, x):
        """Return (examples, tokens) what a rollout is of one layer."""
        with torch.no_grad():
            self(x)
        mixed = (self.weights + torch.eye(self.weights.shape[-1])) / 2
        return mixed.mean(1) if self.token is None else mixed[:, 0, 1:]


def first(x):
    return x.transpose(1, 2)


def last(x):
    return x


def patches(x):
    return x.unfold(2, 4, 4).transpose(1, 2).flatten(2)  # (examples, 5, 4 channels)


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis", "tokens", "width", "expected"),
    [
        ((2, 8), 1, first, 2, lambda r: r[:, None]),
        ((8, 8), 1, first, 8, lambda r: r[:, None]),
        ((8, 2), 2, last, 2, lambda r: r[:, :, None]),
        ((8, 8), 2, last, 8, lambda r: r[:, :, None]),
        ((2, 20), 1, patches, 8, lambda r: F.interpolate(r[:, None], 20, mode="linear")),
    ],
    ids=["channels first", "square, first", "channels last", "square, last", "patches"],
)
def test_times_have_the_values_of_their_tokens(shape, axis, tokens, width, expected, token):
    model, x = Series(width, tokens, token), torch.randn(3, *shape)
    found = AttentionRollout(model, "mean", 0.0, "bilinear", axis).attribute(x, 1)
    assert torch.allclose(found, expected(model.of_tokens(x)), atol=1e-12)
    assert found.flatten(1).std(1).min() > 1e-6


def test_attention_between_channels_is_of_channels_at_all_times():
    model, x = Series(8, last), torch.randn(3, 5, 8)
    found = AttentionRollout(model, "mean", 0.0, "bilinear", 1).attribute(x, 1)
    assert torch.allclose(found, model.of_tokens(x)[:, :, None].expand(3, 5, 8), atol=1e-12)


@pytest.mark.parametrize(("tokens", "side", "positions"), [(9, 8, 8), (8, 8, 8), (5, 12, 4), (4, 12, 4), (7, 12, 6)])
def test_a_class_token_of_a_series_is_told_by_what_divides_its_length(tokens, side, positions):
    assert layout_of_tokens(tokens, (side,)).sides == (positions,)


@pytest.mark.parametrize("axis", [1, 2])
def test_square_series_are_compared_whichever_axis_is_time(axis):
    model, x = Series(6, first if axis == 1 else last).float(), torch.randn(4, 6, 6).float()
    auto = pnpxai.auto_explain(model, x, TimeSeriesModality(channel_dim=axis))
    chosen = ["AttentionRollout", "TransformerAttribution"]
    shape = (4, 1, 6) if axis == 1 else (4, 6, 1)
    assert all(auto.explain(name).attributions[0].shape == shape for name in chosen)
    assert auto.compare(chosen, ["AbPC", "Complexity"], show_progress=False).table["value"].notna().all()
