"""DeepLIFT's rescale rule on operations: output difference over input difference, against a reference pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.attributors.kinds import AFFINE, BILINEAR, ELEMENTWISE, MAX_POOLS, ROUTES, SUMS
from pnpxai.engine.decompose import DECOMPOSED, decomposed
from pnpxai.engine.operations import Operation, Operations, in_place, operation_name, out_of_place, with_operands
from pnpxai.engine.score import Score
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


class _Seen(NamedTuple):
    """An operation of the reference pass: its operands and what it gave."""

    name: str
    operands: Tensors
    output: Tensor


class _Rule(Protocol):
    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors: ...


class _Step(torch.autograd.Function):
    """One ruled operation: its value forward, its multipliers backward."""

    @staticmethod
    def forward(ctx: Any, rule: _Rule, seen: _Seen, value: list[Tensor], *operands: Tensor) -> Tensor:
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
    seen: list[_Seen] = field(default_factory=list)
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
        rule = self._rule(name, function, apply, operands, args, kwargs)
        if rule is not None:
            return self._step(name, rule, apply, operands)
        result = function(*args, **kwargs)
        if not isinstance(result, (Tensor, tuple, list)) or not with_operands(result, lambda t: t.requires_grad)[0]:
            return result
        raise RuleError(f"DeepLift: no rule for the operation {name!r}; use integrated gradients instead")

    def _rule(
        self, name: str, function: Operation, apply: Callable[..., Tensor], operands: list[Tensor],
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> _Rule | None:  # fmt: skip
        if name in ELEMENTWISE and len(operands) == 1:
            return _Elementwise(apply, self.eps)
        if name in BILINEAR and len(operands) == 2:
            return _Product(apply)
        if divides(function, args):
            return _Quotient(self.eps) if len(operands) == 2 else _Elementwise(apply, self.eps)
        if name in ("softmax", "log_softmax") and len(operands) == 1:
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return None if axis is None else _Softmax(axis, name == "log_softmax", self.eps)
        if name in MAX_POOLS and len(operands) == 1:
            return _MaxPool(name, args, kwargs)
        if name in ("max", "amax", "min", "amin") and len(operands) == 1:
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            keep = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
            return _Extreme(axis, keep, name[-3:]) if isinstance(axis, int) and name.startswith("a") else None
        return None

    def _step(self, name: str, rule: _Rule, apply: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
        values = tuple(own(x) for x in operands)
        with torch.no_grad():
            value = apply(*values)
        if self.first:
            self.seen.append(_Seen(name, values, own(value)))
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


def divides(function: Operation, args: tuple[Any, ...]) -> bool:
    """Tell whether an operation divides by something that carries a difference."""
    if operation_name(function) not in ("div", "truediv"):
        return False
    divisors = args[:1] if getattr(function, "__name__", "").startswith("__r") else args[1:2]
    return any(isinstance(d, Tensor) and d.requires_grad for d in divisors)


@dataclass(frozen=True)
class _Elementwise:
    """Difference of outputs over difference of inputs; the derivative where there is none."""

    function: Callable[..., Tensor]
    eps: float

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        x = operands[0].requires_grad_()
        (slope,) = torch.autograd.grad(self.function(x).sum(), x)
        return (grad * _quotient(output - seen.output, x.detach() - seen.operands[0], slope, self.eps),)


@dataclass(frozen=True)
class _Product:
    """Each factor's difference times the mean of the other."""

    function: Callable[..., Tensor]

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        middle = tuple(((a + b) / 2).requires_grad_() for a, b in zip(operands, seen.operands, strict=True))
        return torch.autograd.grad(self.function(*middle), middle, grad)


