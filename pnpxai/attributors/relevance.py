"""Layer-wise relevance propagation: rules on operations, and zennit's rules on the modules that a composite names."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.engine.batching import Block, in_blocks, row_limit
from pnpxai.engine.guard import borrowed, eager, module_of
from pnpxai.engine.operations import Operation, Operations, in_place, operation_name, with_operands
from pnpxai.engine.score import Target, gradient
from pnpxai.errors import ArgumentError, ConfinedError, RuleError
from pnpxai.tensors import Tensors, like, own, sum_rows

__all__ = ["LRP", "Relevance"]

_log = logging.getLogger("pnpxai")


@dataclass(frozen=True)
class Relevance:
    """Relevance of the inputs and where the rest of the score went.

    Attributes:
        attributions: relevance in the shape of the inputs.
        score: (examples,) the explained output.
        bias: (examples,) relevance that biases and other constants absorbed.
        epsilon: (examples,) relevance that stabilisers absorbed.
    """

    attributions: Any
    score: Tensor
    bias: Tensor
    epsilon: Tensor

    @property
    def gap(self) -> Tensor:
        """What is unaccounted for (examples,): score - relevance - sinks; zero where every rule conserves."""
        members = self.attributions if isinstance(self.attributions, tuple) else (self.attributions,)
        return self.score - sum(sum_rows(m, self.score.numel()) for m in members) - self.bias - self.epsilon


class LRP(Attributor):
    """Layer-wise relevance propagation. Bach et al., 2015 (doi:10.1371/journal.pone.0130140).

    The output at the target is passed back, each operation sharing what it gets among its operands in proportion to
    their contributions (the epsilon rule; additions included), activations passing it through. On the modules that a
    zennit composite names, its rules are used instead.
    """

    def __init__(
        self, model: Callable[..., Any], composite: Any = None, *, epsilon: float = 1e-9
    ) -> None:
        """Take a model, a zennit composite for its modules, and the stabiliser of the operations outside of it."""
        super().__init__(model)
        if module_of(model) is None:
            raise ArgumentError(f"model: expected a torch.nn.Module, got {type(model).__name__}; rules need its layers")
        if not epsilon >= 0:
            raise ArgumentError(f"epsilon: expected a number >= 0, got {epsilon!r}")
        self.model = model
        self.composite = composite
        self.epsilon = epsilon

    @property
    def multiplies_by_inputs(self) -> bool:
        """Always True."""
        return True

    def has_convergence_delta(self) -> bool:
        """Return True."""
        return True

    def compute_convergence_delta(self, attributions: Tensor | Tensors, output: Tensor) -> Tensor:  # type: ignore[override]
        """Return (examples,) ``output - sum(attributions)``, ``output`` being the explained one (examples,)."""
        members = attributions if isinstance(attributions, tuple) else (attributions,)
        return output - sum(sum_rows(m, output.shape[0]) for m in members)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        verbose: bool = False,
    ) -> Any:
        """Return relevance in the shape of ``inputs``, and with ``return_convergence_delta`` F - sum (examples,).

        Raises:
            RuleError: an operation of the model has no rule; the message names it.
        """
        found = self.relevance(inputs, target, additional_forward_args, verbose=verbose)
        if not return_convergence_delta:
            return found.attributions
        return found.attributions, self.compute_convergence_delta(found.attributions, found.score)

    def attribute_with_gap(self, inputs: Any, **arguments: Any) -> tuple[Any, Tensor | None]:
        """Return relevance and what remains unaccounted for after biases and stabilisers took their parts."""
        found = self.relevance(inputs, **arguments)
        return found.attributions, found.gap

    def relevance(
        self, inputs: Any, target: Target = None, additional_forward_args: Any = None, *, verbose: bool = False
    ) -> Relevance:
        """Return the attributions with the score and the relevance that biases and stabilisers took."""
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            totals = tuple(torch.zeros_like(x) for x in tensors)
            scores, bias, epsilon = (tensors[0].new_zeros(score.size) for _ in range(3))

            rules = _Rules(self.epsilon)
            ruled = replace(score, forward=partial(rules.run, self.forward_func))

            def visit(block: Block) -> None:
                part = slice(block.examples.start, block.examples.stop)
                rules.ledger = _Ledger(len(block))
                given = tuple(own(x[part]) for x in tensors)
                relevances, values = gradient(ruled.take(block.rows), given, seed_by_score=True)
                for total, share in zip(totals, relevances, strict=True):
                    total[part] = share
                scores[part], bias[part], epsilon[part] = values, rules.ledger.bias, rules.ledger.epsilon

            model = eager(module_of(self.forward_func))
            with _canonised(model, self.composite) as of_modules, _on_modules(of_modules, rules, verbose):
                in_blocks(score.size, 1, row_limit(tensors, score.extra), visit)
            return Relevance(like(inputs, totals), scores, bias, epsilon)


@dataclass
class _Ledger:
    """Sinks of relevance, per example."""

    size: int
    bias: Any = 0.0
    epsilon: Any = 0.0

    def note(self, bias: Tensor, epsilon: Tensor) -> None:
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
    def backward(ctx: Any, relevance: Tensor) -> Any:
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
    ledger: _Ledger

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
    ledger: _Ledger = field(repr=False)

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
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max amax maximum dropout dropout1d dropout2d dropout3d "
    "alpha_dropout feature_alpha_dropout to float double half bfloat16 type type_as cpu cuda roll flip rot90 unfold "
    "pixel_shuffle pixel_unshuffle channel_shuffle masked_fill where tril triu diagonal atleast_1d atleast_2d "
    "as_subclass alias requires_grad detach data positive copy".split()
)


@dataclass
class _Rules:
    """Replaces the operations of a forward pass by ruled ones, which note what they absorb in the present ledger."""

    epsilon: float
    ledger: _Ledger = field(default_factory=lambda: _Ledger(1))

    def run(self, forward: Callable[..., Any], *args: Any) -> Any:
        """Run a model with rules in place of its derivatives."""
        with Operations(self.replace):
            return forward(*args)

    def replace(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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
        if name in _SUMS or (name in _AFFINE and len(operands) == 1):
            return self.step(_Affine(apply, self.epsilon, self.ledger), apply, operands)
        result = function(*args, **kwargs)
        if not isinstance(result, (Tensor, tuple, list)) or not with_operands(result, lambda t: t.requires_grad)[0]:
            return result
        both = " of two values that both carry relevance" if name in _AFFINE else ""
        raise RuleError(f"LRP: no rule for the operation {name!r}{both}; use a gradient or perturbation method instead")

    def step(self, rule: _Rule, function: Callable[..., Tensor], operands: list[Tensor]) -> Tensor:
        with torch.no_grad():
            value = function(*(own(x) for x in operands))
        return _Step.apply(rule, [value], *operands)  # type: ignore[no-any-return]

    def _in_place(self, function: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed, before = args[0], args[0].clone()
        plain = {"inplace": False} if kwargs.get("inplace") else {}
        rest = tuple(before if member is changed else member for member in args)
        out = _OUT_OF_PLACE.get(getattr(function, "__name__", ""), function)
        return changed.copy_(self.replace(out, rest, kwargs | plain))


_OUT_OF_PLACE: dict[str, Operation] = {
    "add_": torch.add, "__iadd__": torch.add, "sub_": torch.sub, "__isub__": torch.sub,
    "mul_": torch.mul, "__imul__": torch.mul, "div_": torch.div, "__itruediv__": torch.div, "__idiv__": torch.div,
    "relu_": torch.relu, "sigmoid_": torch.sigmoid, "tanh_": torch.tanh, "neg_": torch.neg,
}  # fmt: skip


@contextlib.contextmanager
def _canonised(model: Any, composite: Any) -> Iterator[list[tuple[str, nn.Module, Any]]]:
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
def _on_modules(found: list[tuple[str, nn.Module, Any]], rules: _Rules, verbose: bool) -> Iterator[None]:
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
    rules: _Rules, module: nn.Module, hook: Any, forward: Callable[..., Any], *args: Any, **kwargs: Any
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
