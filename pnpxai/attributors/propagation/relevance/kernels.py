"""Linear layers and convolutions as operations: an input, weights, a bias, however a model calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.engine.seeing.operations import Operation, operation_name
from pnpxai.model_types import Keywords, Positional

__all__ = ["Kernel", "keep_places", "kernel_of", "own_places_of"]


@dataclass(frozen=True)
class Kernel:
    """A linear layer or a convolution, applied to what carries relevance.

    Attributes:
        name: the operation.
        x: what it is applied to.
        weight: its weights.
        bias: its bias, if any.
        call: the operation as a function of these three.
    """

    name: str
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    call: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution (a transposed one too)."""
        return self.name.startswith("conv")

    @property
    def slope(self) -> Tensor | None:
        """The weights of a linear layer, (outputs, inputs); None for others."""
        if self.is_convolution or self.weight.ndim != 2 or self.weight.layout != torch.strided:
            return None
        return self.weight if self.name == "linear" else self.weight.T

    @property
    def own_places(self) -> Tensor | None:
        """Where its input is no constant, such as padding, (rows, ...) bool; None where no constants are known."""
        return _metadata(self.x).get(_PLACES)

    def free(self) -> Kernel:
        """Return it without the numbers that it is applied to, whose memory it would hold."""
        return replace(self, x=self.x.new_empty(0))

    def __call__(self, x: Tensor) -> Tensor:
        """Return what it gives for ``x``."""
        return self.call(x, self.weight, self.bias)

    def of_zeros(self, bias: Tensor | None = None) -> Tensor:
        """Return what it gives for zeros: its bias (or another one), in a shape that spreads over its output."""
        bias = self.bias if bias is None else bias
        if bias is None:
            return self.weight.new_zeros(())
        return bias.reshape(-1, *[1] * (self.weight.ndim - 2)) if self.is_convolution else bias

    def module(self) -> nn.Module:
        """Return it as a module with the parameters ``weight`` and ``bias``, as zennit's rules want it."""
        return _Called(self)

    def scaled(self, scale: Tensor, shift: Tensor, axes: int) -> Kernel | None:
        """Return it with its channels scaled and shifted afterwards; None if its channels are not at axis 1.

        Args:
            scale: (channels,).
            shift: (channels,).
            axes: how many axes its output has.
        """
        transposed = self.name.startswith("conv_transpose")
        if not self.is_convolution and axes != 2:
            return None
        axis = 0 if self.name == "linear" or (self.is_convolution and not transposed) else 1
        if self.weight.shape[axis] != scale.numel():  # groups of a transposed convolution
            return None
        shape = [1] * self.weight.ndim
        shape[axis] = -1
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=self.weight * scale.reshape(shape), bias=bias)


class _Called(nn.Module):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.weight = nn.Parameter(kernel.weight.detach(), requires_grad=False)
        self.bias = None if kernel.bias is None else nn.Parameter(kernel.bias.detach(), requires_grad=False)
        self._kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        return self._kernel.call(x, self.weight, self.bias)

    def of_zeros(self) -> Tensor:
        return self._kernel.of_zeros(self.bias)


def own_places_of(value: Tensor) -> Tensor:
    """Return 1 at the places of a value that carry relevance, and 0 at those of constants that were put into it."""
    if not value.requires_grad:
        return torch.zeros_like(value)
    kept = _metadata(value).get(_PLACES)
    return torch.ones_like(value) if kept is None else kept.to(value)


def keep_places(value: Tensor, own_places: Tensor) -> None:
    """Remember those places, (rows, ...) bool, in a value's graph."""
    _metadata(value)[_PLACES] = own_places


def _metadata(value: Tensor) -> dict[str, Tensor]:
    """Return what is remembered in a value's graph; an attribute of its node would not always last."""
    node: Any = value.grad_fn
    return {} if node is None else node.metadata


_PLACES = "own places"


def kernel_of(function: Operation, args: Positional, kwargs: Keywords, operand: Tensor) -> Kernel | None:
    """Return a call as a kernel on ``operand``, None if it is none: no layer, or the operand is its weight."""
    name = operation_name(function)
    if name in _LAYERS:
        names = ("input", "weight", "bias")
        given = dict(zip(names, args, strict=False)) | kwargs
        more = {n: v for n, v in given.items() if n not in names}
        rest = args[3:]
        parts = given.get("input"), given.get("weight"), given.get("bias")

        def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return function(x, w, b, *rest, **more)

    elif name == "addmm" and not kwargs and len(args) == 3:
        parts = args[1], args[2], args[0]

        def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return torch.matmul(x, w) if b is None else torch.addmm(b, x, w)

    elif name in ("matmul", "mm") and len(args) == 2 and not getattr(function, "__name__", "").startswith("__r"):
        parts = args[0], args[1], None

        def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return torch.matmul(x, w) if b is None else torch.matmul(x, w) + b

    else:
        return None
    x, weight, bias = parts
    if not isinstance(x, Tensor) or x is not operand or not isinstance(weight, Tensor) or weight.requires_grad:
        return None
    return Kernel(name, x, weight, bias, call) if name in _LAYERS or weight.ndim == 2 else None


_LAYERS = {"linear"} | {f"conv{kind}{axes}d" for kind in ("", "_transpose") for axes in (1, 2, 3)}
