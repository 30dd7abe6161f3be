"""Relevance as a plain gradient, of a network that has been made linear beforehand.

The epsilon rule without a stabiliser is gradient times input, where an activation has the slope f(x) / x, gates and the
scales of norms are constants, and the gradient of a product is halved (Achtibat et al., 2024, arXiv:2402.05602).
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pnpxai.engine.guard import borrowed
from pnpxai.testing.laws.trial import Trial, deviation
from pnpxai.testing.laws.written_out import ACTIVATIONS, WRITTEN_OUT, returned, unrolled, value_of

__all__ = ["linear_attention", "taylor_attention"]


def linear_attention(trial: Trial) -> float:
    """The map is gradient times input of the linearised network, attention weights taken for constants."""
    return _compared(trial, constant_attention=True)


def taylor_attention(trial: Trial) -> float:
    """The map is gradient times input of the linearised network, with the softmax's own gradient."""
    return _compared(trial, constant_attention=False)


def _compared(trial: Trial, *, constant_attention: bool) -> float:
    values, maps = trial.values, trial.maps
    # GPT-2's activation is written out in the model
    activations = [m for m in trial.case.model.modules() if type(m).__name__ == "NewGELUActivation"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(borrowed(trial.case.model))  # a product with a parameter is none of two values
        stack.enter_context(unrolled(trial.case.model, torch.detach))
        for module in activations:
            stack.callback(module.register_forward_hook(_activation).remove)
        stack.enter_context(_Linearised(constant_attention))
        gradients = trial.gradient()
    return deviation(maps, tuple(g * v for g, v in zip(gradients, values, strict=True)))


def _activation(module: nn.Module, args: Any, output: Any) -> Tensor:
    return _sloped(args[0], output)


def _sloped(x: Tensor, value: Tensor) -> Tensor:
    """Return f(x) as x times a constant."""
    return x * torch.where(x == 0, 0.0, value / torch.where(x == 0, 1.0, x)).detach()


def _halved(x: Tensor) -> Tensor:
    """Return the same value with half the gradient."""
    return x.detach() + (x - x.detach()) / 2


class _Linearised(TorchFunctionMode):
    def __init__(self, constant_attention: bool) -> None:
        super().__init__()
        self.constant_attention = constant_attention

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        carrying = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        if func is F.softmax:
            weights = func(*args, **kwargs)
            return weights.detach() if self.constant_attention else weights
        if func in WRITTEN_OUT:
            with self:
                return WRITTEN_OUT[func](*args, **kwargs)
        if name in ACTIVATIONS and carrying:
            x = args[0].clone()
            return returned(func, args[0], kwargs, _sloped(x, value_of(func, x, args[1:], kwargs)))
        if name == "rsqrt":
            return func(*args, **kwargs).detach()
        if name in ("mul", "matmul", "bmm") and len(carrying) == 2:
            return func(*(_halved(a) for a in args), **kwargs)
        return func(*args, **kwargs)