@dataclass(frozen=True)
class _Quotient:
    """A product with a reciprocal."""

    eps: float

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        (a, b), (a0, b0) = operands, seen.operands
        slope = _quotient(1 / b - 1 / b0, b - b0, -1 / b**2, self.eps)
        of_a = grad * (1 / b + 1 / b0) / 2
        of_b = grad * (a + a0) / 2 * slope
        return of_a.sum_to_size(a.shape), of_b.sum_to_size(b.shape)


@dataclass(frozen=True)
class _Softmax:
    """Exponential, sum, reciprocal (or logarithm) and product, each by its own rule."""

    axis: int
    logarithm: bool
    eps: float

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        x, x0 = operands[0], seen.operands[0]
        shift = torch.maximum(x.amax(self.axis, keepdim=True), x0.amax(self.axis, keepdim=True))
        e, e0 = (x - shift).exp(), (x0 - shift).exp()
        s, s0 = e.sum(self.axis, keepdim=True), e0.sum(self.axis, keepdim=True)
        of_e = _quotient(e - e0, x - x0, e, self.eps)
        if self.logarithm:
            of_s = _quotient(s.log() - s0.log(), s - s0, 1 / s, self.eps)
            return (grad - grad.sum(self.axis, keepdim=True) * of_s * of_e,)
        of_s = _quotient(1 / s - 1 / s0, s - s0, -1 / s**2, self.eps)
        through_sum = (grad * (e + e0) / 2).sum(self.axis, keepdim=True) * of_s
        blocked = torch.isinf(x) & torch.isinf(x0)  # masked in both passes: no difference, no multiplier
        return (((grad * (1 / s + 1 / s0) / 2 + through_sum) * of_e).masked_fill(blocked, 0.0),)


@dataclass(frozen=True)
class _MaxPool:
    """The difference of two maxima, shared by the places they come from as their own differences are."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        x, x0 = operands[0], seen.operands[0]
        axes = int(self.name[-2])
        rest = {n: v for n, v in self.kwargs.items() if n not in ("return_indices", "input")}
        pool = getattr(F, self.name)
        places = [pool(value, *self.args[1:6], **rest, return_indices=True)[1].flatten(-axes) for value in (x, x0)]
        flat, flat0 = x.flatten(-axes), x0.flatten(-axes)
        return (_to_places(flat, flat0, places, grad.flatten(-axes), -1).reshape(x.shape),)


@dataclass(frozen=True)
class _Extreme:
    """As ``_MaxPool``, for the largest or smallest value along an axis."""

    axis: int
    keep: bool
    which: str

    def share(self, operands: Tensors, seen: _Seen, output: Tensor, grad: Tensor) -> Tensors:
        x, x0 = operands[0], seen.operands[0]
        sign = 1 if self.which == "max" else -1
        places = [(sign * value).argmax(self.axis, keepdim=True) for value in (x, x0)]
        grad = grad if self.keep else grad.unsqueeze(self.axis)
        return (_to_places(x, x0, places, grad, self.axis),)


def _to_places(x: Tensor, x0: Tensor, places: list[Tensor], grad: Tensor, axis: int) -> Tensor:
    here, there = places
    rise = x.gather(axis, here) - x0.gather(axis, there)
    of_here = x.gather(axis, here) - x0.gather(axis, here)
    of_there = x.gather(axis, there) - x0.gather(axis, there)
    same = here == there
    total = of_here.abs() + of_there.abs()
    share = rise / torch.where(total > 0, total, torch.ones_like(total))
    split = torch.where(total > 0, share, torch.zeros_like(total))
    result = torch.zeros_like(x)
    result.scatter_add_(axis, here, grad * torch.where(same, torch.ones_like(split), split * of_here.sign()))
    return result.scatter_add_(axis, there, grad * torch.where(same, torch.zeros_like(split), split * of_there.sign()))


def _quotient(rise: Tensor, run: Tensor, slope: Tensor, eps: float) -> Tensor:
    far = run.abs() > eps
    return torch.where(far & torch.isfinite(run), rise / torch.where(far, run, torch.ones_like(run)), slope)
