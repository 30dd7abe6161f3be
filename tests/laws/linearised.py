"""Relevance as a plain gradient, of a network that has been made linear beforehand.

The epsilon rule without a stabiliser is gradient times input, where an activation has the slope f(x) / x, gates and the
scales of norms are constants, and the gradient of a product is halved (Achtibat et al., 2024, arXiv:2402.05602).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.seeing.module_kinds import BATCH_NORMS, CONVOLUTIONS
from pnpxai.tensors import Tensors
from tests.laws.convolutions import Conv, alpha2_beta1, box, gamma, ruled, z_plus
from tests.laws.trial import Trial, deviation
from tests.laws.written_out import ACTIVATIONS, WRITTEN_OUT, returned, unrolled, value_of

__all__ = ["linear_attention", "rules_at_convolutions", "taylor_attention"]


def linear_attention(trial: Trial) -> float:
    """The map is gradient times input of the linearised network, attention weights taken for constants."""
    return _compared(trial, constant_attention=True)


def taylor_attention(trial: Trial) -> float:
    """The map is gradient times input of the linearised network, with the softmax's own gradient."""
    return _compared(trial, constant_attention=False)


def rules_at_convolutions(trial: Trial) -> float:
    """The map is gradient times input of the linearised network, with the composite's rules at convolutions."""
    first, others = {
        "LRPEpsilonPlus": (z_plus, z_plus),
        "LRPEpsilonAlpha2Beta1": (alpha2_beta1, alpha2_beta1),
        "LRPEpsilonGammaBox": (box, gamma),
    }[trial.explainer.__name__]

    def convolve(func: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, *settings: Any) -> Tensor:
        of_inputs = any(_is_of_inputs(x.grad_fn) and x.shape[:2] == v.shape[:2] for v in trial.values)
        channels = func(x[:1], weight, None, *settings).shape[1]
        none = torch.zeros(channels, dtype=weight.dtype) if bias is None else bias
        conv = Conv(lambda x, w, b: func(x, w, b, *settings), x, weight, none, _own(x))
        return ruled(conv, first if of_inputs else others, trial.made)

    merged = Trial(trial.explainer, replace(trial.case, model=_merged(trial.case.model)), trial.changes)
    return _compared(merged, maps=trial.maps, constant_attention=True, convolve=convolve)


def _is_of_inputs(node: Any) -> bool:
    """Tell whether a value is a copy of the inputs, perhaps padded."""
    return type(_unpadded(node)[0]).__name__ == "CloneBackward0"


def _own(x: Tensor) -> Tensor:
    """Return 1 where a value is its own, and 0 where it was padded."""
    own, pads = torch.ones_like(x), _unpadded(x.grad_fn)[1]
    for pad in pads:
        own = F.pad(own, [-n for n in pad])
    for pad in reversed(pads):
        own = F.pad(own, pad)
    return own


def _unpadded(node: Any) -> tuple[Any, list[list[int]]]:
    """Return what was padded, and the paddings, the last first."""
    pads = []
    while type(node).__name__ == "ConstantPadNdBackward0":
        pads.append([n if n < 2**63 else n - 2**64 for n in node._saved_pad])
        node = node.next_functions[0][0]
    return node, pads


def _merged(model: nn.Module) -> nn.Module:
    """Return a copy with each batch normalisation merged into the convolution before it."""
    copied, last = copy.deepcopy(model), None
    for name, module in list(copied.named_modules()):
        if isinstance(module, CONVOLUTIONS):
            last = module
        if isinstance(module, BATCH_NORMS) and last is not None:
            of: Any = module
            last.weight, last.bias = fuse_conv_bn_weights(
                last.weight, last.bias, of.running_mean, of.running_var, of.eps, of.weight, of.bias,
                transpose=isinstance(last, nn.ConvTranspose2d),
            )  # fmt: skip
            copied.set_submodule(name, nn.Identity())
    return copied


def _compared(
    trial: Trial,
    *,
    constant_attention: bool,
    maps: Tensors | None = None,
    convolve: Callable[..., Tensor] | None = None,
) -> float:
    values, maps = trial.values, trial.maps if maps is None else maps
    # GPT-2's activation is written out in the model
    activations = [m for m in trial.case.model.modules() if type(m).__name__ == "NewGELUActivation"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(borrowed(trial.case.model))  # a product with a parameter is none of two values
        stack.enter_context(unrolled(trial.case.model, torch.detach))
        for module in activations:
            stack.callback(module.register_forward_hook(_activation).remove)
        stack.enter_context(_Linearised(constant_attention, convolve))
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
    def __init__(self, constant_attention: bool, convolve: Callable[..., Tensor] | None) -> None:
        super().__init__()
        self.constant_attention = constant_attention
        self.convolve = convolve

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        carrying = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        if func is F.softmax:
            weights = func(*args, **kwargs)
            return weights.detach() if self.constant_attention else weights
        if self.convolve is not None and name in ("conv1d", "conv2d", "conv_transpose2d"):
            return self.convolve(func, *args, **kwargs)
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
