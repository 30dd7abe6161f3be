"""What a rule of relevance is, how an operation is tied to it, and the ledger of relevance that no operand gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pnpxai.engine.seeing.unseen import account_for
from pnpxai.tensors import Tensors, own, sum_rows

__all__ = ["GraphRule", "Ledger", "Rule", "counted", "sink", "tied"]


@dataclass
class Ledger:
    """Sinks of relevance, per example.

    Attributes:
        size: number of examples.
        bias: what constants kept.
        epsilon: what stabilisers kept.
        rest: what rules kept that do not conserve by design.
        again: whether relevance will be passed back once more, so that rules keep their graphs.
    """

    size: int
    bias: Any = 0.0
    epsilon: Any = 0.0
    rest: Any = 0.0
    again: bool = False

    def clear(self) -> None:
        """Forget what was noted."""
        self.bias = self.epsilon = self.rest = 0.0

    def note(self, bias: Tensor | None = None, epsilon: Tensor | None = None, rest: Tensor | None = None) -> None:
        """Add what constants, stabilisers, and rules that do not conserve by design kept (tensors with a row each)."""
        for name, value in (("bias", bias), ("epsilon", epsilon), ("rest", rest)):
            if value is not None:
                setattr(self, name, getattr(self, name) + sum_rows(value, self.size))

    def note_product(self, sink: str, value: Tensor, factor: Tensor) -> None:
        """Add the sums of products of a value with a factor that spreads over it, to a sink."""
        if factor.shape == value.shape and value.shape[:1] == (self.size,):
            total = torch.linalg.vecdot(value.flatten(1), factor.flatten(1)) if value.ndim > 1 else value * factor
        elif factor.ndim == 1 and value.ndim > 1 and factor.shape[0] == value.shape[-1]:
            total = sum_rows(torch.matmul(value, factor), self.size)
        else:
            total = sum_rows(value * factor, self.size)
        setattr(self, sink, getattr(self, sink) + total)


class Rule(Protocol):
    """How the relevance of an output is shared among the operands."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand."""
        ...


@runtime_checkable
class GraphRule(Protocol):
    """A rule that differentiates its operation, whose graph is then kept, so that nothing is computed twice."""

    def share_along(self, leaves: Tensors, output: Tensor, relevance: Tensor) -> Tensors:
        """Return the relevance of each operand, by derivatives of ``output`` at ``leaves``."""
        ...


class _Step(torch.autograd.Function):
    """One ruled operation: its value forward, its rule backward."""

    @staticmethod
    def forward(ctx: Any, rule: Any, value: list[Tensor], kept: _Kept, *operands: Tensor) -> Tensor:
        # the value comes in a list: were it an operand, autograd would take the result for a view of it
        ctx.rule, ctx.kept = rule, kept
        if not kept.copies:  # torch then refuses what is edited in place between now and the backward pass
            ctx.save_for_backward(*operands, *(() if kept.output is None else value))
        return value[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        kept: _Kept = ctx.kept
        if not kept.copies:
            _ = ctx.saved_tensors
        if kept.output is not None:
            shares = ctx.rule.share_along(kept.operands, kept.output, grad_outputs[0])
        else:
            with torch.enable_grad():
                shares = ctx.rule.share(tuple(x.detach() for x in kept.operands), grad_outputs[0])
        return None, None, None, *(share.detach() for share in shares)


@dataclass(frozen=True)
class _Kept:
    """What a step keeps for its rule: operands (the model's own, or copies), and what it gave where it has a graph."""

    operands: Tensors
    copies: bool
    output: Tensor | None = None


class _Shape(torch.autograd.Function):
    """One operation whose rule asks for no values."""

    @staticmethod
    def forward(ctx: Any, rule: Any, value: list[Tensor], operand: Tensor) -> Tensor:
        ctx.rule, ctx.shape = rule, operand.shape
        return value[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        return None, None, ctx.rule.share_shape(ctx.shape, grad_outputs[0])


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


class _Counted(torch.autograd.Function):
    """A value whose relevance is added to the bias's, or taken from it."""

    @staticmethod
    def forward(ctx: Any, ledger: Ledger, sign: int, value: Tensor) -> Tensor:
        ctx.ledger, ctx.sign = ledger, sign
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        ctx.ledger.note(bias=ctx.sign * grad_outputs[0])
        return None, None, grad_outputs[0]


def counted(value: Tensor, sign: int, ledger: Ledger) -> Tensor:
    """Return a value whose relevance the ledger counts: +1 of what comes, -1 of what is handed on."""
    return _Counted.apply(ledger, sign, value)  # type: ignore[no-any-return]


def tied(
    rule: Rule | GraphRule, function: Callable[..., Tensor], operands: list[Tensor], *, copies: bool = True
) -> Tensor:
    """Compute a value and tie it to its operands by a rule.

    Args:
        rule: of the operation.
        function: the operation, of its operands alone.
        operands: what carries relevance.
        copies: keep copies of what the rule needs, for models that edit values in place.
    """
    if hasattr(rule, "share_shape") and len(operands) == 1:
        with torch.no_grad():
            value = function(operands[0].detach())
        value = value.clone() if _shares_memory(value, (operands[0],)) else value
        return _accounted(_Shape.apply(rule, [value], operands[0]))
    values = tuple(own(x) if copies else x.detach() for x in operands)
    if isinstance(rule, GraphRule):
        with torch.enable_grad():
            output = function(*(x.requires_grad_() for x in values))
        value = output.detach()
        kept = _Kept(values, copies, output)
        value = value.clone() if copies or _shares_memory(value, values) else value
    else:
        with torch.no_grad():
            value = function(*values)
        kept = _Kept(values, copies)
        value = value.clone() if _shares_memory(value, values) else value
    return _accounted(_Step.apply(rule, [value], kept, *operands))


def _accounted(value: Any) -> Tensor:
    account_for(value)
    return value


def _shares_memory(value: Tensor, operands: Tensors) -> bool:
    """Tell whether a value lies in the memory of one of some operands, as a view or where nothing was to do."""
    places = {x.untyped_storage().data_ptr() for x in operands}
    return value.untyped_storage().data_ptr() in places
