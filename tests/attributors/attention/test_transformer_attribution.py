"""Relevance times gradient of attention, worked out in plain torch for small transformers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pnpxai.attributors import TransformerAttribution
from tests.attributors.attention.attending import Attending, Block
from tests.attributors.attention.test_rollout import X, placed

pytestmark = pytest.mark.usefixtures("double")


def of_layer(x: Tensor, weight: Tensor, relevance: Tensor, alpha: float) -> Tensor:
    """Alpha-beta rule of one row of a linear layer without its bias."""
    terms = x * weight  # (outputs, inputs)
    positive, negative = ((p / p.sum(1, keepdim=True)).nan_to_num() for p in (terms.clamp(min=0), terms.clamp(max=0)))
    return relevance @ (alpha * positive - (alpha - 1) * negative)


def of_sum(one: Tensor, other: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Parts of a sum by what they contribute; then their totals by size, with the sign of the whole."""
    parts = [part / (one + other) * relevance for part in (one, other)]
    totals = [part.sum() for part in parts]
    size = abs(totals[0]) + abs(totals[1])
    return tuple(p * abs(t) / size * relevance.sum() / t for p, t in zip(parts, totals, strict=True))


def relevance_at_maps(net: Attending, x: Tensor, target: int, alpha: float) -> list[Tensor]:
    """Return relevance (heads, tokens, tokens) at each attention, for one example read from its class token."""
    with torch.no_grad():
        tokens = torch.cat([net.token[0], net.patches(x[None]).flatten(2)[0].T])
        seen = []
        for block in net.blocks:
            seen.append(tokens)
            tokens = block(tokens[None])[0]
        above = torch.zeros_like(tokens)
        above[0] = of_layer(tokens[0], net.head.weight[target : target + 1], torch.ones(1), alpha)
        found = []
        for block, below in zip(reversed(net.blocks), reversed(seen), strict=True):
            of_map, above = through(block, below, above, alpha)
            found.insert(0, of_map)
    return found


def through(block: Block, x: Tensor, above: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Take relevance (tokens, width) through a block of nothing but attention and a residual connection."""
    a, heads = block.attention, block.heads
    block(x[None])
    weights = block.map[0]
    q, k, v = (
        (x @ w.T + b).unflatten(-1, (heads, -1)).transpose(0, 1)
        for w, b in zip(a.in_proj_weight.chunk(3), a.in_proj_bias.chunk(3), strict=True)
    )
    mixed = weights @ v  # (heads, tokens, width / heads)
    joined = mixed.transpose(0, 1).flatten(1)
    on_skip, on_attention = of_sum(x, a.out_proj(joined), above)
    on_joined = torch.stack([of_layer(joined[t], a.out_proj.weight, on_attention[t], alpha) for t in range(len(x))])
    on_mixed = on_joined.unflatten(-1, (heads, -1)).transpose(0, 1)
    scale = on_mixed / mixed
    on_weights = torch.einsum("hqk,hkd,hqd->hqk", weights, v, scale) / 2
    on_v = torch.einsum("hqk,hkd,hqd->hkd", weights, v, scale) / 2
    # softmax and the constant factor pass relevance on; queries and keys get half of it each
    products = q @ k.transpose(1, 2)
    on_q = torch.einsum("hqd,hkd,hqk->hqd", q, k, on_weights / products) / 2
    on_k = torch.einsum("hqd,hkd,hqk->hkd", q, k, on_weights / products) / 2
    below = on_skip.clone()
    for w, part in zip(a.in_proj_weight.chunk(3), (on_q, on_k, on_v), strict=True):
        rows = part.transpose(0, 1).flatten(1)
        below += torch.stack([of_layer(x[t], w, rows[t], alpha) for t in range(len(x))])
    return on_weights, below


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("blocks", [1, 2])
def test_it_equals_relevance_and_gradients_worked_out_in_plain_torch(blocks, alpha):
    net = Attending(blocks=blocks, whole=False).eval()
    targets, rows = [2, 0, 3], []
    for k, target in enumerate(targets):
        score = net(X[k : k + 1])[0, target]
        slopes = torch.autograd.grad(score, [block.map for block in net.blocks])
        total = torch.eye(7)
        for slope, share in zip(slopes, relevance_at_maps(net, X[k], target, alpha), strict=True):
            total = (torch.eye(7) + (slope[0] * share).clamp(min=0).mean(0)) @ total
        rows.append(total[0])
    found = TransformerAttribution(net, "mean", 0.0, "bilinear", alpha=alpha, stabilizer=1e-14).attribute(X, targets)
    assert torch.allclose(found, placed(torch.stack(rows)), rtol=1e-6, atol=1e-9)
    assert found.flatten(1).std(1).min() > 1e-6


def test_relevance_is_of_one_not_of_the_score():
    net = Attending(blocks=2).eval()
    plain = TransformerAttribution(net, "mean", 0.0, "bilinear").attribute(X, 1)
    with torch.no_grad():
        net.head.bias += 100 * torch.ones(4)
    assert torch.allclose(TransformerAttribution(net, "mean", 0.0, "bilinear").attribute(X, 1), plain)
