"""DeepLIFT on operations: a reference pass is noted, and each operation of the second pass is ruled against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.propagation.rescale_rules import Rule, Seen, divides, rule_for
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.decompositions import DECOMPOSED, decomposed
from pnpxai.engine.seeing.operation_kinds import AFFINE, ROUTES, SUMS
from pnpxai.engine.seeing.operations import Operation, Operations, in_place, operation_name, out_of_place, with_operands
from pnpxai.errors import ArgumentError, RuleError
from pnpxai.tensors import Tensors, check_finite, own

__all__ = ["multipliers"]


def multipliers(
    score: Score, inputs: Tensors, reference: Score, baselines: Tensors, eps: float
) -> tuple[Tensors, Tensor, Tensor]:
    """Return what each input's difference is multiplied by, and both scores; products sum to their difference.

    Args:
        score: the model's score at the inputs.
        inputs: (examples, ...) tensors.
        reference: the score at the baselines.
        baselines: tensors of the inputs' shapes.
        eps: differences below this count as none; the derivative stands in for the quotient there.

    Raises:
        RuleError: an operation has no rule, or the two passes run different operations.
    """
    rules = _Rescale(eps)
    for pass_score, values in ((reference, baselines), (score, inputs)):
        leaves = tuple(own(x).requires_grad_() for x in values)
        rules.begin()
        ruled = replace(pass_score, forward=rules.running(pass_score.forward))
        rules.outputs.append(ruled(tuple(leaf.clone() for leaf in leaves)))
    before, after = rules.outputs
    rules.check_finished()
    if not after.requires_grad:
        raise ArgumentError("model: the score does not depend on the inputs through differentiable operations")
    found = torch.autograd.grad(after.sum(), leaves, allow_unused=True, materialize_grads=True)
    check_finite("multipliers", found)
    return tuple(m.detach() for m in found), after.detach(), before.detach()


class _Step(torch.autograd.Function):
    """One ruled operation: its value forward, its multipliers backward."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, seen: Seen, value: list[Tensor], *operands: Tensor) -> Tensor:
        # a copy, since a later operation may edit the value in place
        ctx.rule, ctx.seen, ctx.output = rule, seen, own(value[0])
        ctx.save_for_backward(*operands)
        return value[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (grad,) = grad_outputs
        with torch.enable_grad():
            shares = ctx.rule.share(tuple(own(x) for x in ctx.saved_tensors), ctx.seen, ctx.output, grad)
        return None, None, None, *(share.detach() for share in shares)


@dataclass
class _Rescale:
    """Notes the operations of the reference pass, and rules those of the second pass by them, one after the other."""

    eps: float
    seen: list[Seen] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    position: int = 0

    def begin(self) -> None:
        self.position = 0

    @property
    def first(self) -> bool:
        return not self.outputs

    def running(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with Operations(self.replace):
                return forward(*args)

        return run

    def check_finished(self) -> None:
        if self.position != len(self.seen):
            raise RuleError("DeepLift: the model runs other operations for the inputs than for the baselines")

    def replace(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operands, put = with_operands((args, kwargs), lambda tensor: tensor.requires_grad)
        name = operation_name(function)
        if not operands or not torch.is_grad_enabled() or name in ROUTES:
            return function(*args, **kwargs)
        if in_place(function, kwargs):
            outside, rest, plain = out_of_place(function, args, kwargs)
            return args[0].copy_(self.replace(outside, rest, plain))
        if name in DECOMPOSED:
            return self._decomposed(name, function, args, kwargs)

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        if name in SUMS or (name in AFFINE and len(operands) == 1 and not divides(function, args)):
            return function(*args, **kwargs)
        rule = rule_for(name, function, apply, operands, (args, kwargs), self.eps)
        if rule is not None:
            return self._step(name, rule, apply, operands)
        result = function(*args, **kwargs)
        if not isinstance(result, (Tensor, tuple, list)) or not with_operands(result, lambda t: t.requires_grad)[0]:
            return result
        raise RuleError(f"DeepLift: no rule for the operation {name!r}; use integrated gradients instead")

    def _step(self, name: str, rule: Rule, apply: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
        values = tuple(own(x) for x in operands)
        with torch.no_grad():
            value = apply(*values)
        if self.first:
            self.seen.append(Seen(name, values, own(value)))
            # keeps the result in the graph, so that the second pass takes the same decisions
            return _Step.apply(rule, self.seen[-1], [value], *operands)  # type: ignore[no-any-return]
        if self.position >= len(self.seen) or self.seen[self.position].name != name:
            raise RuleError("DeepLift: the model runs other operations for the inputs than for the baselines")
        seen = self.seen[self.position]
        self.position += 1
        if [o.shape for o in seen.operands] != [o.shape for o in values]:
            raise RuleError(f"DeepLift: {name!r} gets other shapes for the inputs than for the baselines")
        return _Step.apply(rule, seen, [value], *operands)  # type: ignore[no-any-return]

    def _decomposed(self, name: str, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with torch.no_grad():
            whole = function(*args, **kwargs)
        with Operations(self.replace):
            parts = decomposed(name, function, lambda compute: compute(), *args, **kwargs)
        check_same(name, whole, parts)
        return parts


def check_same(name: str, whole: Any, parts: Any) -> None:
    """Refuse an operation whose elementary form gives another value (RuleError)."""
    for one, other in zip(_members(whole), _members(parts), strict=True):
        if one is None:
            continue
        size = one.detach().nan_to_num(0, 0, 0).abs().amax() if one.numel() else 0.0
        reach = torch.finfo(one.dtype).eps ** 0.5 * max(1.0, float(size))
        if not torch.allclose(one, other.detach(), rtol=0, atol=reach, equal_nan=True):
            raise RuleError(f"no rule for {name!r} with these settings")


def _members(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
