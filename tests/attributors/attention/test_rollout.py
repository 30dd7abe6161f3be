"""Rollouts equal plain loops over attention that the model itself noted, however it is computed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.attributors import AttentionRollout, TransformerAttribution
from pnpxai.attributors.attention.rollout import discarded, fused
from pnpxai.errors import UnsuitableError
from pnpxai.testing.audit import audit
from tests.attributors.attention.attending import Attending

pytestmark = pytest.mark.usefixtures("double")

WAYS = ("function", "module", "batched", "einsum")
X = torch.randn(3, 1, 6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rolled(maps, fusion, ratio):
    """Return (tokens, tokens) of the maps (heads, tokens, tokens) of one example, entry by entry."""
    total = torch.eye(maps[0].shape[-1])
    for heads in maps:
        fused = torch.stack([heads[:, q, k].mean() if fusion == "mean" else getattr(heads[:, q, k], fusion)()
                             for q in range(heads.shape[1]) for k in range(heads.shape[2])])  # fmt: skip
        order = sorted(range(len(fused)), key=lambda i: float(fused[i]))
        for i in order[: int(len(fused) * ratio)]:
            if i != 0:
                fused[i] = 0.0
        mixed = 0.5 * fused.reshape(heads.shape[1:]) + 0.5 * torch.eye(heads.shape[1])
        total = (mixed / mixed.sum(1, keepdim=True)) @ total
    return total


def placed(tokens, token=True):
    """Return values of tokens (examples, tokens) as a map of the pictures."""
    grid = tokens[:, 1:] if token else tokens
    return F.interpolate(grid.reshape(-1, 1, 2, 3), (6, 9), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("fusion", ["min", "max", "mean"])
@pytest.mark.parametrize("ratio", [0.0, 0.55, 0.9])
def test_rollout_entry_by_entry(fusion, ratio):
    net = Attending().eval()
    with torch.no_grad():
        net(X)
    maps = [block.map for block in net.blocks]
    rows = torch.stack([rolled([m[k] for m in maps], fusion, ratio)[0] for k in range(3)])
    found = AttentionRollout(net, fusion, ratio, "bilinear").attribute(X, 1)
    assert torch.allclose(found, placed(rows), atol=1e-12)
    assert ratio == 0.9 or found.flatten(1).std(1).min() > 1e-4


@pytest.mark.parametrize(("read", "token"), [("mean", True), ("mean", False), ("last", True)])
def test_rows_are_those_of_the_tokens_that_the_score_is_read_from(read, token):
    net = Attending(read=read, token=token).eval()
    with torch.no_grad():
        net(X)
    maps = [block.map for block in net.blocks]
    totals = torch.stack([rolled([m[k] for m in maps], "mean", 0.0) for k in range(3)])
    rows = totals.mean(1) if read == "mean" else totals[:, -1]
    found = AttentionRollout(net, "mean", 0.0, "bilinear").attribute(X)
    assert torch.allclose(found, placed(rows, token), atol=1e-12)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("method", [AttentionRollout, TransformerAttribution])
def test_every_way_to_compute_attention_gives_the_same(method, how):
    net = Attending().eval()
    other = net.like(how)
    assert torch.allclose(net(X), other(X))
    expected = method(net, "mean", 0.3, "bilinear").attribute(X, [0, 1, 2])
    with audit(other, X):
        found = method(other, "mean", 0.3, "bilinear").attribute(X, [0, 1, 2])
    assert torch.allclose(found, expected, atol=1e-9)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("how", ["eager", "function", "module"])
@pytest.mark.parametrize("method", [AttentionRollout, TransformerAttribution])
def test_what_a_mask_hides_gets_nothing(method, how):
    net = Attending(how).eval()
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, 5:] = False
    found = method(net, "mean", 0.0, "nearest").attribute(X, 1, additional_forward_args=mask)
    hidden = found[1, 0, 3:, 3:]  # the patches of tokens 5 and 6
    assert hidden.abs().max() == 0
    assert found[1, 0, :3].abs().min() > 0
    assert found[0].abs().min() > 0


class OfIds(nn.Module):
    """A decoder of ids: causal attention, an output read from the last token."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids):
        x = self.embedding(ids)
        mask = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        return self.head((x + self.attention(x, x, x, attn_mask=mask)[0])[:, 2])


