"""A model under rules of relevance: every operation that it runs is replaced by a ruled one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.propagation.composites import Composite, KernelRule
from pnpxai.attributors.propagation.relevance.elementwise import Pass, Scale
from pnpxai.attributors.propagation.relevance.kernels import kernel_of
from pnpxai.attributors.propagation.relevance.ledger import Ledger, Rule, sink, tied
from pnpxai.attributors.propagation.relevance.linear import Affine, Product
from pnpxai.attributors.propagation.relevance.softmax import Softmax
from pnpxai.attributors.propagation.relevance.sums import Balanced, BySize
from pnpxai.engine.seeing.decompositions import check_same, decomposed, is_compound
from pnpxai.engine.seeing.operation_kinds import (
    ACTIVATIONS,
    AFFINE,
    BILINEAR,
    ELEMENTWISE,
    JOINS,
    MAX_POOLS,
    ROUTES,
    SCALES,
    SUMS,
)
from pnpxai.engine.seeing.operations import (
    Operation,
    Operations,
    divides,
    in_place,
    operation_name,
    out_of_place,
    with_operands,
)
from pnpxai.errors import RuleError
from pnpxai.tensors import map_tensors, own

__all__ = ["Rules", "Seen"]

_Call = tuple[Operation, tuple[Any, ...], dict[str, Any]]
Seen: TypeAlias = Callable[[str, tuple[Any, ...], dict[str, Any], Any], Any]
_Step = tuple[Rule, Callable[..., Tensor], list[Tensor]]
_WINNERS = {"max", "amax", "min", "amin", "maximum", "minimum"}
_WINNERS |= MAX_POOLS | {f"{name}_with_indices" for name in MAX_POOLS}
"""The gradient hands all relevance to the values that won."""


@dataclass
class Rules:
    """Replaces the operations of a forward pass by ruled ones, which note what they absorb in the present ledger."""

    epsilon: float
    composite: Composite | None = None
    ledger: Ledger = field(default_factory=lambda: Ledger(1))
    seen: Seen = lambda name, args, kwargs, result: result
    """Gets every operation's name, arguments and result, and returns what is handed on."""
    checked: bool = False
    """Whether another pass has made sure that compound operations are what their parts give."""

    def run(self, forward: Callable[..., Any], *args: Any) -> Any:
        """Run a model with rules in place of its derivatives."""
        with Operations(self.replace):
            output = forward(*args)
        if self.composite is not None and self.composite.finish is not None:
            self.composite.finish(output)
        return output

    def replace(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation, ruled where it touches what carries relevance.

        Raises:
            RuleError: there is no rule for it.
        """
        name = operation_name(function)
        return self.seen(name, args, kwargs, self._replaced(name, function, args, kwargs))

    def _replaced(self, name: str, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operands, put = with_operands((args, kwargs), lambda tensor: tensor.requires_grad)
        if not operands or not torch.is_grad_enabled() or name in _WINNERS:
            return function(*args, **kwargs)
        if name in ROUTES:
            return function(*self._with_sinks(name, args, operands[0]), **kwargs)
        if in_place(function, kwargs):
            outside, rest, plain = out_of_place(function, args, kwargs)
            return args[0].copy_(self.replace(outside, rest, plain))
        if is_compound(name, operands) and not (self.composite is not None and name in self.composite.passing):
            return self._decomposed(name, function, args, kwargs)

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        step = self._elsewhere(name, apply, (function, args, kwargs), operands)
        rule = self._rule(name, apply, (function, args, kwargs), operands) if step is None else step[0]
        if rule is not None:
            result = tied(rule, apply, operands) if step is None else tied(*step)
            _note_root(name, result, operands)
            return result
        result = function(*args, **kwargs)
        if not isinstance(result, (Tensor, tuple, list)) or not with_operands(result, lambda t: t.requires_grad)[0]:
            return result
        both = " of two values that both carry relevance" if name in AFFINE and len(operands) > 1 else ""
        raise RuleError(f"LRP: no rule for the operation {name!r}{both}; use a gradient or perturbation method instead")

    def _with_sinks(self, name: str, args: Any, anchor: Tensor) -> Any:
        """Let constants that are joined with what carries relevance note what they get."""
        if name not in JOINS:
            return args
        constant = lambda t: not t.requires_grad and t.is_floating_point() and t.ndim > 0  # noqa: E731
        return map_tensors(lambda t: sink(t, anchor, self.ledger) if constant(t) else t, args)

    def _decomposed(self, name: str, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with Operations(self.replace):
            parts = decomposed(name, function, _constant, *args, **kwargs)
        if not self.checked:
            with torch.no_grad():
                check_same(name, function(*args, **kwargs), parts)
        return parts

    def _elsewhere(self, name: str, apply: Callable[..., Tensor], call: _Call, operands: list[Tensor]) -> _Step | None:
        """Return a step whose relevance goes to other tensors than the operands of the operation."""
        if name == "mul" and len(operands) == 2 and _root(operands[0]) is _root(operands[1]):
            # a function of each number on its own, such as x * sigmoid(x): an activation written out
            root = _root(operands[0])
            if root.shape == torch.broadcast_shapes(*(o.shape for o in operands)):
                return Pass(), lambda _: apply(*(own(o) for o in operands)), [root]
        if name in ("mul", "div", "truediv") and len(operands) == 2:
            scales = [_comes_of(o, Scale) for o in operands]
            divisor = 0 if getattr(call[0], "__name__", "").startswith("__r") else 1
            if sum(scales) == 1 and (name == "mul" or scales[divisor]):
                return self._in_one(apply, operands, scales.index(False))
        if self.composite is None:
            return None
        if name == "batch_norm" and len(operands) == 1 and _affine_in(operands[0], *call):
            return self._merged(apply, call, operands[0])
        if name in BILINEAR and len(operands) == 2 and self.composite.attention == "constant":
            weights = [_comes_of(o, Softmax) for o in operands]
            if sum(weights) == 1:
                return self._in_one(apply, operands, weights.index(False))
        return None

    def _in_one(self, apply: Callable[..., Tensor], operands: list[Tensor], k: int) -> _Step:
        """Return an operation of two operands as one of operand k alone, the other taken for a constant."""
        fixed = own(operands[1 - k])
        of_one = (lambda v: apply(v, fixed)) if k == 0 else (lambda v: apply(fixed, v))
        return Affine(of_one, self.epsilon, self.ledger), of_one, [operands[k]]

    def _merged(self, apply: Callable[..., Tensor], call: _Call, operand: Tensor) -> _Step | None:
        """Return a batch normalisation as one step with the layer before it, if that is what it gets."""
        before = getattr(operand.grad_fn, "rule", None)
        function, args, kwargs = call
        if not isinstance(before, KernelRule) or function is not torch.nn.functional.batch_norm:
            return None
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = dict(zip(names, args, strict=False)) | kwargs
        scale = torch.rsqrt(given["running_var"] + given.get("eps", 1e-5))
        scale = scale if given.get("weight") is None else scale * given["weight"]
        shift = -given["running_mean"] * scale
        shift = shift if given.get("bias") is None else shift + given["bias"]
        kernel = before.kernel.scaled(scale, shift, operand.ndim)
        if kernel is None or self.composite is None:
            return None
        return self.composite.rule(kernel, self.ledger), lambda _: apply(own(operand)), [kernel.x]

    def _rule(self, name: str, apply: Callable[..., Tensor], call: _Call, operands: list[Tensor]) -> Rule | None:
        function, args, kwargs = call
        if len(operands) == 1 and (name in SCALES or (name in _OF_EACH and _comes_of(operands[0], Scale))):
            return Scale(name)
        passing = ACTIVATIONS if self.composite is None else ACTIVATIONS | self.composite.passing
        if len(operands) == 1 and (name in passing or _is_power(name, args, kwargs)):
            return Pass()
        if name in SUMS and self.composite is not None and self.composite.sums != "proportion":
            if self.composite.sums == "size":
                return BySize(apply, self.epsilon, self.ledger)
            if len(operands) == 2:
                return Balanced(apply, self.epsilon, self.ledger)
        if self.composite is not None and len(operands) == 1:
            kernel = kernel_of(function, args, kwargs, operands[0])
            if kernel is not None:
                return self.composite.rule(kernel, self.ledger)
        if name in SUMS or (name in AFFINE and len(operands) == 1 and _affine_in(operands[0], *call)):
            return Affine(apply, self.epsilon, self.ledger)
        if name in BILINEAR and len(operands) == 2:
            return Product(apply, self.epsilon, self.ledger)
        if name == "softmax" and len(operands) == 1:
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return None if axis is None else Softmax(axis, self.ledger)
        return None


def _is_power(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether an operation multiplies a value by itself: its equal factors share all there is."""
    exponent = kwargs.get("exponent", args[1] if len(args) > 1 else None)
    return name == "square" or (name == "pow" and isinstance(exponent, (int, float)) and exponent > 0)


def _root(value: Tensor) -> Tensor:
    """Return the tensor of whose numbers, each on its own, a value's numbers are functions."""
    return getattr(value.grad_fn, "root", value)


def _note_root(name: str, result: Tensor, operands: list[Tensor]) -> None:
    root = _root(operands[0])
    same = all(_root(o) is root for o in operands)
    if same and name in _OF_EACH and result.shape == root.shape and result.grad_fn is not None:
        result.grad_fn.root = root  # type: ignore[attr-defined]


_OF_EACH = ELEMENTWISE | SUMS | {"mul", "div", "truediv", "neg"}


def _comes_of(value: Tensor, kind: type[Any]) -> bool:
    """Tell whether a value is what a kind of rule gave, possibly with its numbers in other places."""
    node = value.grad_fn
    while node is not None:
        rule = getattr(node, "rule", None)
        if rule is not None:
            return isinstance(rule, kind)
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        node = parents[0] if len(parents) == 1 else None
    return False


def _constant(compute: Callable[[], Tensor]) -> Tensor:
    """Take gates and scales for constants: what they scale gets all relevance."""
    with torch.no_grad():
        return compute()


def _affine_in(operand: Tensor, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether a call of an operation that is affine in most calls is so in this one."""
    if divides(function, args) or kwargs.get("rounding_mode"):
        return False
    # without statistics of its own, it normalises by those of the batch
    return operation_name(function) != "batch_norm" or not kwargs.get("training", len(args) > 5 and args[5])
