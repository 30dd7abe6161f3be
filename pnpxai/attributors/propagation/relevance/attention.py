"""Relevance through attention in one step, so that no matrix of all tokens is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import GraphRule, Ledger, ValueRule
from pnpxai.attributors.propagation.relevance.linear import normalised
from pnpxai.engine.seeing.operations import Operation
from pnpxai.model_types import Keywords, Positional
from pnpxai.tensors import Tensors

__all__ = ["Attention", "BiasedAttention", "attention_rule"]

_ENTRIES = 2**21
"""Attention weights in memory at a time."""


@dataclass(frozen=True)
class Attention:
    """o = p v, p = softmax(c q k^T): products by halves, the softmax by its Taylor term.

    With g = R / (o + epsilon sign o) / 2, values get v dv, and queries and keys q dq / 2 and k dk / 2, where dq, dk, dv
    are derivatives of sum(g o): the softmax's logits s get s ds, of which each factor of c q k^T has half. Both rules:
    Achtibat et al., 2024 (arXiv:2402.05602).

    Attributes:
        function: attention, of queries, keys and values.
        constant: take p for constants, so that values get all.
        epsilon: the stabiliser.
        ledger: where sinks are noted.
    """

    function: Callable[..., Tensor]
    constant: bool
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of queries, keys and values."""
        kind = torch.promote_types(output.dtype, torch.float32)
        if output.dtype != kind:  # half precision
            leaves = tuple(x.detach().to(kind).requires_grad_() for x in leaves)
            with torch.enable_grad():
                output = self.function(*leaves)
        g = normalised(output.detach(), relevance.to(kind), self.epsilon, self.ledger)
        if self.constant:
            (dv,) = torch.autograd.grad(output, leaves[2:], g, retain_graph=self.ledger.again)
            return (*map(torch.zeros_like, leaves[:2]), leaves[2].detach() * dv)
        slopes = torch.autograd.grad(output, leaves, g.div_(2), retain_graph=self.ledger.again)
        q, k, v = (x.detach() * slope for x, slope in zip(leaves, slopes, strict=True))
        self.ledger.note_product("rest", output.detach(), g)  # what weights get, of which logits get a part
        self.ledger.note(rest=-q)
        return q.div_(2), k.div_(2), v


@dataclass(frozen=True)
class BiasedAttention:
    """As ``Attention``, with a mask m of numbers: its part of the logits s = c q k^T + m is a constant's.

    With D = g v^T the weights get p D, and the logits s A with A = p (D - sum_j p_j D_j), some queries at a time.

    Attributes:
        mask: m.
        scale: c.
        epsilon: the stabiliser.
        ledger: where sinks are noted.
    """

    mask: Tensor
    scale: float
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share_of(self, operands: Tensors, value: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of queries, keys and values."""
        with torch.no_grad():
            kind = torch.promote_types(value.dtype, torch.float32)
            q, k, v = (x.to(kind) for x in operands)
            groups = q.shape[-3] // k.shape[-3] if q.ndim > 2 and k.ndim > 2 else 1
            if groups > 1:
                k, v = k.repeat_interleave(groups, -3), v.repeat_interleave(groups, -3)
            g = normalised(value.to(kind), relevance.to(kind), self.epsilon, self.ledger).div_(2)
            of_q, of_k, of_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
            for rows in self._blocks(q, k):
                self._add(rows, (q, k, v), g[..., rows, :], (of_q, of_k, of_v))
            shares = [of_q.mul_(q), of_k.mul_(k), of_v.mul_(v)]
            if groups > 1:
                shares[1:] = [s.unflatten(-3, (-1, groups)).sum(-3) for s in shares[1:]]
            return tuple(s.reshape(x.shape).to(x.dtype) for s, x in zip(shares, operands, strict=True))

    def _blocks(self, q: Tensor, k: Tensor) -> Iterator[slice]:
        queries, keys = q.shape[-2], k.shape[-2]
        step = max(1, _ENTRIES // max(1, math.prod(q.shape[:-2]) * keys))
        return (slice(start, start + step) for start in range(0, queries, step))

    def _add(self, rows: slice, operands: Tensors, g: Tensor, totals: Tensors) -> None:
        """Add what some rows of queries pass to the multipliers of queries, keys and values."""
        q, k, v = operands
        of_q, of_k, of_v = totals
        mask = (self.mask if self.mask.shape[-2] == 1 else self.mask[..., rows, :]).to(q.dtype)
        logits = torch.matmul(q[..., rows, :], k.transpose(-2, -1)).mul_(self.scale)
        p = (logits + mask).softmax(-1).nan_to_num_(0.0)  # a query that may look at no key has no weights
        of_v += torch.matmul(p.transpose(-2, -1), g)
        d = torch.matmul(g, v.transpose(-2, -1))
        whole = (p * d).sum(-1)
        a = d.sub_(whole.unsqueeze(-1)).mul_(p)
        bias = (torch.nan_to_num(mask, 0.0, 0.0, 0.0) * a).sum(-1)
        self.ledger.note(bias=bias, rest=whole - (logits * a).sum(-1) - bias)
        a.mul_(self.scale / 2)
        of_q[..., rows, :] += torch.matmul(a, k)
        of_k += torch.matmul(a.transpose(-2, -1), q[..., rows, :])


def attention_rule(
    function: Operation, args: Positional, kwargs: Keywords, constant: bool, epsilon: float, ledger: Ledger
) -> GraphRule | ValueRule | None:
    """Return the rule of a call of fused attention; None if its mask carries relevance, or it drops values."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    call = dict(zip(names, args, strict=False)) | kwargs
    carrying = [call.pop(name) for name in names[:3]]
    mask = call.get("attn_mask")
    if not all(t.requires_grad for t in carrying) or (mask is not None and mask.requires_grad) or call.get("dropout_p"):
        return None
    if not constant and mask is not None and _has_numbers(mask):
        scale = call.get("scale")
        scale = 1 / math.sqrt(carrying[0].shape[-1]) if scale is None else scale
        return BiasedAttention(mask, scale, epsilon, ledger)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        converted = mask if mask is None or mask.dtype == torch.bool else mask.to(q.dtype)
        return function(q, k, v, **call | {"attn_mask": converted})

    return Attention(attend, constant, epsilon, ledger)


def _has_numbers(mask: Tensor) -> bool:
    """Tell whether a mask adds other numbers than those that hide a key."""
    if mask.dtype == torch.bool:
        return False
    return bool(((mask != 0) & (mask > torch.finfo(mask.dtype).min / 2)).any())
