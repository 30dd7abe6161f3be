"""One operation under a rule of differences: its value forward, its multipliers backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pnpxai.engine.seeing.operations import Operation
from pnpxai.tensors import Tensors, map_tensors, own

__all__ = ["Reference", "Rule", "of_operands", "tied"]


class Rule(Protocol):
    """Shares what an operation's output difference is multiplied by among its operands' differences."""

    def share(self, operands: Tensors, reference: Reference, output: Tensor, grad: Tensor) -> Tensors:
        """Return one tensor for each operand."""
        ...


@dataclass(frozen=True)
class Reference:
    """An operation of the reference pass.

    Attributes:
        name: of the operation.
        operands: their values.
        output: what it gave.
        rule: its rule in that pass, which knows the places of what it selected.
    """

    name: str
    operands: Tensors
    output: Tensor
    rule: Rule | None = None


class _Context(FunctionCtx):
    rule: Rule
    reference: Reference
    operands: Tensors
    output: Tensor


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, rule: Rule, reference: Reference, value: list[Tensor], operands: Tensors, *carrying: Tensor
    ) -> Tensor:
        # copies, since a later operation may edit any of them in place
        ctx.rule, ctx.reference, ctx.operands, ctx.output = rule, reference, operands, own(value[0])
        return value[0]

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        operands = tuple(x.detach() for x in ctx.operands)
        with torch.enable_grad():
            shares = ctx.rule.share(operands, ctx.reference, ctx.output, grad_outputs[0])
        return None, None, None, None, *(s.detach().to(x.dtype) for s, x in zip(shares, operands, strict=True))


def of_operands(function: Operation, put: Operation, own_kind: torch.dtype) -> Callable[..., Tensor]:
    """Return an operation as a function of its operands, which may also be of a finer dtype than its own.

    Args:
        function: the operation.
        put: returns all its arguments, with its operands among them.
        own_kind: the dtype in which the model runs it.
    """

    def apply(*operands: Tensor) -> Tensor:
        args, kwargs = put(*operands)
        if (kind := operands[0].dtype) != own_kind:
            args, kwargs = map_tensors(lambda t: t.to(kind) if t.dtype == own_kind else t, (args, kwargs))
        return function(*args, **kwargs)

    return apply


def tied(
    name: str, rule: Rule, apply: Callable[..., Tensor], operands: list[Tensor], reference: Reference | None
) -> tuple[Tensor, Reference]:
    """Compute an operation and tie it to its rule; without a reference, in the reference pass itself.

    Returns:
        What it gives, and its values for the pass that is compared with this one.
    """
    values = tuple(own(x) for x in operands)
    with torch.no_grad():
        value = apply(*values)
    here = Reference(name, values, own(value), rule)
    # the reference pass has a graph too, so that both passes take the same decisions
    return _Step.apply(rule, reference or here, [value], values, *operands), here
