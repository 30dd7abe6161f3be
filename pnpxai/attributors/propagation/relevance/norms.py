"""Relevance through normalisation in one step: a scale that is taken for a constant, of values that may be centred."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.attributors.propagation.relevance.ledger import Ledger
from pnpxai.attributors.propagation.relevance.linear import normalised
from pnpxai.model_types import Keywords, Positional
from pnpxai.tensors import Tensors

__all__ = ["Norm", "norm_rule"]

Normed: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Gives z and the factor f of a value."""


@dataclass(frozen=True)
class Norm:
    """R = x (g - mean g), g = f w R' / (z + epsilon sign z): the epsilon rule of z = f w (x - mean x) + b.

    The factor f is taken for a constant.

    Attributes:
        normed: the operation.
        groups: shape in which the last axis is normalised.
        centred: whether the mean is taken away.
        weight: w, spread over z; None for one.
        bias: b, spread over z.
        epsilon: the stabiliser.
        ledger: where sinks are noted.
    """

    normed: Normed
    groups: tuple[int, ...]
    centred: bool
    weight: Tensor | None
    bias: Tensor | None
    epsilon: float
    ledger: Ledger = field(repr=False)

    def __call__(self, x: Tensor) -> Tensor:
        """Return z."""
        return self.normed(x)[0]

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what each value contributes to the values of its group."""
        with torch.no_grad():
            (x,) = operands
            z, factor = self.normed(x)
            g = normalised(z, relevance, self.epsilon, self.ledger)
            if self.bias is not None:
                self.ledger.note_product("bias", g, self.bias)
            g = (g if self.weight is None else g.mul_(self.weight)).reshape(self.groups)
            g = g.mul_(factor.reshape(*self.groups[:-1], 1))
            if self.centred:
                g = g.sub_(g.mean(-1, keepdim=True))
            return (g.reshape(x.shape).mul_(x),)


def norm_rule(name: str, args: Positional, kwargs: Keywords, x: Tensor, epsilon: float, ledger: Ledger) -> Norm | None:
    """Return the rule of a call of a norm of ``x``; None for other operations, and where several values vary."""
    names = _NAMES.get(name)
    if names is None:
        return None
    call = dict(zip(names, args, strict=False)) | kwargs
    weight, bias, eps = call.get("weight"), call.get("bias"), call.get("eps", 1e-5)
    if call["input"] is not x or any(p is not None and p.requires_grad for p in (weight, bias)):
        return None
    if name in ("layer_norm", "rms_norm"):
        shape = tuple(call["normalized_shape"])
        groups = (*x.shape[: x.ndim - len(shape)], math.prod(shape))
        normed = _of_layers(shape, weight, bias, eps) if name == "layer_norm" else _of_squares(shape, weight, eps)
        return Norm(normed, groups, name == "layer_norm", weight, bias, epsilon, ledger)
    if name == "instance_norm" and not call.get("use_input_stats", True):
        return None
    count = call["num_groups"] if name == "group_norm" else x.shape[1]
    spread = [None if p is None else p.reshape(-1, *[1] * (x.ndim - 2)) for p in (weight, bias)]
    normed = _of_groups(count, weight, bias, eps)
    return Norm(normed, (x.shape[0], count, x[0].numel() // count), True, spread[0], spread[1], epsilon, ledger)


_NAMES = {
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "instance_norm": tuple("input running_mean running_var weight bias use_input_stats momentum eps".split()),
}


def _of_layers(shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float) -> Normed:
    def normed(x: Tensor) -> tuple[Tensor, Tensor]:
        value, _, factor = torch.native_layer_norm(x, shape, weight, bias, eps)
        return value, factor.to(x.dtype)

    return normed


def _of_squares(shape: tuple[int, ...], weight: Tensor | None, eps: float | None) -> Normed:
    axes = tuple(range(-len(shape), 0))

    def normed(x: Tensor) -> tuple[Tensor, Tensor]:
        least = torch.finfo(x.dtype).eps if eps is None else eps
        return F.rms_norm(x, shape, weight, eps), torch.rsqrt(x.square().mean(axes, keepdim=True) + least)

    return normed


def _of_groups(count: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Normed:
    def normed(x: Tensor) -> tuple[Tensor, Tensor]:
        rows, channels, places = x.shape[0], x.shape[1], x[0, 0].numel()
        value, _, factor = torch.native_group_norm(x.contiguous(), weight, bias, rows, channels, places, count, eps)
        return value, factor.to(x.dtype)

    return normed
