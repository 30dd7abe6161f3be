"""DeepLIFT's rescale rule for each kind of operation: what its differences are multiplied by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pnpxai.engine.seeing.operation_kinds import BILINEAR, ELEMENTWISE, MAX_POOLS
from pnpxai.engine.seeing.operations import Operation, operation_name
from pnpxai.tensors import Tensors

__all__ = ["Rule", "Seen", "divides", "rule_for"]


class Seen(NamedTuple):
    """An operation of the reference pass: its operands and what it gave."""

    name: str
    operands: Tensors
    output: Tensor


class Rule(Protocol):
    """Shares what an operation's output difference is multiplied by among its operands' differences."""

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
        """Return one tensor for each operand."""
        ...


def rule_for(
    name: str,
    function: Operation,
    apply: Callable[..., Tensor],
    operands: list[Tensor],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    eps: float,
) -> Rule | None:
    """Return the rule for an operation, None if there is none.

    Args:
        name: what it is called.
        function: the operation.
        apply: the operation, as a function of its operands.
        operands: the tensors that carry a difference.
        given: all its arguments, by position and by name.
        eps: differences below this count as none.
    """
    args, kwargs = given
    if name in ELEMENTWISE and len(operands) == 1:
        return _Elementwise(apply, eps)
    if name in BILINEAR and len(operands) == 2:
        return _Product(apply)
    if divides(function, args):
        return _Quotient(eps) if len(operands) == 2 else _Elementwise(apply, eps)
    if name in ("softmax", "log_softmax") and len(operands) == 1:
        axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        return None if axis is None else _Softmax(axis, name == "log_softmax", eps)
    if name in MAX_POOLS and len(operands) == 1:
        return _MaxPool(name, args, kwargs)
    if name in ("max", "amax", "min", "amin") and len(operands) == 1:
        axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        keep = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
        return _Extreme(axis, keep, name[-3:]) if isinstance(axis, int) and name.startswith("a") else None
    return None


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

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
        x = operands[0].requires_grad_()
        (slope,) = torch.autograd.grad(self.function(x).sum(), x)
        return (grad * _quotient(output - seen.output, x.detach() - seen.operands[0], slope, self.eps),)


@dataclass(frozen=True)
class _Product:
    """Each factor's difference times the mean of the other."""

    function: Callable[..., Tensor]

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
        middle = tuple(((a + b) / 2).requires_grad_() for a, b in zip(operands, seen.operands, strict=True))
        return torch.autograd.grad(self.function(*middle), middle, grad)


@dataclass(frozen=True)
class _Quotient:
    """A product with a reciprocal."""

    eps: float

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
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

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
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

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
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

    def share(self, operands: Tensors, seen: Seen, output: Tensor, grad: Tensor) -> Tensors:
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
