"""Which rule of differences an operation has."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pnpxai.attributors.propagation.rescale.elementwise import Elementwise
from pnpxai.attributors.propagation.rescale.products import Product, Quotient, ScaledProduct
from pnpxai.attributors.propagation.rescale.selections import Extreme, Larger, MaxPool
from pnpxai.attributors.propagation.rescale.softmax import Softmax
from pnpxai.attributors.propagation.rescale.step import Rule
from pnpxai.engine.seeing.operation_kinds import BILINEAR, ELEMENTWISE, MAX_POOLS
from pnpxai.engine.seeing.operations import Operation, divides
from pnpxai.model_types import Keywords, Positional

__all__ = ["rule_for"]


def rule_for(
    name: str,
    function: Operation,
    apply: Callable[..., Tensor],
    operands: list[Tensor],
    arguments: tuple[Positional, Keywords],
    eps: float,
) -> Rule | None:
    """Return the rule for an operation, None if there is none.

    Args:
        name: what it is called.
        function: the operation.
        apply: the operation, as a function of its operands.
        operands: the tensors that carry a difference.
        arguments: all its arguments, by position and by name.
        eps: differences below this count as none.
    """
    args, kwargs = arguments
    axis = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    if name in ELEMENTWISE and len(operands) == 1:
        return Elementwise(apply, eps)
    if name in MULTIPLIES and len(operands) == 2:
        scales = [_sets_size(operand) for operand in operands]
        return ScaledProduct(scales.index(True)) if sum(scales) == 1 else Product(apply)
    if name in BILINEAR and len(operands) == 2:
        return Product(apply)
    if divides(function, args):
        return Quotient() if len(operands) == 2 else Elementwise(apply, eps)
    other = kwargs.get("other", args[1] if len(args) > 1 else None)
    if name in LARGER and isinstance(other, Tensor):
        return Larger("max" in name) if len(operands) == 2 else Elementwise(apply, eps)
    if len(operands) == 1:
        if name in ("softmax", "log_softmax", "special_softmax", "special_log_softmax") and isinstance(axis, int):
            return Softmax(axis, "log_softmax" if "log" in name else "softmax")
        if name in ("logsumexp", "special_logsumexp") and axis is not None:
            keepdim = bool(kwargs.get("keepdim", args[2] if len(args) > 2 else False))
            return Softmax(axis if isinstance(axis, int) else tuple(axis), "logsumexp", keepdim)
        if name in MAX_POOLS:
            return MaxPool(name, args, kwargs)
        if name in EXTREMES:
            axes = (axis,) if isinstance(axis, int) else None if not axis else tuple(axis)
            return Extreme(axes, "max" in name)
    return None


MULTIPLIES = frozenset({"mul", "multiply"})
EXTREMES = frozenset({"max", "amax", "min", "amin"})
LARGER = frozenset({"maximum", "minimum", "fmax", "fmin", "max", "min"})
_SCALES = frozenset({"rsqrt", "reciprocal", "div", "truediv", "divide"})


def _sets_size(value: Tensor) -> bool:
    """Tell whether a value is the reciprocal of another, possibly with its numbers in other places."""
    node = value.grad_fn
    while node is not None:
        reference = getattr(node, "reference", None)
        if reference is not None:
            return reference.name in _SCALES and len(reference.operands) == 1
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        node = parents[0] if len(parents) == 1 else None
    return False
