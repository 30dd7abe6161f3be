"""Holds the private names of torch that are needed; a test fails when one of them changes."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils import _pytree

from pnpxai.model_types import Model, ModelOutput
from pnpxai.tensors import own

__all__ = [
    "called_directly",
    "count_edits",
    "drop_compiled_call",
    "from_leaves",
    "function_modes_active",
    "give_own_parameters",
    "is_view",
    "plain_copy",
    "source_of",
    "tensor_hooks",
    "to_leaves",
    "without_function_modes",
]


def count_edits(tensor: Tensor) -> int:
    """Return the number of edits in place of a tensor. A larger count later means that its numbers have changed."""
    return tensor._version


def function_modes_active() -> bool:
    """Return True while a ``TorchFunctionMode`` is active, which may change the results of operations."""
    return torch._C._len_torch_function_stack() > 0


def to_leaves(structure: object) -> tuple[list[Any], object]:
    """Return the members of a nested structure in a row, and its form; outputs of transformers are such structures."""
    return _pytree.tree_flatten(structure)


def from_leaves(leaves: list[Any], form: Any) -> Any:
    """Return the structure that ``to_leaves`` took apart, with other members."""
    return _pytree.tree_unflatten(leaves, form)


def is_view(tensor: Tensor) -> bool:
    """Return True for a view, which a function of one's own may not return if it is edited in place later."""
    return tensor._is_view()


def tensor_hooks(tensor: Tensor) -> tuple[Callable[[Tensor], Tensor | None], ...]:
    """Return the functions that run when the gradient at a tensor has been computed."""
    return tuple((tensor._backward_hooks or {}).values())


def give_own_parameters(copied: nn.Module) -> None:
    """Give a shallow copy of a layer its own copies of the parameters, without gradients, which may be changed."""
    copied._parameters = {
        name: None if parameter is None else nn.Parameter(own(parameter), requires_grad=False)
        for name, parameter in copied._parameters.items()
    }


def plain_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module; of a parametrized one, which cannot be copied, one with its present parameters."""
    if not is_parametrized(module):
        return copy.copy(module)
    plain = type(module).__new__(type(module).__bases__[0])
    vars(plain).update(vars(module))
    made = {name: nn.Parameter(getattr(module, name).detach()) for name in module.parametrizations}  # type: ignore[union-attr]
    vars(plain)["_parameters"] = {**module._parameters, **made}
    vars(plain)["_modules"] = {name: child for name, child in module._modules.items() if name != "parametrizations"}
    return plain


def without_function_modes() -> AbstractContextManager[None]:
    """Return a context in which no ``TorchFunctionMode`` sees what runs."""
    return torch._C.DisableTorchFunction()


_direct = threading.local()
_CHECKPOINTS = torch.utils.checkpoint
_reentrant = _CHECKPOINTS.CheckpointFunction.apply
_GENERATOR = next(  # of torch 2.14 on, or before
    name
    for name in ("_checkpoint_without_reentrant_generator_impl", "_checkpoint_without_reentrant_generator")
    if hasattr(_CHECKPOINTS, name)
)
_generator = getattr(_CHECKPOINTS, _GENERATOR)
_CONDITION = type(torch.ops.higher_order.cond)
_condition = _CONDITION.__call__
_compiled_condition = torch.cond


@contextlib.contextmanager
def called_directly() -> Iterator[None]:
    """Call functions under ``torch.utils.checkpoint``, and branches of ``torch.cond``, as if written without it.

    They are called once, in this thread, inside a ``with`` block. ``checkpoint`` looks its two implementations up when
    it is called. All are exchanged for good, by functions that do as before outside of such a block, since other
    threads may train meanwhile.
    """
    _CHECKPOINTS.CheckpointFunction.apply = staticmethod(_reentrant_checkpoint)
    setattr(_CHECKPOINTS, _GENERATOR, _other_checkpoint)
    _CONDITION.__call__ = _branch
    torch.cond = _cond
    before = getattr(_direct, "now", False)
    _direct.now = True
    try:
        yield
    finally:
        _direct.now = before


def _reentrant_checkpoint(function: Model, preserve: bool, *args: object) -> ModelOutput:
    return function(*args) if getattr(_direct, "now", False) else _reentrant(function, preserve, *args)


def _other_checkpoint(*args: object, **kwargs: object) -> Iterator[None]:
    return _nothing_around() if getattr(_direct, "now", False) else _generator(*args, **kwargs)


def _branch(
    self: torch._ops.HigherOrderOperator,
    pred: object,
    true_fn: Callable[..., object],
    false_fn: Callable[..., object],
    operands: tuple[object, ...] = (),
) -> object:
    if getattr(_direct, "now", False):
        return (true_fn if pred else false_fn)(*operands)
    return _condition(self, pred, true_fn, false_fn, operands)


@functools.wraps(_compiled_condition)
def _cond(*args: Any, **kwargs: Any) -> Any:
    # the compiler, which the original loads and calls, traces this function too
    if torch.compiler.is_dynamo_compiling() or not getattr(_direct, "now", False):
        return _compiled_condition(*args, **kwargs)
    return _branch(torch.ops.higher_order.cond, *args, **kwargs)


def _nothing_around() -> Iterator[None]:
    yield  # here ``checkpoint`` calls its function


def source_of(model: Model) -> Model:
    """Return the model inside ``torch.compile``, or the model itself if it is not compiled."""
    return getattr(model, "_orig_mod", getattr(model, "_torchdynamo_orig_callable", model))


def drop_compiled_call(module: nn.Module) -> None:
    """Forget that ``module.compile()`` was called."""
    vars(module).pop("_compiled_call_impl", None)
