"""What a rule of relevance is, and the ledger of relevance that no operand gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pnpxai.tensors import Tensors, sum_rows

__all__ = ["AnyRule", "GraphRule", "Ledger", "ResultRule", "Rule", "ValueRule", "counted", "sink"]


@dataclass
class Ledger:
    """Sinks of relevance, per example.

    Attributes:
        size: number of examples.
        bias: what constants kept.
        epsilon: what stabilisers kept.
        rest: what rules kept that do not conserve by design.
        again: whether relevance will be passed back once more, so that rules keep their graphs.
        silent: whether nobody asks for sinks, so that nothing is noted.
    """

    size: int
    bias: Tensor | float = 0.0
    epsilon: Tensor | float = 0.0
    rest: Tensor | float = 0.0
    again: bool = False
    silent: bool = False

    def clear(self) -> None:
        """Forget what was noted."""
        self.bias = self.epsilon = self.rest = 0.0

    def note(self, bias: Tensor | None = None, epsilon: Tensor | None = None, rest: Tensor | None = None) -> None:
        """Add what constants, stabilisers, and rules that do not conserve by design kept (tensors with a row each)."""
        for name, value in () if self.silent else (("bias", bias), ("epsilon", epsilon), ("rest", rest)):
            if value is not None:
                setattr(self, name, getattr(self, name) + self._of_examples(value))

    def note_product(self, sink: str, value: Tensor, factor: Tensor) -> None:
        """Add the sums of products of a value with a factor that spreads over it, to a sink."""
        if self.silent:
            return
        factor = factor.to(value.dtype)  # which differ under autocast
        if factor.shape == value.shape and value.shape[:1] == (self.size,):
            total = torch.linalg.vecdot(value.flatten(1), factor.flatten(1)) if value.ndim > 1 else value * factor
        elif factor.ndim == 1 and value.ndim > 1 and factor.shape[0] == value.shape[-1]:
            total = self._of_examples(torch.matmul(value, factor))
        else:
            total = self._of_examples(value * factor)
        setattr(self, sink, getattr(self, sink) + total)

    def _of_examples(self, value: Tensor) -> Tensor:
        """Return (examples,) sums; what has no row for each example, as the edges of a graph, is shared evenly."""
        sums = sum_rows(value, self.size)
        return sums if value.ndim and value.shape[0] % self.size == 0 else sums / self.size


class Rule(Protocol):
    """How the relevance of an output is shared among the operands."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand."""
        ...


class GraphRule(Protocol):
    """A rule that differentiates its operation, whose graph is then kept, so that nothing is computed twice."""

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand, by derivatives of ``output`` at ``leaves``."""
        ...


class ValueRule(Protocol):
    """A rule that asks for what its operation gave, which is then kept, so that it is not computed twice."""

    def share_of(self, operands: Tensors, value: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand of an operation that gave ``value``."""
        ...


class _Context(FunctionCtx):
    ledger: Ledger
    sign: int


class ResultRule(Protocol):
    """A rule that asks for nothing but what its operation gave."""

    def share_value(self, value: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand of an operation that gave ``value``."""
        ...


AnyRule: TypeAlias = Rule | GraphRule | ValueRule | ResultRule


class _Sink(torch.autograd.Function):
    """Is a constant among values that carry relevance. The ledger counts its relevance as the bias's."""

    @staticmethod
    def forward(ctx: _Context, ledger: Ledger, value: list[Tensor], anchor: Tensor) -> Tensor:
        ctx.ledger = ledger
        return value[0].clone()

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        ctx.ledger.note(bias=grad_outputs[0])
        return None, None, None


def sink(constant: Tensor, anchor: Tensor, ledger: Ledger) -> Tensor:
    """Return a constant whose relevance is noted; ``anchor`` is any tensor that carries relevance."""
    return _Sink.apply(ledger, [constant], anchor)


class _Counted(torch.autograd.Function):
    """Hands a value on, and adds its relevance to the bias's or takes it from there."""

    @staticmethod
    def forward(ctx: _Context, ledger: Ledger, sign: int, value: Tensor) -> Tensor:
        ctx.ledger, ctx.sign = ledger, sign
        return value.clone()

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        ctx.ledger.note(bias=ctx.sign * grad_outputs[0])
        return None, None, grad_outputs[0]


def counted(value: Tensor, sign: int, ledger: Ledger) -> Tensor:
    """Return a value whose relevance the ledger counts: +1 of what comes, -1 of what is handed on."""
    return _Counted.apply(ledger, sign, value)
