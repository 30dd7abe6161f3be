"""Writes products over an axis, blends and sums of products in elementary operations."""

from __future__ import annotations

import torch
from torch import Tensor

from pnpxai.engine.seeing.cells import Gate
from pnpxai.engine.seeing.operations import Operation

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


def _glu(gate: Gate, function: Operation, x: Tensor, dim: int = -1) -> Tensor:
    signal, gated = x.chunk(2, dim)
    return signal * torch.sigmoid(gated)


def _softmin(gate: Gate, function: Operation, x: Tensor, dim: int, *rest: object, **more: object) -> Tensor:
    return torch.softmax(-x, dim)


def _prod(
    gate: Gate,
    function: Operation,
    x: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
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


def _cumprod(gate: Gate, function: Operation, x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    members = list((x if dtype is None else x.to(dtype)).unbind(dim))
    for k in range(1, len(members)):
        members[k] = members[k - 1] * members[k]
    return torch.stack(members, dim)


def _addcmul(gate: Gate, function: Operation, x: Tensor, one: Tensor, other: Tensor, *, value: float = 1) -> Tensor:
    return x + one * other * value


def _addcdiv(gate: Gate, function: Operation, x: Tensor, one: Tensor, other: Tensor, *, value: float = 1) -> Tensor:
    return x + one / other * value


def _lerp(gate: Gate, function: Operation, x: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    return x + (end - x) * weight


def _addmm(
    gate: Gate, function: Operation, x: Tensor, one: Tensor, other: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    product = torch.matmul(one, other)
    if x.dim() < product.dim() and getattr(function, "__name__", "").startswith("addbmm"):
        product = product.sum(0)
    return (x if beta == 1 else x * beta) + (product if alpha == 1 else product * alpha)


def _einsum(gate: Gate, function: Operation, equation: str, *operands: Tensor) -> Tensor:
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


def _scatter_reduce(
    gate: Gate,
    function: Operation,
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """Bring the members of each place together, along a last axis, and reduce that axis."""
    own, places = x.movedim(dim, -1), index.movedim(dim, -1)
    given = src.movedim(dim, -1)[tuple(map(slice, places.shape))]
    own = own[tuple(map(slice, places.shape[:-1]))] if own.shape[:-1] != places.shape[:-1] else own
    ones = torch.ones_like(places, dtype=given.dtype)
    count = torch.zeros(own.shape, dtype=given.dtype, device=own.device).scatter_add(-1, places, ones)
    if reduce in ("sum", "mean"):
        kept = own if include_self else own.masked_fill(count > 0, 0.0)
        total = kept.scatter_add(-1, places, given)
        parts = total if reduce == "sum" else total / (count + include_self).clamp_min(1)
    else:
        order = torch.argsort(places, dim=-1, stable=True)
        ordered = places.gather(-1, order)
        first = torch.searchsorted(ordered, ordered)
        rank = torch.arange(ordered.shape[-1], device=order.device) - first
        shape = (*own.shape, int(rank.max()) + 1)
        numbers = torch.full(shape, given.shape[-1], device=order.device).flatten(-2)  # that of a member that is none
        numbers = numbers.scatter(-1, ordered * shape[-1] + rank, order)
        none = {"amax": -torch.inf, "amin": torch.inf, "prod": 1.0}[reduce]
        members = torch.nn.functional.pad(given, (0, 1), value=none).gather(-1, numbers).unflatten(-1, shape[-2:])
        kept = own if include_self else own.masked_fill(count > 0, none)
        members = torch.cat([members, kept.unsqueeze(-1)], -1)
        parts = {"amax": torch.amax, "amin": torch.amin, "prod": torch.prod}[reduce](members, -1)
    return parts.movedim(-1, dim)


def _index_reduce(
    gate: Gate,
    function: Operation,
    x: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    places = index.reshape([-1 if axis == dim % x.dim() else 1 for axis in range(x.dim())]).expand_as(src)
    return torch.scatter_reduce(x, dim, places, src, reduce, include_self=include_self)


REDUCTION_PARTS = {
    "glu": _glu,
    "softmin": _softmin,
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
    "scatter_reduce": _scatter_reduce,
    "index_reduce": _index_reduce,
}
"""Elementary forms by operation; ``needs_parts`` says which of their calls are compound."""
