"""Relevance through attention and norms equals the rules of Achtibat et al. (2024), written out in plain torch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pnpxai.attributors import LRP
from pnpxai.attributors.propagation.composites import Composite, rule_named
from pnpxai.detector import detect
from pnpxai.explainers.propagation.lrp_rules import AttnLRP

pytestmark = pytest.mark.usefixtures("double")


class Layer(nn.Module):
    """One attention with two heads, read from its first token."""

    def __init__(self, how):
        super().__init__()
        self.attention, self.head, self.how = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3), how

    def forward(self, x, causal=False):
        if self.how == "module":
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
            return self.head(self.attention(x, x, x, attn_mask=mask)[0][:, 2])
        a = self.attention
        q, k, v = (p.unflatten(-1, (2, 3)).transpose(1, 2)
                   for p in F.linear(x, a.in_proj_weight, a.in_proj_bias).chunk(3, -1))  # fmt: skip
        if self.how == "function":
            found = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        else:
            scores = q @ k.mT / math.sqrt(3)
            if causal:
                scores = scores + torch.full(scores.shape[-2:], -torch.inf).triu(1)
            found = F.softmax(scores, -1) @ v
        return self.head(a.out_proj(found.transpose(1, 2).flatten(2))[:, 2])


def of_layer(x: Tensor, weight: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
    """Epsilon rule without epsilon: (tokens, inputs) of (tokens, outputs)."""
    return x * ((relevance / output).nan_to_num() @ weight)


def worked_out(net: Layer, x: Tensor, target: int, causal: bool) -> tuple[Tensor, Tensor]:
    """Return relevance of one example's tokens, and the remainder of softmax."""
    a = net.attention
    with torch.no_grad():
        q, k, v = (x @ w.T + b for w, b in zip(a.in_proj_weight.chunk(3), a.in_proj_bias.chunk(3), strict=True))
        by_heads = lambda part: part.unflatten(-1, (2, 3)).transpose(0, 1)  # noqa: E731
        products = by_heads(q) @ by_heads(k).mT
        scores = products / math.sqrt(3)
        if causal:
            scores = scores.masked_fill(torch.ones(4, 4, dtype=torch.bool).triu(1), -torch.inf)
        weights = scores.softmax(-1)
        mixed = weights @ by_heads(v)
        joined = mixed.transpose(0, 1).flatten(1)
        projected = a.out_proj(joined)
        output = net.head(projected[2])
        relevance = torch.zeros_like(projected)
        relevance[2] = projected[2] * net.head.weight[target]  # output[target] at the target, shared in proportion
        on_joined = of_layer(joined, a.out_proj.weight, projected, relevance)
        scale = by_heads(on_joined) / mixed
        on_weights = torch.einsum("hqk,hkd,hqd->hqk", weights, by_heads(v), scale) / 2
        on_v = torch.einsum("hqk,hkd,hqd->hkd", weights, by_heads(v), scale) / 2
        on_scores = torch.where(
            weights > 0, scores * (on_weights - weights * on_weights.sum(-1, keepdim=True)), 0.0
        ).nan_to_num()
        on_q = torch.einsum("hqd,hkd,hqk->hqd", by_heads(q), by_heads(k), on_scores / products) / 2
        on_k = torch.einsum("hqd,hkd,hqk->hkd", by_heads(q), by_heads(k), on_scores / products) / 2
        found = torch.zeros_like(x)
        parts = zip((q, k, v), (on_q, on_k, on_v), a.in_proj_weight.chunk(3), strict=True)
        for value, part, weight in parts:
            found += of_layer(x, weight, value, part.transpose(0, 1).flatten(1))
        assert output.shape == (3,)
    return found, (on_weights - on_scores).sum()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("how", ["module", "function", "written"])
def test_one_attention_layer(how, causal):
    net = Layer(how).eval()
    with torch.no_grad():
        net.attention.in_proj_bias.normal_(0, 0.3)
        net.attention.out_proj.bias.normal_(0, 0.3)
    x = torch.randn(3, 4, 6)
    epsilon = rule_named("epsilon", epsilon=0.0)
    lrp = LRP(net, Composite(epsilon, epsilon, attention="taylor"), epsilon=0.0)
    found = lrp.relevance(x, [0, 1, 2], additional_forward_args=causal)
    for k in range(3):
        expected, remainder = worked_out(net, x[k], k, causal)
        assert torch.allclose(found.attributions[k], expected, rtol=1e-9, atol=1e-11)
        assert torch.allclose(found.rest[k], remainder, rtol=1e-9)
    assert found.gap.abs().max() < 1e-10
    assert found.rest.abs().min() > 1e-4
    assert not causal or found.attributions[:, 3].abs().max() < 1e-12  # of what comes later, nothing is known


