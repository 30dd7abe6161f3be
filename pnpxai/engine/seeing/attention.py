"""Writes attention in elementary operations."""

from __future__ import annotations

import inspect
import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.cells import Gate
from pnpxai.engine.seeing.operations import Operation
from pnpxai.model_types import Keywords

__all__ = ["ATTENTION_PARTS"]


def _attention(
    gate: Gate,
    function: Operation,
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
    if attn_mask is None:
        return torch.matmul(torch.softmax(scores, -1), value)
    if attn_mask.dtype == torch.bool:
        scores, hidden = scores.masked_fill(~attn_mask, float("-inf")), ~attn_mask
    else:
        scores, hidden = scores + attn_mask, torch.isneginf(attn_mask)
    return torch.matmul(_weights(scores, hidden), value)


def _weights(scores: Tensor, hidden: Tensor | None) -> Tensor:
    """Return softmax weights; those of a query that may look at no key are zero, as in torch's fused attention."""
    blind = None if hidden is None else hidden.all(-1, keepdim=True)
    if blind is None or not blind.any():
        return torch.softmax(scores, -1)
    return torch.softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)


def _multi_head(gate: Gate, function: Operation, *args: object, **kwargs: object) -> tuple[Tensor, Tensor | None]:
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
    mask = _mask(a, (*q.shape[:-1], k.shape[-2]), q.dtype)
    weights_of_heads = None
    if a["need_weights"]:
        scores = torch.matmul(q, k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]))
        # torch does not fuse here, and a query that may look at no key is NaN
        weights_of_heads = torch.softmax(scores if mask is None else scores + mask, -1)
        attended = torch.matmul(weights_of_heads, v)
    else:
        attended = F.scaled_dot_product_attention(q, k, v, mask)
    joined = attended.transpose(1, 2).flatten(2)
    result = F.linear(joined, a["out_proj_weight"], a["out_proj_bias"]).transpose(0, 1)
    shown = None
    if weights_of_heads is not None:
        shown = weights_of_heads.mean(1) if a["average_attn_weights"] else weights_of_heads
        shown = shown if batched else shown.squeeze(0)
    return (result if batched else result.squeeze(1)), shown


def _mask(a: Keywords, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
    """Return the mask that is added to the scores: zero where a query may look at a key, minus infinity elsewhere."""

    def additive(mask: Tensor) -> Tensor:
        if mask.dtype != torch.bool:
            return mask
        return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))

    batch, heads, _, keys = shape
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


ATTENTION_PARTS = {
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
}
"""Attention by the names of its operations."""
