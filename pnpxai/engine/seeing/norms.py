"""Writes normalisation and vector norms in elementary operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.cells import Gate
from pnpxai.engine.seeing.operations import Operation
from pnpxai.model_types import Keywords, Positional

__all__ = ["NORM_PARTS", "by_batch_statistics"]

_Order: TypeAlias = float | Literal["fro"] | None
"""Order of a norm: a number, "fro", or None for the default."""
_Axes: TypeAlias = int | tuple[int, ...] | None


def by_batch_statistics(
    x: Tensor, mean: Tensor | None = None, var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, *_: object, running_mean: Tensor | None = None, **__: object,
) -> bool:  # fmt: skip
    """Return whether a call of ``batch_norm`` takes mean and variance from its own batch."""
    return bool(training) or (mean is None and running_mean is None)


def _layer_norm(
    gate: Gate, function: Operation, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, *cudnn: object,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x - x.mean(axes, keepdim=True), axes, eps), weight, bias)


def _rms_norm(
    gate: Gate, function: Operation, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(_normed(gate, x, axes, torch.finfo(x.dtype).eps if eps is None else eps), weight, None)


def _group_norm(
    gate: Gate, function: Operation, x: Tensor, num_groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, *cudnn: object,
) -> Tensor:  # fmt: skip
    groups = x.reshape(x.shape[0], num_groups, -1)
    normed = _normed(gate, groups - groups.mean(-1, keepdim=True), (-1,), eps).reshape(x.shape)
    shape = (1, -1, *[1] * (x.dim() - 2))
    return _affine(normed, *(None if p is None else p.reshape(shape) for p in (weight, bias)))


def _instance_norm(
    gate: Gate, function: Operation, x: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5, *cudnn: object,
) -> Tensor:  # fmt: skip
    if not use_input_stats:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _group_norm(gate, function, x, x.shape[1], weight, bias, eps)


def _normalize(
    gate: Gate, function: Operation, x: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    def scale() -> Tensor:
        return _length(x, p, dim, True).clamp_min(eps).reciprocal()

    return x * gate(scale)


def _normed(gate: Gate, centred: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return centred * gate(lambda: torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps))


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _length(x: Tensor, p: _Order, dim: _Axes, keepdim: bool) -> Tensor:
    """Return the p-norm over some axes (all of them for None)."""
    axes = tuple(range(x.dim())) if dim is None else dim
    p = 2.0 if p is None or p == "fro" else p
    if x.is_complex():
        x = torch.view_as_real(x).square().sum(-1).sqrt()
    if p == float("inf"):
        return torch.amax(torch.abs(x), axes, keepdim=keepdim)
    if p == float("-inf"):
        return torch.amin(torch.abs(x), axes, keepdim=keepdim)
    if p == 1:
        return torch.sum(torch.abs(x), axes, keepdim=keepdim)
    if p == 2:
        return torch.sqrt(torch.sum(torch.square(x), axes, keepdim=keepdim))
    return torch.pow(torch.sum(torch.pow(torch.abs(x), p), axes, keepdim=keepdim), 1 / p)


def _norm(
    gate: Gate, function: Operation, x: Tensor, p: _Order = "fro", dim: _Axes = None, keepdim: bool = False,
    out: Tensor | None = None, dtype: torch.dtype | None = None,
) -> Tensor:  # fmt: skip
    return _length(x if dtype is None else x.to(dtype), p, dim, keepdim)


def _vector_norm(
    gate: Gate, function: Operation, x: Tensor, ord: _Order = 2, dim: _Axes = None, keepdim: bool = False,  # noqa: A002
    *, dtype: torch.dtype | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    return _length(x if dtype is None else x.to(dtype), ord, dim, keepdim)


def _spread(x: Tensor, args: Positional, given: Keywords) -> tuple[Tensor, Tensor]:
    """Return variance and mean of a call of ``var`` or ``std`` in any of its forms."""
    names = ("unbiased",) if args and isinstance(args[0], bool) else ("dim", "unbiased", "keepdim")
    given = dict(zip(names, args, strict=False)) | given
    dim, keepdim = given.get("dim"), given.get("keepdim", False)
    correction = given.get("correction", 1 if given.get("unbiased", True) else 0)
    correction = 1 if correction is None else correction
    axes = tuple(range(x.dim())) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    mean = torch.mean(x, axes, keepdim=True)
    squares = torch.sum(torch.square(x - mean), axes, keepdim=keepdim)
    return squares / max(count - correction, 0), mean if keepdim else mean.squeeze(axes)


def _var(gate: Gate, function: Operation, x: Tensor, *args: object, **given: object) -> Tensor:
    return _spread(x, args, given)[0]


def _std(gate: Gate, function: Operation, x: Tensor, *args: object, **given: object) -> Tensor:
    return torch.sqrt(_spread(x, args, given)[0])


def _var_mean(gate: Gate, function: Operation, x: Tensor, *args: object, **given: object) -> tuple[Tensor, Tensor]:
    return _spread(x, args, given)


def _std_mean(gate: Gate, function: Operation, x: Tensor, *args: object, **given: object) -> tuple[Tensor, Tensor]:
    variance, mean = _spread(x, args, given)
    return torch.sqrt(variance), mean


def _cosine(
    gate: Gate, function: Operation, x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8
) -> Tensor:  # fmt: skip
    def scale() -> Tensor:
        lengths = [_length(x, 2, dim, False).clamp_min(eps) for x in (x1, x2)]
        return (lengths[0] * lengths[1]).reciprocal()

    return torch.sum(x1 * x2, dim) * gate(scale)


def _distances(
    gate: Gate, function: Operation, x1: Tensor, x2: Tensor, p: float = 2.0, *rest: object, **given: object
) -> Tensor:
    return _length(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1, False)


def _pairwise(
    gate: Gate, function: Operation, x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    return _length(x1 - x2 + eps, p, -1, keepdim)


def _layer_norm_with_statistics(
    gate: Gate,
    function: Operation,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, None, None]:
    return _layer_norm(gate, function, x, shape, weight, bias, eps), None, None


NORM_PARTS = {
    "layer_norm": _layer_norm,
    "native_layer_norm": _layer_norm_with_statistics,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "normalize": _normalize,
    "norm": _norm,
    "frobenius_norm": _norm,
    "vector_norm": _vector_norm,
    "linalg_vector_norm": _vector_norm,
    "linalg_norm": _vector_norm,
    "var": _var,
    "std": _std,
    "var_mean": _var_mean,
    "std_mean": _std_mean,
    "cosine_similarity": _cosine,
    "cdist": _distances,
    "pairwise_distance": _pairwise,
}
"""Operations that measure or set the size of a value, by name."""
