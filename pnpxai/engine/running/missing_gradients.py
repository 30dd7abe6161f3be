"""Distinguishes gradients that are missing, since an operation has no derivative, from gradients that are zero."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.score import Score
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelOutput
from pnpxai.tensors import Tensors, flat

__all__ = ["naming_missing_gradients", "refuse_missing_gradients", "where_gradients_end"]

_DIFFERENTIABLE: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Models whose graph was checked before."""


def refuse_missing_gradients(score: Score, values: Tensor, leaves: Tensors) -> None:
    """Refuse a score whose graph holds an operation that torch cannot differentiate: its gradient would count as zero.

    The graph of a model is looked through once.

    Raises:
        ArgumentError: says which layer runs the operation.
    """
    model = module_of(getattr(score.forward, "forward", score.forward))
    if model is not None and model in _DIFFERENTIABLE:
        return
    if _has_operation_without_derivative(values):
        raise _missing(where_gradients_end(score, leaves))
    if model is not None:
        _DIFFERENTIABLE.add(model)


class naming_missing_gradients(contextlib.AbstractContextManager[None]):
    """Refuse what torch cannot differentiate, inside a ``with`` block, in words that say what to do (ArgumentError)."""

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        """Translate torch's error."""
        text = str(problem) if isinstance(problem, RuntimeError) else ""
        if "derivative for" in text and "not implemented" in text:
            raise _missing(f" ({problem})") from problem


def _missing(where: str) -> ArgumentError:
    return ArgumentError(
        "model: it runs an operation that torch cannot differentiate (such as a quantized layer), whose gradient would "
        f"be taken for zero{where}; use a method that only perturbs the inputs, or explain the model before its layers "
        "were quantized"
    )


def where_gradients_end(score: Score, leaves: Tensors) -> str:
    """Return the end of an error message that names the first layer at which the graph of gradients ends."""
    model = module_of(getattr(score.forward, "forward", score.forward))
    names: list[str] = []
    if model is None:
        return ""

    def note(name: str, module: nn.Module, args: object, output: ModelOutput) -> None:
        numbers = [t for t in flat(output) if t.is_floating_point()]
        flowing = any(t.requires_grad for t in flat(args))
        if flowing and numbers and not any(map(_flows, numbers)):
            names.append(f"{name!r} ({type(module).__module__}.{type(module).__name__})")

    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                hook: Callable[..., None] = lambda m, args, output, name=name: note(name, m, args, output)  # noqa: E731
                stack.callback(module.register_forward_hook(hook).remove)
        with contextlib.suppress(Exception), torch.enable_grad():
            score.output(leaves)
    return f"; nothing flows back through layer {names[0]}" if names else ""


def _flows(tensor: Tensor) -> bool:
    return tensor.requires_grad and not (tensor.grad_fn is not None and _lacks_derivative(tensor.grad_fn))


def _lacks_derivative(node: Node) -> bool:
    return "NotImplemented" in node.name()


def _has_operation_without_derivative(values: Tensor) -> bool:
    waiting, seen = [values.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if _lacks_derivative(node):
            return True
        seen.add(node)
        waiting.extend(child for child, _ in node.next_functions)
    return False
