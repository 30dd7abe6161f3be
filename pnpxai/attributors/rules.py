"""Rules of relevance: how each operation of a model, and each module that a composite names, passes it back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pnpxai.engine.operations import (
    Operation,
    Operations,
    in_place,
    operation_name,
    with_operands,
)
from pnpxai.errors import ConfinedError, RuleError
from pnpxai.tensors import Tensors, own, sum_rows

__all__ = ["Ledger", "Rules", "canonised", "ruled_modules"]

_log = logging.getLogger("pnpxai")


@dataclass
class Ledger:
    """Sinks of relevance, per example."""

    size: int
    bias: Any = 0.0
    epsilon: Any = 0.0

    def note(self, bias: Tensor, epsilon: Tensor) -> None:
        """Add what an operation's constants and its stabiliser kept, tensors of its output's shape."""
        self.bias = self.bias + sum_rows(bias, self.size)
        self.epsilon = self.epsilon + sum_rows(epsilon, self.size)


class _Rule(Protocol):
    """How the relevance of an output is shared among the operands."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors: ...


class _Step(torch.autograd.Function):
    """One ruled operation: its value forward, its rule backward."""

    @staticmethod
    def forward(ctx: Any, rule: _Rule, value: list[Tensor], *operands: Tensor) -> Tensor:
        # the value comes in a list: were it an operand, autograd would take the result for a view of it
        ctx.rule = rule
        ctx.save_for_backward(*operands)
        return value[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (relevance,) = grad_outputs
        with torch.enable_grad():
            shares = ctx.rule.share(tuple(own(x) for x in ctx.saved_tensors), relevance)
        return None, None, *(share.detach() for share in shares)


@dataclass(frozen=True)
class _Pass:
    """All relevance goes through unchanged."""

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        return (relevance.reshape(operands[0].shape),)


@dataclass(frozen=True)
class _Affine:
    """Epsilon rule: each operand gets what it contributes to a sum; constants and the stabiliser keep their part."""

    function: Callable[..., Tensor]
    epsilon: float
    ledger: Ledger

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        leaves = tuple(x.requires_grad_() for x in operands)
        output = self.function(*leaves)
        with torch.no_grad():
            scale = relevance / _stabilised(output, self.epsilon)
            constant = self.function(*(torch.zeros_like(x) for x in leaves))
            self.ledger.note(constant * scale, relevance - output * scale)
        gradients = torch.autograd.grad(output, leaves, scale, allow_unused=True, materialize_grads=True)
        return tuple(x.detach() * g for x, g in zip(leaves, gradients, strict=True))


@dataclass(frozen=True)
class _Zennit:
    """A rule of zennit, read as data (its modifiers, gradient mapper and reducer), on one call of a module."""

    hook: Any
    module: nn.Module
    forward: Callable[..., Tensor]
    ledger: Ledger = field(repr=False)

    def share(self, operands: Tensors, relevance: Tensor) -> Tensors:
        from zennit.core import ParamMod

        (operand,) = operands
        hook, inputs, outputs, constants = self.hook, [], [], []
        modifiers = zip(hook.input_modifiers, hook.param_modifiers, hook.output_modifiers, strict=True)
        for of_input, of_parameters, of_output in modifiers:
            entry = of_input(operand.detach()).detach().requires_grad_()
            with ParamMod.ensure(of_parameters)(self.module):
                inputs.append(entry)
                outputs.append(of_output(self.forward(entry)))
                with torch.no_grad():
                    constants.append(self.forward(torch.zeros_like(entry)))
        mapped = hook.gradient_mapper(relevance, outputs)
        mapped = list(mapped) if isinstance(mapped, (tuple, list)) else [mapped]
        gradients = torch.autograd.grad(outputs, inputs, mapped)
        with torch.no_grad():
            # the reducer is linear in value times gradient, so what it makes of the outputs is all that was shared
            ones = [torch.ones_like(m) for m in mapped]
            shared = hook.reducer(ones, [o * m for o, m in zip(outputs, mapped, strict=True)])
            kept = hook.reducer(ones, [c * m for c, m in zip(constants, mapped, strict=True)])
            self.ledger.note(kept, relevance - shared)
        return (hook.reducer(inputs, gradients).detach(),)


def _stabilised(value: Tensor, epsilon: float) -> Tensor:
    return value + torch.where(value >= 0, epsilon, -epsilon).to(value.dtype)


_ACTIVATIONS = set(
    "relu relu6 gelu silu elu selu celu leaky_relu hardtanh hardswish hardsigmoid mish softplus tanh sigmoid rrelu "
    "prelu softsign tanhshrink softshrink hardshrink threshold logsigmoid".split()
)
_SUMS = set("add sub".split())
_AFFINE = set(
    "neg mean sum linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d avg_pool1d avg_pool2d "
    "avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d mul div truediv matmul mm bmm addmm "
    "batch_norm interpolate fold cumsum nansum".split()
)
_ROUTES = set(
    "get getitem reshape reshape_as view view_as flatten unflatten ravel permute transpose t swapaxes swapdims movedim "
    "moveaxis contiguous clone squeeze unsqueeze cat concat concatenate stack hstack vstack chunk split tensor_split "
    "unbind expand expand_as repeat repeat_interleave tile index_select gather take_along_dim narrow select pad "
    "max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max amax maximum dropout dropout1d dropout2d "
    "dropout3d alpha_dropout feature_alpha_dropout to float double half bfloat16 type type_as cpu cuda roll flip "
    "rot90 unfold pixel_shuffle pixel_unshuffle channel_shuffle masked_fill where tril triu diagonal atleast_1d "
    "atleast_2d as_subclass alias requires_grad detach data positive copy".split()
)


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
        if not operands or not torch.is_grad_enabled() or name in _ROUTES:
            return function(*args, **kwargs)
        if in_place(function, kwargs):
            return self._in_place(function, args, kwargs)

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        if name in _ACTIVATIONS and len(operands) == 1:
            return self.step(_Pass(), apply, operands)
        if name in _SUMS or (
            name in _AFFINE and len(operands) == 1 and _affine_in(operands[0], function, args, kwargs)
        ):
            return self.step(_Affine(apply, self.epsilon, self.ledger), apply, operands)
        result = function(*args, **kwargs)
        if not isinstance(result, (Tensor, tuple, list)) or not with_operands(result, lambda t: t.requires_grad)[0]:
            return result
        both = " of two values that both carry relevance" if name in _AFFINE and len(operands) > 1 else ""
        raise RuleError(f"LRP: no rule for the operation {name!r}{both}; use a gradient or perturbation method instead")

    def step(self, rule: _Rule, function: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
        """Compute a value and tie it to its operands by a rule."""
        with torch.no_grad():
            value = function(*(own(x) for x in operands))
        return _Step.apply(rule, [value], *operands)  # type: ignore[no-any-return]

    def _in_place(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed, before = args[0], args[0].clone()
        plain = {"inplace": False} if kwargs.get("inplace") else {}
        rest = tuple(before if member is changed else member for member in args)
        out = function if plain else _out_of_place(operation_name(function))
        return changed.copy_(self.replace(out, rest, kwargs | plain))


def _out_of_place(name: str) -> Operation:
    name = {"truediv": "div"}.get(name, name)
    for holder in (torch, torch.nn.functional):
        if hasattr(holder, name):
            return getattr(holder, name)
    raise RuleError(f"LRP: no rule for the in-place operation {name!r}; use a gradient or perturbation method instead")


def _affine_in(operand: Tensor, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether a call of an operation that is affine in most calls is so in this one."""
    name = operation_name(function)
    if name in ("div", "truediv"):
        divided = args[0] if args else kwargs.get("input")
        return divided is operand and not function.__name__.startswith("__r") and not kwargs.get("rounding_mode")
    # without statistics of its own, it normalises by those of the batch
    return name != "batch_norm" or not kwargs.get("training", len(args) > 5 and args[5])


@contextlib.contextmanager
def canonised(model: Any, composite: Any) -> Iterator[list[tuple[str, nn.Module, Any]]]:
    """Apply a composite's canonizers; give the modules with their rules; take the canonizers back."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ConfinedError("model: the inside of a scripted model cannot be seen; pass the original Python model")
    applied: list[Any] = []
    context: dict[str, Any] = {}
    try:
        if composite is None:
            yield []
            return
        for canonizer in composite.canonizers:
            applied += canonizer.apply(model)
        found = [(name, m, composite.module_map(context, name, m)) for name, m in model.named_modules()]
        yield [entry for entry in found if entry[2] is not None and not isinstance(entry[1], nn.MultiheadAttention)]
    finally:
        for instance in reversed(applied):
            instance.remove()


@contextlib.contextmanager
def ruled_modules(found: list[tuple[str, nn.Module, Any]], rules: Rules, verbose: bool) -> Iterator[None]:
    """Let the named modules pass relevance by their rules (their ``forward`` is exchanged for the time being)."""
    from zennit.core import BasicHook
    from zennit.rules import Pass

    with contextlib.ExitStack() as stack:
        for name, module, hook in found:
            if not isinstance(hook, (BasicHook, Pass)):
                raise RuleError(f"LRP: the rule {type(hook).__name__} of layer {name!r} is no relevance rule")
            if verbose:
                _log.info("Applied %s on layer %s", type(hook).__name__, name)
            stack.callback(module.__dict__.pop, "forward", None)
            module.__dict__["forward"] = partial(_ruled_forward, rules, module, hook, module.forward)
        yield


def _ruled_forward(
    rules: Rules, module: nn.Module, hook: Any, forward: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    from zennit.core import BasicHook

    if len(args) != 1 or kwargs or not args[0].requires_grad:
        return forward(*args, **kwargs)
    (operand,) = args
    changes = bool(getattr(module, "inplace", False))
    before = operand.clone() if changes else operand
    rule = _Zennit(hook, module, forward, rules.ledger) if isinstance(hook, BasicHook) else _Pass()
    result = rules.step(rule, forward, [before])
    return operand.copy_(result) if changes else result