@pytest.mark.parametrize("method", [AttentionRollout, TransformerAttribution])
def test_ids_get_a_value_each_and_what_comes_later_none(method):
    ids = torch.randint(9, (4, 5))
    found = method(OfIds().eval(), "mean", 0.0, "bilinear").attribute(ids, 1)
    assert found.shape == (4, 5)
    assert found[:, 3:].abs().max() == 0
    assert (found[:, :3].abs().sum(1) > 0).all()


@pytest.mark.parametrize("examples", [3, 4])  # as many as tokens, too
@pytest.mark.parametrize("method", [AttentionRollout, TransformerAttribution])
def test_the_batch_may_stand_second(method, examples):
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.TransformerEncoderLayer(6, 2, 8), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(self.layer(x.transpose(0, 1)).mean(0))

    net, x = TimeFirst().eval(), torch.randn(examples, 4, 6)
    together = method(net, "mean", 0.0, "bilinear").attribute(x, 1)
    for k in range(examples):
        assert torch.allclose(method(net, "mean", 0.0, "bilinear").attribute(x[k : k + 1], 1), together[k : k + 1])
    assert together.flatten(1).std(1).min() > 1e-6


def test_series_of_vectors_get_a_value_for_each():
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    net = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 2)).eval()
    found = AttentionRollout(net, "mean", 0.0, "bilinear").attribute(torch.randn(2, 4, 6), 1)
    assert found.shape == (2, 4, 1)
    assert torch.allclose(found.sum((1, 2)), torch.ones(2))  # a mean of rows that sum to one


def test_discarding_leaves_the_largest_and_the_first_tokens_own_weight():
    weights = torch.tensor([[[0.01, 0.5], [0.3, 0.19]], [[0.4, 0.1], [0.2, 0.3]]])
    expected = [[[0.01, 0.5], [0.0, 0.0]], [[0.4, 0.0], [0.0, 0.3]]]
    assert torch.equal(discarded(weights, 0.75)[0], torch.tensor(expected[0]))
    assert torch.equal(discarded(weights, 0.5)[1], torch.tensor(expected[1]))
    assert torch.equal(discarded(weights, 0.0), weights)
    heads = torch.tensor([1.0, 1 + 2**-10], dtype=torch.float16).reshape(1, 2, 1, 1)
    assert fused(heads, "mean").item() == 1 + 2**-11  # which float16 would round, so that it is like another weight


def _windows(x):
    parts = x.reshape(-1, 1, 4, 4)  # (windows of all examples, heads, tokens, width)
    return (parts @ parts.mT).softmax(-1) @ parts


class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.head = function, nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.function(x).reshape(len(x), -1, 4).mean(1))


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda x: x, (2, 8, 4), "multiplies no values with softmax weights"),
        (lambda x: x.softmax(-1), (2, 8, 4), "multiplies no values with softmax weights"),
        (lambda x: (x[:, :3] @ x.mT).softmax(-1) @ x, (2, 8, 4), r"of the same tokens, got \(2, 3, 8\)"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), (2, 5, 4), None),
        (lambda x: F.scaled_dot_product_attention(x[:, :1], x[:, :1], x[:, :1]), (2, 3, 4), "patches of inputs"),
    ],
)
def test_what_is_no_attention_among_the_tokens_of_the_input_is_refused(function, shape, message):
    rollout = AttentionRollout(Functional(function), "mean", 0.0, "bilinear")
    if message is None:
        assert rollout.attribute(torch.randn(shape), 1).shape == (2, 5, 1)
        return
    with pytest.raises(UnsuitableError, match=message):
        rollout.attribute(torch.randn(shape), 1)


def test_windows_and_merged_tokens_are_refused():
    with pytest.raises(UnsuitableError, match="attention in windows"):
        AttentionRollout(Functional(_windows), "mean", 0.0, "bilinear").attribute(torch.randn(3, 1, 8, 4), 1)

    def merged(x):
        x = F.scaled_dot_product_attention(x, x, x)
        x = x.reshape(len(x), -1, 2, 4).mean(2)
        return F.scaled_dot_product_attention(x, x, x)

    with pytest.raises(UnsuitableError, match="as many tokens in every layer, got 8 and 4"):
        AttentionRollout(Functional(merged), "mean", 0.0, "bilinear").attribute(torch.randn(2, 8, 4), 1)
