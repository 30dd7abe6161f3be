"""Writes products over an axis, blends and sums of products in elementary operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.seeing.cells import Gate

__all__ = ["REDUCTION_PARTS", "needs_parts"]


def needs_parts(name: str, operands: int) -> bool:
    """Return whether a call is compound, given the number of operands that vary (with few, some are elementary)."""
    return operands > _ELEMENTARY_UP_TO.get(name, 0)


_ELEMENTARY_UP_TO = {
    "einsum": 2,
    "addcmul": 1,
    "addcdiv": 1,
    "lerp": 1,
    "addmm": 1,
    "baddbmm": 1,
    "addmv": 1,
    "addbmm": 1,
}


def _glu(gate: Gate, function: Any, x: Tensor, dim: int = -1) -> Tensor:
    signal, gated = x.chunk(2, dim)
    return signal * torch.sigmoid(gated)


def _prod(
    gate: Gate, function: Any, x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    if dim is None:
        x, dim = x.flatten(), 0
    while x.shape[dim] > 1:  # neighbours in pairs, so that few products stand above one another
        half = x.shape[dim] // 2
        pairs = x.narrow(dim, 0, half) * x.narrow(dim, half, half)
        odd = x.shape[dim] - 2 * half
        x = torch.cat([pairs, x.narrow(dim, 2 * half, odd)], dim) if odd else pairs
    return x if keepdim else x.squeeze(dim)


def _cumprod(gate: Gate, function: Any, x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    members = list((x if dtype is None else x.to(dtype)).unbind(dim))
    for k in range(1, len(members)):
        members[k] = members[k - 1] * members[k]
    return torch.stack(members, dim)


def _addcmul(gate: Gate, function: Any, x: Tensor, one: Tensor, other: Tensor, *, value: Any = 1) -> Tensor:
    return x + one * other * value


def _addcdiv(gate: Gate, function: Any, x: Tensor, one: Tensor, other: Tensor, *, value: Any = 1) -> Tensor:
    return x + one / other * value


def _lerp(gate: Gate, function: Any, start: Tensor, end: Tensor, weight: Any) -> Tensor:
    return start + (end - start) * weight


def _addmm(
    gate: Gate, function: Any, x: Tensor, one: Tensor, other: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    product = torch.matmul(one, other)
    if x.dim() < product.dim() and getattr(function, "__name__", "").startswith("addbmm"):
        product = product.sum(0)
    return (x if beta == 1 else x * beta) + (product if alpha == 1 else product * alpha)


def _einsum(gate: Gate, function: Any, equation: str, *operands: Any) -> Tensor:
    factors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else list(operands)
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:  # what occurs once, in the order of the alphabet
        result = "".join(sorted(c for c in set(left) - set(",.") if left.count(c) == 1))
        result = ("..." if "..." in left else "") + result
    while len(factors) > 2:
        later = "".join(terms[2:]) + result
        dots = "..." if "..." in terms[0] + terms[1] else ""
        kept = dots + "".join(c for c in dict.fromkeys((terms[0] + terms[1]).replace(".", "")) if c in later)
        factors[:2] = [torch.einsum(f"{terms[0]},{terms[1]}->{kept}", factors[0], factors[1])]
        terms[:2] = [kept]
    return torch.einsum(f"{','.join(terms)}->{result}", *factors)


REDUCTION_PARTS = {
    "glu": _glu,
    "prod": _prod,
    "cumprod": _cumprod,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "addmm": _addmm,
    "addmv": _addmm,
    "addbmm": _addmm,
    "baddbmm": _addmm,
    "einsum": _einsum,
}
"""Elementary forms by operation; ``needs_parts`` says which of their calls are compound."""