def test_constant_attention_gives_all_to_the_values():
    net = Layer("function").eval()
    x = torch.randn(2, 4, 6)
    epsilon = rule_named("epsilon", epsilon=0.0)
    found = LRP(net, Composite(epsilon, epsilon, attention="constant"), epsilon=0.0).relevance(x, 1)
    with torch.no_grad():
        a = net.attention
        w, b = a.in_proj_weight.chunk(3)[2], a.in_proj_bias.chunk(3)[2]
        v = x @ w.T + b
        q, k = (x @ w.T + b for w, b in zip(a.in_proj_weight.chunk(3)[:2], a.in_proj_bias.chunk(3)[:2], strict=True))
        q, k = (p.unflatten(-1, (2, 3)).transpose(1, 2) for p in (q, k))
        weights = (q @ k.mT / math.sqrt(3)).softmax(-1)[:, :, 2]  # (examples, heads, keys)
        along = net.head.weight[1] @ a.out_proj.weight  # all is linear from the values on
        on_v = (weights.repeat_interleave(3, 1).mT * v) * along
    assert torch.allclose(found.attributions, x * ((on_v / v) @ w), atol=1e-11)
    assert found.rest.abs().max() == 0
    assert found.gap.abs().max() < 1e-10


@pytest.mark.parametrize("norm", [nn.LayerNorm(5), nn.RMSNorm(5, eps=1e-6)], ids=["layer norm", "rms norm"])
def test_norms_are_scales(norm):
    norm = norm.double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
    net, x = nn.Sequential(norm, nn.Linear(5, 2)), torch.randn(3, 5)
    found = LRP(net, epsilon=0.0).relevance(x, 1)
    centred = x - x.mean(1, keepdim=True) if isinstance(norm, nn.LayerNorm) else x
    spread = (centred.square().mean(1, keepdim=True) + norm.eps).rsqrt()
    slope = (net[1].weight[1] * norm.weight * spread).detach()  # with the scale held fixed, all is linear
    if isinstance(norm, nn.LayerNorm):
        slope = slope - slope.mean(1, keepdim=True)
    assert torch.allclose(found.attributions, x * slope, atol=1e-11)
    assert found.gap.abs().max() < 1e-11


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True)], ids=["groups", "channels"])
def test_norms_of_groups_are_scales(norm):
    norm = norm.double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    net, x = nn.Sequential(norm, nn.Flatten(), nn.Linear(12, 2)), torch.randn(3, 4, 3)
    found = LRP(net, epsilon=0.0).relevance(x, 1)
    groups = x.reshape(3, getattr(norm, "num_groups", 4), -1)
    spread = (groups.var(2, correction=0, keepdim=True) + norm.eps).rsqrt()
    slope = (
        (net[2].weight[1].reshape(4, 3) * norm.weight[:, None]).detach().expand(3, 4, 3).reshape(groups.shape)
    ) * spread
    assert torch.allclose(found.attributions, x * (slope - slope.mean(2, keepdim=True)).reshape(x.shape), atol=1e-11)
    assert torch.allclose(
        found.bias - net[2].bias[1], (net[2].weight[1].reshape(4, 3).sum(1) * norm.bias).sum(), atol=1e-11
    )
    assert found.gap.abs().max() < 1e-11


class WrittenGelu(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (WrittenGelu(), nn.GELU("tanh")),
        (lambda x: x * torch.sigmoid(x), nn.SiLU()),
        (lambda x: x * torch.tanh(F.softplus(x)), nn.Mish()),
    ],
    ids=["gelu", "silu", "mish"],
)
def test_activations_written_out_are_activations(written, meant):
    class Net(nn.Module):
        def __init__(self, activation, like=None):
            super().__init__()
            self.activation = activation
            self.first, self.second = (nn.Linear(4, 5), nn.Linear(5, 2)) if like is None else (like.first, like.second)

        def forward(self, x):
            return self.second(self.activation(self.first(x)))

    net = Net(meant)
    x = torch.randn(3, 4)
    expected = LRP(net).relevance(x, 1)
    found = LRP(Net(written, net)).relevance(x, 1)
    assert torch.allclose(found.attributions, expected.attributions, atol=1e-8)
    assert torch.allclose(found.bias, expected.bias, atol=1e-8)


@pytest.mark.parametrize("power", [lambda x: x**2, lambda x: x.pow(3), torch.square, lambda x: x * x])
def test_a_power_is_a_product_of_equal_factors(power):
    class Net(nn.Module):
        def forward(self, x):
            return power(x).sum(1, keepdim=True)

    x = torch.randn(2, 3)
    assert torch.allclose(LRP(Net()).attribute(x), power(x), atol=1e-8)


def test_a_root_mean_square_norm_written_out():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            return self.head(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))

    net, x = Written(), torch.randn(2, 5)
    whole = nn.Sequential(nn.RMSNorm(5, eps=1e-6, elementwise_affine=False), net.head)
    assert torch.allclose(LRP(net).attribute(x, 1), LRP(whole).attribute(x, 1), atol=1e-8)


def test_it_needs_attention():
    assert AttnLRP.reason_against(detect(nn.Linear(2, 2))) == "needs attention; Linear has linear"
