"""Laws of attention maps: weights computed from caught queries and keys, rolled out in plain torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pnpxai.attributors import TransformerAttribution
from pnpxai.attributors.attention.maps import attention_pass
from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score
from tests.laws.cam import resized
from tests.laws.trial import Trial, deviation
from tests.laws.written_out import WRITTEN_OUT

__all__ = ["by_hand", "caught", "relevance_rolled_out", "rolled_out"]

READ = {"vit": 0, "torchvision_vit": 0, "timm_vit": 0, "bert": 0, "gpt2": -1, "MiniLM": slice(None), "SmolLM2-135M": -1}
"""Which token the score is read from, or the mean of which tokens."""


def rolled_out(trial: Trial) -> float:
    """The map is the product of the caught weights: smallest of the heads, largest tenth, half a skip connection."""
    layers = []
    for weights in caught(trial)[0]:
        kept = _largest(weights.detach().amin(1), trial.made.discard_ratio)  # type: ignore[attr-defined]
        layer = kept + torch.eye(kept.shape[-1], dtype=kept.dtype)
        layers.append(layer / layer.sum(-1, keepdim=True))
    return _matches(trial, layers)


def relevance_rolled_out(trial: Trial) -> float:
    """The map is the product of relevance times autograd's gradient at the caught weights, positive, mean of heads."""
    made: Any = trial.made
    backend: TransformerAttribution = made.attributor()
    weights, score = caught(trial)
    with borrowed(trial.case.model):
        whole = Score.of(trial.case.model, trial.case.tensors, trial.case.targets)
        rules = backend.rules.__class__(backend.rules.epsilon, backend.rules.composite, Ledger(len(trial.case)))
        ruled = attention_pass(whole, trial.case.tensors, rules)
        relevance = ruled.gradients(ruled.maps)
    return _matches(trial, _of_relevance(trial, weights, score, relevance))


def by_hand(trial: Trial) -> float:
    """The map is that of relevance passed back through the only layer by the paper's rules, written out."""
    weights, score = caught(trial)
    with torch.no_grad():
        relevance = _passed_back(trial)
    return _matches(trial, _of_relevance(trial, weights, score, [relevance]))


def caught(trial: Trial) -> tuple[list[Tensor], Tensor]:
    """Return all attention weights (examples, heads, queries, keys) and the scores, with a graph between them."""
    with _Caught() as mode:
        score = trial.score(tuple(v.clone() for v in trial.values))
    return mode.weights, score


def _of_relevance(trial: Trial, weights: list[Tensor], score: Tensor, relevance: Sequence[Tensor]) -> list[Tensor]:
    slopes = torch.autograd.grad(score.sum(), weights)
    layers = []
    for slope, share in zip(slopes, relevance, strict=True):
        kept = _largest((slope * share).clamp(min=0).mean(1), trial.made.discard_ratio)  # type: ignore[attr-defined]
        layers.append(kept + torch.eye(kept.shape[-1], dtype=kept.dtype))
    return layers


def _largest(weights: Tensor, discarded: float) -> Tensor:
    """Set the smallest weights to zero, but for that of the first token for itself."""
    kept = weights.flatten(1).clone()
    for row in kept:
        first = row[0].clone()
        row[row.argsort(stable=True)[: int(len(row) * discarded)]] = 0
        row[0] = first
    return kept.reshape(weights.shape)


def _matches(trial: Trial, layers: list[Tensor]) -> float:
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    read = READ[trial.case.name]
    tokens = total[:, read].mean(1) if isinstance(read, slice) else total[:, read]
    picture = trial.values[0]
    if picture.ndim == 2:
        return deviation(trial.maps, (tokens,))
    side = math.isqrt(tokens.shape[1] - 1)
    return deviation(trial.maps, (resized(tokens[:, 1:].reshape(-1, 1, side, side), picture),))


class _Caught(TorchFunctionMode):
    """Computes attention in elementary steps, and keeps the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.softmax:
            self.weights.append(func(*args, **(kwargs or {})))
            return self.weights[-1]
        if func in (F.scaled_dot_product_attention, F.multi_head_attention_forward):
            with self:
                return WRITTEN_OUT[func](*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _passed_back(trial: Trial) -> Tensor:
    """Return relevance (examples, heads, tokens, tokens) of the attention weights of ``nets.VisionTransformer``."""
    model: Any = trial.case.model
    layer, small = model.encoder, trial.made.stabilizer  # type: ignore[attr-defined]

    def back(of: nn.Linear, x: Tensor, relevance: Tensor) -> Tensor:
        shares = []
        for sign, amount in ((1, 2.0), (-1, -1.0)):  # alpha and beta
            terms = x[..., None, :] * of.weight
            terms = terms.clamp(min=0) if sign > 0 else terms.clamp(max=0)
            total = terms.sum(-1, keepdim=True)
            shares.append(amount * (terms / (total + sign * small) * relevance[..., None]).sum(-2))
        return shares[0] + shares[1]

    def branches(one: Tensor, other: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        ratio = relevance / (one + other)
        shares = one * ratio, other * ratio
        totals = [s.flatten(1).sum(1) for s in shares]
        size = sum(t.abs() for t in totals)
        scales = [relevance.flatten(1).sum(1) * t.abs() / size / t for t in totals]
        first, second = (s * k.reshape(-1, 1, 1) for s, k in zip(shares, scales, strict=True))
        return first, second

    patches = model.patches(trial.values[0]).flatten(2).transpose(1, 2)
    x = torch.cat([model.token.expand(len(patches), -1, -1), patches], 1) + model.place
    attention, heads = layer.self_attn, layer.self_attn.num_heads
    q, k, v = (
        p.unflatten(-1, (heads, -1)).transpose(1, 2)
        for p in F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    )
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
    context = (weights @ v).transpose(1, 2).flatten(2)
    seen = attention.out_proj(context)
    middle = layer.norm1(x + seen)
    hidden = F.gelu(layer.linear1(middle))
    forward = layer.linear2(hidden)
    last = layer.norm2(middle + forward)

    relevance = torch.zeros_like(last)
    chosen = F.one_hot(torch.tensor(trial.case.targets), trial.case.outputs).to(last)
    relevance[:, 0] = back(model.head, last[:, 0], chosen)
    around, through = branches(middle, forward, relevance)
    at_middle = around + back(layer.linear1, middle, back(layer.linear2, hidden, through))
    _, at_seen = branches(x, seen, at_middle)
    at_context = back(attention.out_proj, context, at_seen) / context
    return weights * (at_context.unflatten(-1, (heads, -1)).transpose(1, 2) @ v.transpose(-2, -1)) / 2
