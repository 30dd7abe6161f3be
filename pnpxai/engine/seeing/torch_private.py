"""The names of torch that are not public and yet needed, all in one place; a test fails when one of them changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pnpxai.tensors import own

__all__ = ["count_edits", "function_modes_active", "give_own_parameters", "tensor_hooks"]


def count_edits(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place; a later, larger count says that its numbers are others now."""
    return tensor._version


def function_modes_active() -> bool:
    """Return True while a ``TorchFunctionMode`` is active, which may change what operations give."""
    return torch._C._len_torch_function_stack() > 0


def tensor_hooks(tensor: Tensor) -> tuple[Callable[[Tensor], Tensor | None], ...]:
    """Return the functions that run when the gradient at a tensor is known."""
    return tuple((tensor._backward_hooks or {}).values())


def give_own_parameters(copied: nn.Module) -> None:
    """Let a shallow copy of a layer hold copies of the parameters, which may be changed, without gradients."""
    copied._parameters = {
        name: None if parameter is None else nn.Parameter(own(parameter), requires_grad=False)
        for name, parameter in copied._parameters.items()
    }
