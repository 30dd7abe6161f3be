"""Ties an operation to its rule of relevance: the value forward, the rule backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pnpxai.attributors.propagation.relevance.kept import Held, Kept, keep, remember
from pnpxai.attributors.propagation.relevance.ledger import AnyRule
from pnpxai.engine.seeing.torch_private import is_view
from pnpxai.engine.seeing.unseen import account_for
from pnpxai.tensors import Tensors, own

__all__ = ["tied"]


def tied(
    rule: AnyRule,
    function: Callable[..., Tensor],
    operands: list[Tensor],
    *,
    copies: bool = True,
    cheap: Sequence[Tensor] | None = None,
) -> Tensor:
    """Compute a value and tie it to its operands by a rule.

    Args:
        rule: of the operation.
        function: the operation, of its operands alone.
        operands: what carries relevance.
        copies: keep copies of what the rule needs, for models that edit values in place.
        cheap: the constants of an operation that is sooner computed again than kept, so that rules after it ask for its
            operands instead of its value; None for others.
    """
    constants = None if copies else cheap
    values = tuple(own(x) if copies else x.detach() for x in operands)
    kept = tuple(Held.of(value) if copies else keep(x) for x, value in zip(operands, values, strict=True))
    if hasattr(rule, "share_shape") and len(operands) == 1:
        value = _value(function, (operands[0].detach(),), copies)
        result = _Shape.apply(rule, [value], operands[0])
    elif hasattr(rule, "share_value"):
        constants, value = None, _value(function, values, copies)
        result = _Step.apply(rule, [value], _Result(Held.of(own(value) if copies else value)), *operands)
    elif constants is not None or not (hasattr(rule, "share_along") or hasattr(rule, "share_of")):
        value = _value(function, values, copies)
        result = _Step.apply(rule, [value], _Kept(kept), *operands)
    elif hasattr(rule, "share_of"):
        value = _value(function, values, copies)
        result = _Step.apply(rule, [value], _Kept(kept, Held.of(own(value) if copies else value)), *operands)
    else:
        with torch.enable_grad():
            output = function(*(x.requires_grad_() for x in values))
        value = output.detach()
        value = value.clone() if copies or _shares_memory(value, values) else value
        held = () if copies else tuple(map(Held.of, (*operands, value)))
        result = _Step.apply(rule, [value], _Along(values, output, held), *operands)
    if constants is not None:
        remember(result, function, kept, constants)
    account_for(result)
    return result


class _Context(FunctionCtx):
    rule: Any  # of the kind that ``kept`` asks for
    kept: _Kept | _Along
    shape: torch.Size


class _Step(torch.autograd.Function):
    """Runs an operation forward, and its rule backward."""

    @staticmethod
    def forward(ctx: _Context, rule: Any, value: list[Tensor], kept: _Kept | _Along, *operands: Tensor) -> Tensor:
        # the value comes in a list: were it an operand, autograd would take the result for a view of it
        ctx.rule, ctx.kept = rule, kept
        return value[0]

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        shares = ctx.kept.share(ctx.rule, grad_outputs[0])
        return None, None, None, *(share.detach() for share in shares)


class _Shape(torch.autograd.Function):
    """Runs an operation forward, and backward a rule that asks for no values."""

    @staticmethod
    def forward(ctx: _Context, rule: Any, value: list[Tensor], operand: Tensor) -> Tensor:
        ctx.rule, ctx.shape = rule, operand.shape
        return value[0]

    @staticmethod
    def backward(ctx: _Context, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, ctx.rule.share_shape(ctx.shape, grad_outputs[0])


@dataclass(frozen=True)
class _Kept:
    """Holds what a step keeps for its rule: its operands, and its value if the rule asks for it."""

    operands: tuple[Kept, ...]
    value: Held | None = None

    def share(self, rule: Any, relevance: Tensor) -> Tensors:
        """Return the relevance that the rule gives to each operand."""
        operands = tuple(operand() for operand in self.operands)
        if self.value is not None:
            return rule.share_of(operands, self.value(), relevance)
        with torch.enable_grad():
            return rule.share(tuple(x.detach() for x in operands), relevance)


@dataclass(frozen=True)
class _Result:
    """The value of a step whose rule asks for nothing else."""

    value: Held

    def share(self, rule: Any, relevance: Tensor) -> Tensors:
        """Return what the rule gives the operands."""
        with torch.no_grad():
            return rule.share_value(self.value(), relevance)


@dataclass(frozen=True)
class _Along:
    """Holds the graph of a step's operation, and values that must not be edited before relevance is passed back."""

    leaves: Tensors
    output: Tensor
    held: tuple[Held, ...]

    def share(self, rule: Any, relevance: Tensor) -> Tensors:
        """Return the relevance that the rule gives to each operand."""
        for value in self.held:
            value()
        return rule.share_along(self.leaves, self.output, relevance)


def _value(function: Callable[..., Tensor], operands: Sequence[Tensor], copies: bool) -> Tensor:
    """Return what an operation gives, in memory of its own; with ``copies``, free to be edited in place."""
    with torch.no_grad():
        value = function(*operands)
    return value.clone() if _shares_memory(value, operands) or (copies and is_view(value)) else value


def _shares_memory(value: Tensor, operands: Sequence[Tensor]) -> bool:
    """Tell whether a value lies in the memory of one of some operands, as a view or where nothing was to do."""
    places = {x.untyped_storage().data_ptr() for x in operands}
    return value.untyped_storage().data_ptr() in places
