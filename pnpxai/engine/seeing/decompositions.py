"""Attention, recurrent cells and norms in elementary operations, so that rules on operations reach their inside."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.cells import CELLS, Gate

__all__ = ["DECOMPOSED", "decomposed"]


def decomposed(name: str, function: Callable[..., Any], gate: Gate, *args: Any, **kwargs: Any) -> Any:
    """Run an operation of ``DECOMPOSED`` as elementary operations.

    Args:
        name: the operation's name.
        function: the operation, whose signature tells positional arguments apart.
        gate: what is done with gates.
        *args: its positional arguments.
        **kwargs: its keyword arguments.
    """
    return DECOMPOSED[name](gate, function, *args, **kwargs)


def _attention(
    gate: Gate,
    function: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = torch.matmul(query, key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if masked else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)


def _multi_head(gate: Gate, function: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    a = given.arguments
    batched = a["query"].dim() == 3
    # (length, batch, width) -> (batch, length, width)
    query, key, value = ((a[n] if batched else a[n].unsqueeze(1)).transpose(0, 1) for n in ("query", "key", "value"))
    heads = a["num_heads"]
    if a["use_separate_proj_weight"]:
        weights = a["q_proj_weight"], a["k_proj_weight"], a["v_proj_weight"]
    else:
        weights = a["in_proj_weight"].chunk(3)
    biases = (None,) * 3 if a["in_proj_bias"] is None else a["in_proj_bias"].chunk(3)
    parts = [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]
    bias_rows = (a["bias_k"], a["bias_v"])
    for k, row in enumerate(bias_rows, start=1):
        if row is not None:
            parts[k] = torch.cat([parts[k], row.expand(parts[k].shape[0], 1, row.shape[-1])], 1)
    # -> (batch, heads, length, width / heads)
    q, k, v = (p.reshape(*p.shape[:2], heads, -1).transpose(1, 2) for p in parts)
    if a["add_zero_attn"]:
        k, v = (torch.cat([p, p.new_zeros(*p.shape[:2], 1, p.shape[3])], 2) for p in (k, v))
    scores = torch.matmul(q, k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]))
    mask = _mask(a, scores)
    if mask is not None:
        scores = scores + mask
    weights_of_heads = torch.softmax(scores, -1)
    joined = torch.matmul(weights_of_heads, v).transpose(1, 2).flatten(2)
    result = F.linear(joined, a["out_proj_weight"], a["out_proj_bias"]).transpose(0, 1)
    shown = None
    if a["need_weights"]:
        shown = weights_of_heads.mean(1) if a["average_attn_weights"] else weights_of_heads
        shown = shown if batched else shown.squeeze(0)
    return (result if batched else result.squeeze(1)), shown


def _mask(a: dict[str, Any], scores: Tensor) -> Tensor | None:
    """Return what is added to the scores: zero where a key may be looked at, minus infinity elsewhere."""

    def additive(mask: Tensor) -> Tensor:
        if mask.dtype != torch.bool:
            return mask
        return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, float("-inf"))

    batch, heads, _, keys = scores.shape
    total = None
    if a["attn_mask"] is not None:
        mask = additive(a["attn_mask"])
        total = mask.reshape(batch, heads, *mask.shape[1:]) if mask.dim() == 3 else mask
    if a["key_padding_mask"] is not None:
        padding = additive(a["key_padding_mask"]).reshape(-1, 1, 1, a["key_padding_mask"].shape[-1])
        total = padding if total is None else total + padding
    if total is not None and total.shape[-1] < keys:  # rows of biases or zeros were added to the keys
        total = F.pad(total, (0, keys - total.shape[-1]))
    return total


def _layer_norm(
    gate: Gate, function: Any, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x - x.mean(axes, keepdim=True), axes, eps), weight, bias)


def _rms_norm(
    gate: Gate, function: Any, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x, axes, torch.finfo(x.dtype).eps if eps is None else eps), weight, None)


def _group_norm(
    gate: Gate, function: Any, x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    groups = x.reshape(x.shape[0], num_groups, -1)
    normed = _normed(gate, groups - groups.mean(-1, keepdim=True), (-1,), eps).reshape(x.shape)
    shape = (1, -1, *[1] * (x.dim() - 2))
    return _affine(normed, *(None if p is None else p.reshape(shape) for p in (weight, bias)))


def _instance_norm(
    gate: Gate, function: Any, x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    if not use_input_stats:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _group_norm(gate, function, x, x.shape[1], weight, bias, eps)


def _normalize(
    gate: Gate, function: Any, x: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    def scale() -> Tensor:
        lengths = (x * x).sum(dim, keepdim=True).sqrt() if p == 2 else torch.linalg.vector_norm(x, p, dim, keepdim=True)
        return lengths.clamp_min(eps).reciprocal()

    return x * gate(scale)


def _glu(gate: Gate, function: Any, x: Tensor, dim: int = -1) -> Tensor:
    signal, gated = x.chunk(2, dim)
    return signal * torch.sigmoid(gated)


def _normed(gate: Gate, centred: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return centred * gate(lambda: torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps))


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


DECOMPOSED: dict[str, Callable[..., Any]] = {
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "normalize": _normalize,
    "glu": _glu,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
    **CELLS,
}
"""Compound operations by name."""
