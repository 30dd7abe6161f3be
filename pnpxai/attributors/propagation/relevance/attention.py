"""Relevance through attention in one step, some rows of queries at a time, so that no matrix of all tokens is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.engine.seeing.operations import Operation
from pnpxai.model_types import Keywords
from pnpxai.tensors import Tensors

__all__ = ["Attention", "attention_rule"]

_ENTRIES = 2**21
"""Attention weights in memory at a time."""


@dataclass(frozen=True)
class Attention:
    """o = p v, p = softmax(s), s = c q k^T + m: products by halves, the softmax by its Taylor term.

    With g = R / (o + epsilon sign o) and D = g v^T / 2, the weights get p D, and the logits s_ij A_ij with
    A = p (D - sum_j p_j D_j); of these c q k^T takes its part, by halves, and the mask m its own, a constant's. Both
    rules: Achtibat et al., 2024 (arXiv:2402.05602).

    Attributes:
        mask: m, or where a key may be looked at; None for all.
        is_causal: whether keys after the query are hidden.
        scale: c.
        constant: take p for constants, so that values get all.
        epsilon: the stabiliser.
        ledger: where sinks are noted.
    """

    mask: Tensor | None
    is_causal: bool
    scale: float
    constant: bool
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of queries, keys and values."""
        with torch.no_grad():
            kind = torch.promote_types(output.dtype, torch.float32)
            q, k, v = (x.detach().to(kind) for x in leaves)
            groups = q.shape[-3] // k.shape[-3] if q.ndim > 2 and k.ndim > 2 else 1
            if groups > 1:
                k, v = k.repeat_interleave(groups, -3), v.repeat_interleave(groups, -3)
            o, r = output.detach().to(kind), relevance.to(kind)
            g = r / (o + torch.copysign(torch.full_like(o, self.epsilon), o))
            self.ledger.note(epsilon=torch.addcmul(r, o, g, value=-1))
            if not self.constant:
                g = g.div_(2)
            of_q, of_k, of_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
            for rows in self._blocks(q, k):
                self._add(rows, (q, k, v), g[..., rows, :], (of_q, of_k, of_v))
            shares = [of_q.mul_(q), of_k.mul_(k), of_v.mul_(v)]
            if groups > 1:
                shares[1:] = [s.unflatten(-3, (-1, groups)).sum(-3) for s in shares[1:]]
            return tuple(s.reshape(x.shape).to(x.dtype) for s, x in zip(shares, leaves, strict=True))

    def _blocks(self, q: Tensor, k: Tensor) -> Iterator[slice]:
        queries, keys = q.shape[-2], k.shape[-2]
        step = max(1, _ENTRIES // max(1, math.prod(q.shape[:-2]) * keys))
        return (slice(start, start + step) for start in range(0, queries, step))

    def _add(self, rows: slice, operands: Tensors, g: Tensor, totals: Tensors) -> None:
        """Add what some rows of queries pass to the multipliers of queries, keys and values."""
        q, k, v = operands
        of_q, of_k, of_v = totals
        logits = torch.matmul(q[..., rows, :], k.transpose(-2, -1)).mul_(self.scale)
        p, added = self._weights(logits, rows)
        of_v += torch.matmul(p.transpose(-2, -1), g)
        if self.constant:
            return
        d = torch.matmul(g, v.transpose(-2, -1))
        whole = (p * d).sum(-1, keepdim=True)
        a = d.sub_(whole).mul_(p)
        inside = (logits * a).sum(-1)
        bias = None
        if added is not None:
            bias = (torch.nan_to_num(added, 0.0, 0.0, 0.0) * a).sum(-1)
        self.ledger.note(bias=bias, rest=whole.squeeze(-1) - inside - (0.0 if bias is None else bias))
        a.mul_(self.scale / 2)
        of_q[..., rows, :] += torch.matmul(a, k)
        of_k += torch.matmul(a.transpose(-2, -1), q[..., rows, :])

    def _weights(self, logits: Tensor, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Return the softmax of some rows of logits, and what a mask adds to them."""
        queries, keys = logits.shape[-2:]
        hidden, added = None, None
        if self.is_causal:
            places = torch.arange(rows.start, rows.start + queries, device=logits.device)
            hidden = torch.arange(keys, device=logits.device) > places[:, None]
        if self.mask is not None:
            mask = self.mask if self.mask.shape[-2] == 1 else self.mask[..., rows, :]
            if mask.dtype == torch.bool:
                hidden = ~mask if hidden is None else hidden | ~mask
            else:
                added = mask.to(logits.dtype)
        masked = logits if added is None else logits + added
        if hidden is None and added is None:
            return masked.softmax(-1), None
        if hidden is not None:
            masked = masked.masked_fill(hidden, float("-inf"))
        # a query that may look at no key has no weights
        return masked.softmax(-1).nan_to_num_(0.0), added


def attention_rule(
    function: Operation, args: tuple[Any, ...], kwargs: Keywords, constant: bool, epsilon: float, ledger: Ledger
) -> Attention | None:
    """Return the rule of a call of fused attention; None if its mask carries relevance, or it drops values."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    call = dict(zip(names, args, strict=False)) | kwargs
    mask, query = call.get("attn_mask"), call["query"]
    carrying = [t for t in (call["query"], call["key"], call["value"]) if t.requires_grad]
    if len(carrying) < 3 or (mask is not None and mask.requires_grad) or call.get("dropout_p"):
        return None
    scale = call.get("scale")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return Attention(mask, bool(call.get("is_causal")), scale, constant, epsilon, ledger)
