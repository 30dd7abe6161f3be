"""A model under rules of relevance: its operations, and the modules that a composite or a user names."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.attributors.kinds import ACTIVATIONS, AFFINE, BILINEAR, JOINS, MAX_POOLS, ROUTES, SUMS
from pnpxai.attributors.propagation import IdentityRule, PropagationRule
from pnpxai.attributors.rescale import check_same, divides
from pnpxai.attributors.rules import Affine, Ledger, OfModule, OfZennit, Pass, Product, Rule, Softmax, sink, tied
from pnpxai.engine.decompose import DECOMPOSED, decomposed
from pnpxai.engine.operations import Operation, Operations, in_place, operation_name, out_of_place, with_operands
from pnpxai.errors import ConfinedError, RuleError
from pnpxai.tensors import map_tensors

__all__ = ["Rules", "canonised", "ruled_modules"]

_log = logging.getLogger("pnpxai")
_Call = tuple[Operation, tuple[Any, ...], dict[str, Any]]
_WINNERS = {"max", "amax", "min", "amin", "maximum", "minimum"}
_WINNERS |= MAX_POOLS | {f"{name}_with_indices" for name in MAX_POOLS}
"""The gradient hands all relevance to the values that won."""


@dataclass
class Rules:
    """Replaces the operations of a forward pass by ruled ones, which note what they absorb in the present ledger."""

    epsilon: float
    ledger: Ledger = field(default_factory=lambda: Ledger(1))

    def run(self, forward: Callable[..., Any], *args: Any) -> Any:
        """Run a model with rules in place of its derivatives."""
        with Operations(self.replace):
            return forward(*args)

    def replace(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation, ruled where it touches what carries relevance.

        Raises:
            RuleError: there is no rule for it.
        """
        operands, put = with_operands((args, kwargs), lambda tensor: tensor.requires_grad)
        name = operation_name(function)
        if not operands or not torch.is_grad_enabled() or name in _WINNERS:
            return function(*args, **kwargs)
        if name in ROUTES:
            return function(*self._with_sinks(name, args, operands[0]), **kwargs)
        if in_place(function, kwargs):
            outside, rest, plain = out_of_place(function, args, kwargs)
            return args[0].copy_(self.replace(outside, rest, plain))
        if name in DECOMPOSED:
            return self._decomposed(name, function, args, kwargs)

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        rule = self._rule(name, apply, (function, args, kwargs), operands)
        if rule is not None:
            return tied(rule, apply, operands)
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
        with torch.no_grad():
            whole = function(*args, **kwargs)
        with Operations(self.replace):
            parts = decomposed(name, function, _constant, *args, **kwargs)
        check_same(name, whole, parts)
        return parts

    def _rule(self, name: str, apply: Callable[..., Tensor], call: _Call, operands: list[Tensor]) -> Rule | None:
        if name in ACTIVATIONS and len(operands) == 1:
            return Pass()
        if name in SUMS or (name in AFFINE and len(operands) == 1 and _affine_in(operands[0], *call)):
            return Affine(apply, self.epsilon, self.ledger)
        if name in BILINEAR and len(operands) == 2:
            return Product(apply, self.epsilon, self.ledger)
        if name == "softmax" and len(operands) == 1:
            _, args, kwargs = call
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return None if axis is None else Softmax(axis, self.ledger)
        return None


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


@contextlib.contextmanager
def canonised(model: Any, composite: Any) -> Iterator[list[tuple[str, nn.Module, Any]]]:
    """Apply a composite's canonizers; give the modules with their rules; take the canonizers back."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ConfinedError("model: the inside of a scripted model cannot be seen; pass the original Python model")
    applied: list[Any] = []
    context: dict[str, Any] = {}
    try:
        for canonizer in composite.canonizers if composite is not None else ():
            applied += canonizer.apply(model)
        found = []
        for name, module in model.named_modules():
            rule = getattr(module, "rule", None)  # a user's own comes first
            if rule is None and composite is not None and not isinstance(module, nn.MultiheadAttention):
                rule = composite.module_map(context, name, module)
            if rule is not None:
                found.append((name, module, rule))
        yield found
    finally:
        for instance in reversed(applied):
            instance.remove()


@contextlib.contextmanager
def ruled_modules(found: list[tuple[str, nn.Module, Any]], rules: Rules, verbose: bool) -> Iterator[None]:
    """Let the named modules pass relevance by their rules (their ``forward`` is exchanged for the time being)."""
    from zennit.core import BasicHook
    from zennit.rules import Pass as ZennitPass

    with contextlib.ExitStack() as stack:
        for name, module, rule in found:
            if isinstance(rule, (ZennitPass, IdentityRule)):
                make: _Make = _passing
            elif isinstance(rule, BasicHook):
                make = partial(_of_zennit, rules, module, rule)
            elif isinstance(rule, PropagationRule):
                make = partial(_of_module, rules, module, rule)
            else:
                raise RuleError(f"LRP: the rule {type(rule).__name__} of layer {name!r} is no relevance rule")
            if verbose:
                _log.info("Applied %s on layer %s", type(rule).__name__, name)
            if "forward" in module.__dict__:
                stack.callback(module.__dict__.__setitem__, "forward", module.__dict__["forward"])
            else:
                stack.callback(module.__dict__.pop, "forward", None)
            module.__dict__["forward"] = partial(_ruled_forward, module, make, module.forward)
        yield


_Make = Callable[[Callable[..., Tensor]], Rule]


def _passing(forward: Callable[..., Tensor]) -> Rule:
    return Pass()


def _of_zennit(rules: Rules, module: nn.Module, hook: Any, forward: Callable[..., Tensor]) -> Rule:
    return OfZennit(hook, module, forward, rules.ledger)


def _of_module(rules: Rules, module: nn.Module, rule: Any, forward: Callable[..., Tensor]) -> Rule:
    return OfModule(rule, module, rules.ledger)


def _ruled_forward(module: nn.Module, make: _Make, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if len(args) != 1 or kwargs or not args[0].requires_grad:
        return forward(*args, **kwargs)
    (operand,) = args
    changes = bool(getattr(module, "inplace", False))
    before = operand.clone() if changes else operand
    result = tied(make(forward), forward, [before])
    return operand.copy_(result) if changes else result
