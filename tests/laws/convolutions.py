"""The rules of relevance at convolutions, written out as sums of products of signed parts.

A rule is a list of shares of the relevance; within each, it is passed back in proportion to what some parts of the
input contribute through some parts of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Conv", "Share", "alpha2_beta1", "box", "gamma", "ruled", "z_plus"]


@dataclass(frozen=True)
class Conv:
    """One call of a convolution.

    Attributes:
        call: the operation of an input, weights and a bias.
        x: what it is given.
        weight: its weights.
        bias: its bias, zeros if it has none.
        own: 1 where its input is given, 0 where zeros were put around it.
    """

    call: Callable[[Tensor, Tensor, Tensor], Tensor]
    x: Tensor
    weight: Tensor
    bias: Tensor
    own: Tensor | float = 1.0


@dataclass(frozen=True)
class Share:
    """A share of the relevance.

    Attributes:
        amount: how much of it, for each output.
        parts: (input, weights, bias) that contribute.
    """

    amount: Tensor | float
    parts: tuple[tuple[Tensor, Tensor, Tensor], ...]


def z_plus(conv: Conv, made: Any) -> list[Share]:
    """Positive contributions only."""
    return [Share(1.0, _of_sign(conv, positive=True))]


def alpha2_beta1(conv: Conv, made: Any) -> list[Share]:
    """Positive contributions twice, less the negative ones."""
    return [Share(2.0, _of_sign(conv, positive=True)), Share(-1.0, _of_sign(conv, positive=False))]


def gamma(conv: Conv, made: Any) -> list[Share]:
    """All contributions, those of the output's sign with more weight."""
    output = conv.call(conv.x, conv.weight, conv.bias)
    shares = []
    for positive in (True, False):
        (p, wp, b), (n, wn, none) = _of_sign(conv, positive=positive)
        parts = (p, conv.weight + made.gamma * wp, conv.bias + made.gamma * b), (n, conv.weight + made.gamma * wn, none)
        shares.append(Share((output > 0 if positive else output < 0).to(output), parts))
    return shares


def box(conv: Conv, made: Any) -> list[Share]:
    """What the input contributes beyond the least that it could have been."""
    low, high = (torch.full_like(conv.x, limit) * conv.own for limit in (made.low, made.high))
    none, weight = torch.zeros_like(conv.bias), conv.weight
    return [Share(1.0, ((conv.x, weight, none), (-low, weight.clamp(min=0), none), (-high, weight.clamp(max=0), none)))]


def ruled(conv: Conv, rule: Callable[[Conv, Any], list[Share]], made: Any) -> Tensor:
    """Return what a convolution gives, with a gradient that times the input is the rule's relevance."""
    return _Ruled.apply(conv.x, conv, rule, made)  # type: ignore[no-any-return]


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: Conv, rule: Any, made: Any) -> Tensor:
        ctx.given = conv, rule, made
        return conv.call(x, conv.weight, conv.bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        conv, rule, made = ctx.given
        x = conv.x.detach()
        conv = Conv(conv.call, x, conv.weight.detach(), conv.bias.detach(), conv.own)
        relevance = grad_outputs[0] * conv.call(x, conv.weight, conv.bias)
        total = torch.zeros_like(x)
        for share in rule(conv, made):
            output = torch.stack([conv.call(*part) for part in share.parts]).sum(0)
            scale = share.amount * relevance / (output + torch.where(output >= 0, 1, -1) * made.stabilizer)
            for part, weight, bias in share.parts:
                with torch.enable_grad():
                    leaf = part.clone().requires_grad_()
                    (back,) = torch.autograd.grad(conv.call(leaf, weight, bias), leaf, scale)
                total += part * back
        return torch.where(x == 0, 0.0, total / torch.where(x == 0, 1.0, x)), None, None, None


def _of_sign(conv: Conv, *, positive: bool) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    """Return the parts whose products are all positive, or all negative; the bias goes with the first."""
    plus, minus = conv.weight.clamp(min=0), conv.weight.clamp(max=0)
    bias = conv.bias.clamp(min=0) if positive else conv.bias.clamp(max=0)
    first, second = (plus, minus) if positive else (minus, plus)
    return (conv.x.clamp(min=0), first, bias), (conv.x.clamp(max=0), second, torch.zeros_like(bias))
