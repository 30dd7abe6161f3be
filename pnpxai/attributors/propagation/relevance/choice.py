"""Which rule of relevance an operation has, and to whom its relevance goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.propagation.composites import Composite, KernelRule
from pnpxai.attributors.propagation.relevance.elementwise import Pass, Scale
from pnpxai.attributors.propagation.relevance.kernels import keep_places, kernel_of, own_places_of
from pnpxai.attributors.propagation.relevance.layer_rules import epsilon_rule
from pnpxai.attributors.propagation.relevance.ledger import AnyRule, Ledger, Rule
from pnpxai.attributors.propagation.relevance.linear import Affine, Product
from pnpxai.attributors.propagation.relevance.places import (
    PlacewiseProduct,
    PlacewiseScaling,
    PlacewiseSum,
    is_placewise,
)
from pnpxai.attributors.propagation.relevance.softmax import LogSumExp, Softmax
from pnpxai.attributors.propagation.relevance.sums import Balanced, BySize, Damped
from pnpxai.engine.seeing.operation_kinds import AFFINE, BILINEAR, ELEMENTWISE, SCALES, SUMS
from pnpxai.engine.seeing.operations import Operation, divides, operation_name
from pnpxai.model_types import Keywords, Positional
from pnpxai.tensors import flat, own

__all__ = ["Choice", "RuledStep", "note_places", "note_root"]

OperationCall: TypeAlias = tuple[Operation, Positional, Keywords]


@dataclass(frozen=True)
class RuledStep:
    """An operation with its rule.

    Attributes:
        rule: how its relevance is shared.
        function: the operation, of its operands.
        operands: what relevance goes to.
        of_operands: whether the function computes its value of the operands that it is called with.
    """

    rule: AnyRule
    function: Callable[..., Tensor]
    operands: list[Tensor]
    of_operands: bool = True


@dataclass(frozen=True)
class Choice:
    """Chooses the rule of each operation.

    Attributes:
        epsilon: the stabiliser of rules without one of their own.
        composite: rules at layers and where branches meet, if any.
        ledger: where sinks are noted.
    """

    epsilon: float
    composite: Composite | None
    ledger: Ledger

    def of(
        self, name: str, apply: Callable[..., Tensor], call: OperationCall, operands: list[Tensor]
    ) -> RuledStep | None:
        """Return the step of an operation, None if it has no rule.

        Args:
            name: what it is called.
            apply: the operation, of the operands that carry relevance.
            call: the operation with all its arguments.
            operands: what carries relevance.
        """
        step = self._past_operands(name, apply, call, operands)
        if step is not None:
            return step
        rule = self._rule(name, apply, call, operands)
        return None if rule is None else RuledStep(rule, apply, operands)

    def _past_operands(
        self, name: str, apply: Callable[..., Tensor], call: OperationCall, operands: list[Tensor]
    ) -> RuledStep | None:
        """Return a step whose relevance goes to other tensors than all operands of the operation."""
        multiplies = name in ("mul", "multiply")
        if multiplies and len(operands) == 2 and _root(operands[0]) is _root(operands[1]):
            # a function of each number on its own, such as x * sigmoid(x): an activation written out
            root = _root(operands[0])
            if root.shape == torch.broadcast_shapes(*(o.shape for o in operands)):
                values = [o.detach() for o in operands]
                return RuledStep(Pass(), lambda _: apply(*values), [root], of_operands=False)
        if multiplies and len(operands) == 2:
            scales = [_comes_of(o, Scale) for o in operands]
            if sum(scales) == 1:
                return self._in_one(apply, operands, scales.index(False), placewise=True)
        if len(operands) == 2 and divides(call[0], call[1]) and not call[2].get("rounding_mode"):
            return self._in_one(apply, operands, 1 if _reflected(call[0]) else 0, placewise=True)  # the other scales
        if len(operands) == 2 and name in ("grid_sample", "grid_sampler"):  # where it looks is no value
            return self._in_one(apply, operands, 0)
        if self.composite is None:
            return None
        if name == "batch_norm" and len(operands) == 1 and _affine_in(*call):
            return self._merged(apply, call, operands[0])
        if name in BILINEAR and len(operands) == 2 and self.composite.attention == "constant":
            weights = [_comes_of(o, Softmax) for o in operands]
            if sum(weights) == 1:
                return self._in_one(apply, operands, weights.index(False))
        return None

    def _in_one(
        self, apply: Callable[..., Tensor], operands: list[Tensor], k: int, placewise: bool = False
    ) -> RuledStep:
        """Return an operation of two operands as one of operand k alone, the other taken for a constant."""
        fixed = own(operands[1 - k])
        of_one = (lambda v: apply(v, fixed)) if k == 0 else (lambda v: apply(fixed, v))
        if placewise and is_placewise([operands[k]], [fixed]):
            return RuledStep(PlacewiseScaling(of_one, self.ledger), of_one, [operands[k]])
        return RuledStep(Affine(of_one, self.epsilon, self.ledger, None), of_one, [operands[k]])

    def _merged(self, apply: Callable[..., Tensor], call: OperationCall, operand: Tensor) -> RuledStep | None:
        """Return a batch normalisation as one step with the layer before it, if that is what it gets."""
        before = getattr(operand.grad_fn, "rule", None)
        function, args, kwargs = call
        if not isinstance(before, KernelRule) or function is not torch.nn.functional.batch_norm:
            return None
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        arguments = dict(zip(names, args, strict=False)) | kwargs
        scale = torch.rsqrt(arguments["running_var"] + arguments.get("eps", 1e-5))
        scale = scale if arguments.get("weight") is None else scale * arguments["weight"]
        shift = -arguments["running_mean"] * scale
        shift = shift if arguments.get("bias") is None else shift + arguments["bias"]
        kernel = before.kernel.scaled(scale, shift, operand.ndim)
        if kernel is None or self.composite is None:
            return None
        return RuledStep(
            self.composite.rule(kernel, self.ledger, merged=True), lambda _: apply(own(operand)), [kernel.x], False
        )

    def _rule(
        self, name: str, apply: Callable[..., Tensor], call: OperationCall, operands: list[Tensor]
    ) -> AnyRule | None:
        function, args, kwargs = call
        axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if len(operands) == 1:
            composite = self.composite
            if self._scales(name, call, operands[0]):
                return Scale()
            if name in ELEMENTWISE or (composite is not None and name in composite.passing):
                return Pass()
            kernel = kernel_of(function, args, kwargs, operands[0])
            if kernel is not None and composite is not None:
                return composite.rule(kernel, self.ledger)
            if kernel is not None:
                return epsilon_rule(kernel, self.epsilon, self.ledger)
            if name in _PRODUCTS and _affine_in(*call) and is_placewise(operands, _besides(operands, args, kwargs)):
                return PlacewiseScaling(apply, self.ledger)
            if name in AFFINE and _affine_in(*call):
                return Affine(apply, self.epsilon, self.ledger, "of zeros" if name in _WITH_CONSTANTS else None)
            if name in ("softmax", "special_softmax") and isinstance(axis, int):
                return Softmax(axis, self.ledger)
            if name in ("logsumexp", "special_logsumexp") and axis is not None:
                keepdim = bool(kwargs.get("keepdim", args[2] if len(args) > 2 else False))
                return LogSumExp(axis if isinstance(axis, int) else tuple(axis), keepdim)
        if name in SUMS:
            return self._of_sum(apply, operands, plain=name == "add" and len(args) == 2 and not kwargs)
        if name in BILINEAR and len(operands) == 2:
            if self.composite is not None and self.composite.sums == "balanced":
                return Damped(apply, self.epsilon, product=True)
            if name in ("mul", "multiply") and is_placewise(operands, []):
                return PlacewiseProduct(self.ledger)
            return Product(apply, self.epsilon, self.ledger, "of zeros" if name in _WITH_CONSTANTS else None)
        return None

    def _of_sum(self, apply: Callable[..., Tensor], operands: list[Tensor], plain: bool) -> AnyRule:
        sums = "proportion" if self.composite is None else self.composite.sums
        if sums == "size":
            return BySize(apply, self.epsilon, self.ledger)
        if sums == "balanced" and len(operands) == 2:
            return Balanced(apply, self.epsilon, self.ledger)
        if plain and len(operands) == 2 and is_placewise(operands, []):
            return PlacewiseSum(self.epsilon, self.ledger)
        return Affine(apply, self.epsilon, self.ledger, "of zeros" if len(operands) == 1 else None)

    def _scales(self, name: str, call: OperationCall, operand: Tensor) -> bool:
        """Tell whether an operation gives what others are multiplied with or divided by, to be of a certain size."""
        if name in SCALES or (divides(call[0], call[1]) and not call[2].get("rounding_mode")):
            return True
        exponent = call[2].get("exponent", call[1][1] if len(call[1]) > 1 else None)
        if name == "pow" and isinstance(exponent, (int, float)) and exponent < 0:
            return True
        return name in _OF_EACH and _comes_of(operand, Scale) and not call[2].get("rounding_mode")


def note_root(name: str, result: Tensor, operands: list[Tensor]) -> None:
    """Remember of whose numbers, each on its own, a result's numbers are functions."""
    root = _root(operands[0])
    same = all(_root(o) is root for o in operands)
    if same and name in _OF_EACH and result.shape == root.shape and result.grad_fn is not None:
        result.grad_fn.root = root  # type: ignore[attr-defined]


