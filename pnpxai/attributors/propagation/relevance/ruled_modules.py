"""A model under rules at its modules: those that a zennit composite or a user names, after canonisation."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pnpxai.attributors.propagation.captum_rules import IdentityRule, PropagationRule
from pnpxai.attributors.propagation.composites import Composite
from pnpxai.attributors.propagation.relevance.elementwise import Pass
from pnpxai.attributors.propagation.relevance.layer_rules import OfModule, OfZennit
from pnpxai.attributors.propagation.relevance.ledger import Rule
from pnpxai.attributors.propagation.relevance.ruled_model import Rules
from pnpxai.attributors.propagation.relevance.steps import tied
from pnpxai.engine.seeing.unseen import refuse_unseen
from pnpxai.errors import ConfinedError, RuleError

if TYPE_CHECKING:
    from zennit.canonizers import Canonizer
    from zennit.core import BasicHook
    from zennit.core import Composite as ZennitComposite

__all__ = ["canonised", "edits_in_place", "reported", "ruled_modules"]

_log = logging.getLogger("pnpxai")


def edits_in_place(model: nn.Module | None) -> bool:
    """Tell whether a layer of a model says that it edits its input, or has a rule of its own."""
    modules = [] if model is None else list(model.modules())
    return any(getattr(m, "inplace", False) is True or getattr(m, "rule", None) is not None for m in modules)


@contextlib.contextmanager
def canonised(
    model: nn.Module, composite: Composite | ZennitComposite | None
) -> Iterator[list[tuple[str, nn.Module, object]]]:
    """Apply a composite's canonizers; give the modules with their rules; take the canonizers back."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ConfinedError("model: the inside of a scripted model cannot be seen; pass the original Python model")
    applied: list[Canonizer] = []
    context: dict[str, object] = {}
    by_module = None if isinstance(composite, Composite) or composite is None else composite.module_map
    try:
        for canonizer in composite.canonizers if composite is not None else ():
            applied += canonizer.apply(model)
        for parameter in model.parameters() if applied else ():
            parameter.requires_grad_(False)  # of what canonizers have put in; the model's own are frozen already
        with_rules = []
        for name, module in model.named_modules():
            rule = getattr(module, "rule", None)  # a user's own comes first
            if rule is None and by_module is not None and not isinstance(module, nn.MultiheadAttention):
                rule = by_module(context, name, module)
            if rule is not None:
                with_rules.append((name, module, rule))
        yield with_rules
    finally:
        for instance in reversed(applied):
            instance.remove()


@contextlib.contextmanager
def ruled_modules(with_rules: list[tuple[str, nn.Module, object]], rules: Rules, verbose: bool) -> Iterator[None]:
    """Let the named modules pass relevance by their rules (their ``forward`` is exchanged for the time being)."""
    from zennit.core import BasicHook
    from zennit.rules import Pass as ZennitPass

    with contextlib.ExitStack() as stack:
        for name, module, rule in with_rules:
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


@contextlib.contextmanager
def reported(model: nn.Module | None, rules: Rules) -> Iterator[None]:
    """Print a line for each layer, operation and rule, in the order they run, and log it too."""
    running: list[str] = []
    lines: set[str] = set()

    def report(operation: str, rule: str) -> None:
        where = running[-1] if running and running[-1] else "the model itself"
        line = f"Applied {rule} on {operation} in {where}"
        if line not in lines:
            lines.add(line)
            _log.info(line)

    printer, level = logging.StreamHandler(sys.stdout), _log.level
    _log.addHandler(printer)
    _log.setLevel(logging.INFO)
    rules.report = report
    with contextlib.ExitStack() as stack:
        for name, module in () if model is None or isinstance(model, torch.jit.ScriptModule) else model.named_modules():
            enter = module.register_forward_pre_hook(lambda _, args, name=name: running.append(name))
            leave = module.register_forward_hook(lambda _, args, output: (running.pop(), None)[1], always_call=True)
            stack.callback(enter.remove)
            stack.callback(leave.remove)
        stack.callback(_log.setLevel, level)
        stack.callback(_log.removeHandler, printer)
        yield
    rules.report = None


_Make = Callable[[Callable[..., Tensor]], Rule]


def _passing(forward: Callable[..., Tensor]) -> Rule:
    return Pass()


def _of_zennit(rules: Rules, module: nn.Module, hook: BasicHook, forward: Callable[..., Tensor]) -> Rule:
    return OfZennit(hook, module, forward, rules.ledger)


def _of_module(rules: Rules, module: nn.Module, rule: PropagationRule, forward: Callable[..., Tensor]) -> Rule:
    return OfModule(rule, module, rules.ledger)


def _ruled_forward(
    module: nn.Module, make: _Make, forward: Callable[..., Tensor], *args: Any, **kwargs: object
) -> Tensor:
    if len(args) != 1 or kwargs or not args[0].requires_grad:
        return forward(*args, **kwargs)
    (operand,) = args
    changes = bool(getattr(module, "inplace", False))
    before = operand.clone() if changes else operand
    refuse_unseen("LRP", type(module).__name__, [before])
    result = tied(make(forward), forward, [before])
    return operand.copy_(result) if changes else result
