"""What a rule of relevance is, how an operation is tied to it, and the ledger of relevance that no operand gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pnpxai.tensors import Tensors, own, sum_rows

__all__ = ["Ledger", "Rule", "sink", "tied"]


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
