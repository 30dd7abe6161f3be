"""Rules of relevance: how what an operation gave is shared among its operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from pnpxai.errors import RuleError
from pnpxai.tensors import Tensors, own, sum_rows

__all__ = [
    "Affine",
    "Balanced",
    "BySize",
    "Ledger",
    "Pass",
    "Product",
    "Rule",
    "Scale",
    "Softmax",
    "sink",
    "tied",
]


@dataclass
class Ledger:
    """Sinks of relevance, per example."""

    size: int
    bias: Any = 0.0
    epsilon: Any = 0.0
    rest: Any = 0.0

    def note(self, bias: Tensor | None = None, epsilon: Tensor | None = None, rest: Tensor | None = None) -> None:
        """Add what constants, stabilisers, and rules that do not conserve by design kept (tensors with a row each)."""
        for name, value in (("bias", bias), ("epsilon", epsilon), ("rest", rest)):
            if value is not None:
                setattr(self, name, getattr(self, name) + sum_rows(value, self.size))


class Rule(Protocol):
    """How the relevance of an output is shared among the operands."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand."""
        ...


class _Step(torch.autograd.Function):
    """One ruled operation: its value forward, its rule backward."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, value: list[Tensor], *operands: Tensor) -> Tensor:
        # the value comes in a list: were it an operand, autograd would take the result for a view of it
        ctx.rule = rule
        ctx.save_for_backward(*operands)
        return value[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (relevance,) = grad_outputs
        with torch.enable_grad():
            shares = ctx.rule.share(tuple(own(x) for x in ctx.saved_tensors), relevance)
        return None, None, *(share.detach() for share in shares)


@dataclass(frozen=True)
class Pass:
    """All relevance goes through unchanged."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance itself."""
        return (relevance.reshape(operands[0].shape),)


@dataclass(frozen=True)
class Scale:
    """A scale, which products and quotients take for a constant, so that no relevance comes to it."""

    name: str

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Refuse relevance: here it is more than a scale.

        Raises:
            RuleError: always.
        """
        raise RuleError(
            f"LRP: no rule for the operation {self.name!r} where it is more than a scale; use a gradient or "
            "perturbation method instead"
        )


@dataclass(frozen=True)
class Affine:
    """Epsilon rule: each operand gets what it contributes to a sum; constants and the stabiliser keep their part."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return each operand's value times the gradient of the normalised output."""
        leaves = tuple(x.requires_grad_() for x in operands)
        output = self.function(*leaves)
        with torch.no_grad():
            scale = relevance / _stabilised(output, self.epsilon)
            constant = self.function(*(torch.zeros_like(x) for x in leaves))
            of_constant, left = constant * scale, relevance - output * scale
            masked = torch.isinf(output)  # by a constant, which then gets all
            if masked.any():
                scale, of_constant = scale.masked_fill(masked, 0), torch.where(masked, relevance, of_constant)
                left = left.masked_fill(masked, 0)
            self.ledger.note(of_constant, left)
        gradients = torch.autograd.grad(output, leaves, scale, allow_unused=True, materialize_grads=True)
        return tuple(x.detach() * g for x, g in zip(leaves, gradients, strict=True))


@dataclass(frozen=True)
class Product:
    """Both factors get half of what the product gets. Achtibat et al., 2024 (arXiv:2402.05602)."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return half of what the factors contribute to the product (each contributes all of it)."""
        shares = Affine(self.function, self.epsilon, self.ledger).share(operands, relevance)
        return tuple(share / 2 for share in shares)


@dataclass(frozen=True)
class Balanced:
    """As ``Affine``, then each operand's total gets the sign of the whole, by size. Chefer et al., 2021, eq. 9-10.

    Without it, branches that nearly cancel pass on relevance of opposite signs, many times what came.
    """

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return what the operands contribute to a sum, rescaled example by example."""
        unnoted = Ledger(self.ledger.size)
        shares = Affine(self.function, self.epsilon, unnoted).share(operands, relevance)
        whole = sum_rows(relevance, self.ledger.size)
        totals = torch.stack([sum_rows(share, self.ledger.size) for share in shares])
        size = totals.abs().sum(0)
        part = torch.where(size > 0, whole / size, 0.0) * totals.sign()
        self.ledger.note(rest=torch.where(size > 0, 0.0, whole))
        return tuple(_by_rows(share, scale) for share, scale in zip(shares, part, strict=True))


@dataclass(frozen=True)
class BySize:
    """Each operand gets its part of the sizes of what is summed; constants get nothing."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the operands' parts, place by place."""
        nothing = [torch.zeros_like(x) for x in operands]
        with torch.no_grad():
            constant = self.function(*nothing)
            alone = [self.function(*nothing[:k], x, *nothing[k + 1 :]) - constant for k, x in enumerate(operands)]
            if len(alone) == 1:
                return (relevance.sum_to_size(operands[0].shape),)
            sizes = [part.abs() for part in alone]
            scale = relevance / (sum(sizes[1:], sizes[0]) + self.epsilon)
            self.ledger.note(epsilon=relevance - sum(sizes[1:], sizes[0]) * scale)
            return tuple((size * scale).sum_to_size(x.shape) for size, x in zip(sizes, operands, strict=True))


@dataclass(frozen=True)
class Softmax:
    """First order Taylor term; the remainder is a sink. Achtibat et al., 2024 (arXiv:2402.05602)."""

    axis: int
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return x (R - softmax(x) sum R)."""
        (x,) = operands
        share = x.softmax(self.axis)
        kept = x * (relevance - share * relevance.sum(self.axis, keepdim=True))
        kept = torch.where(share > 0, kept, torch.zeros_like(x))
        self.ledger.note(rest=relevance - kept)
        return (kept,)


class _Sink(torch.autograd.Function):
    """A constant among what carries relevance: what it gets is noted as the bias's."""

    @staticmethod
    def forward(ctx: Any, ledger: Ledger, value: list[Tensor], anchor: Tensor) -> Tensor:
        ctx.ledger = ledger
        return value[0].clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        ctx.ledger.note(bias=grad_outputs[0])
        return None, None, None


def sink(constant: Tensor, anchor: Tensor, ledger: Ledger) -> Tensor:
    """Return a constant whose relevance is noted; ``anchor`` is any tensor that carries relevance."""
    return _Sink.apply(ledger, [constant], anchor)  # type: ignore[no-any-return]


def tied(rule: Rule, function: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
    """Compute a value and tie it to its operands by a rule."""
    with torch.no_grad():
        value = function(*(own(x) for x in operands))
    return _Step.apply(rule, [value], *operands)  # type: ignore[no-any-return]


def _by_rows(value: Tensor, scale: Tensor) -> Tensor:
    """Scale a value whose first dimension holds a multiple of the examples."""
    if value.shape[0] % scale.numel():
        return value * scale.mean()
    return (value.reshape(scale.numel(), -1) * scale[:, None].to(value)).reshape(value.shape)


def _stabilised(value: Tensor, epsilon: float) -> Tensor:
    return value + torch.where(value >= 0, epsilon, -epsilon).to(value.dtype)