def note_places(result: Tensor, function: Operation, operands: list[Tensor], put: Operation) -> None:
    """Remember which places of a value that constants were put into, such as padding, are its own."""

    def of(fill: Operation) -> Tensor:
        args, kwargs = put(*map(fill, operands))
        return function(*args, **kwargs).detach()

    with torch.no_grad():
        keep_places(result, of(own_places_of) != of(torch.zeros_like))


def _root(value: Tensor) -> Tensor:
    """Return the tensor of whose numbers, each on its own, a value's numbers are functions."""
    return getattr(value.grad_fn, "root", value)


_OF_EACH = ELEMENTWISE | {"add", "sub", "mul", "div", "truediv", "neg"}
_WITH_CONSTANTS = frozenset(
    "batch_norm addmm addmv addbmm baddbmm addcmul addcdiv lerp bilinear convolution deform_conv2d linear".split()
) | {f"conv{kind}{axes}d" for kind in ("", "_transpose") for axes in (1, 2, 3)}
"""Operations that may add something of their own."""


_PRODUCTS = frozenset("mul multiply neg negative div divide true_divide truediv".split())
"""Products and quotients place by place, where factors have the shape of the result."""


def _besides(operands: list[Tensor], args: Positional, kwargs: Keywords) -> list[Tensor]:
    return [tensor for tensor in flat((args, kwargs)) if tensor is not operands[0]]


def _comes_of(value: Tensor, kind: type[Rule]) -> bool:
    """Tell whether a value is what a kind of rule gave, possibly with its numbers in other places."""
    node = value.grad_fn
    while node is not None:
        rule = getattr(node, "rule", None)
        if rule is not None:
            return isinstance(rule, kind)
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        node = parents[0] if len(parents) == 1 else None
    return False


def _reflected(function: Operation) -> bool:
    return getattr(function, "__name__", "").startswith("__r")


def _affine_in(function: Operation, args: Positional, kwargs: Keywords) -> bool:
    """Tell whether a call of an operation that is affine in most calls is so in this one."""
    if divides(function, args) or kwargs.get("rounding_mode"):
        return False
    # without statistics of its own, it normalises by those of the batch
    return operation_name(function) != "batch_norm" or not kwargs.get("training", len(args) > 5 and args[5])
