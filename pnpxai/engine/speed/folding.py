"""Batch normalisation folded into the convolution before it, and what stands in for the convolution's output."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["Folded", "Normalisation", "expected_pairs", "same"]


class Normalisation(NamedTuple):
    """Batch normalisation with fixed statistics."""

    mean: Tensor
    var: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float

    @classmethod
    def of(
        cls,
        x: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Normalisation | None:
        """Read the arguments of ``batch_norm``; None if its numbers are not fixed, such as those of the batch."""
        return None if training or mean is None or var is None else cls(mean, var, weight, bias, eps)

    @classmethod
    def of_module(cls, norm: nn.BatchNorm2d) -> Normalisation | None:
        """Read what a module would ask for."""
        held = norm._buffers | norm._parameters  # sooner found than as attributes, at every convolution
        names = ("running_mean", "running_var", "weight", "bias")
        return cls.of(None, *(held[name] for name in names), training=norm.training, eps=norm.eps)

    def folded(self, kernel: Tensor, bias: Tensor | None, layout: torch.memory_format) -> tuple[Tensor, Tensor] | None:
        """Return a kernel, laid out, and a bias of which the convolution comes normalised; None if they overflow."""
        mean, var = self.mean.double(), self.var.double()
        scale = (var + self.eps).rsqrt() * (1 if self.weight is None else self.weight.double())
        moved = ((0 if bias is None else bias.double()) - mean) * scale
        moved = (moved if self.bias is None else moved + self.bias.double()).float()
        if not (scale.float().isfinite() & moved.isfinite()).all():
            return None
        return kernel.detach().clone(memory_format=layout).mul_(scale.float().reshape(-1, 1, 1, 1)), moved


class Folded:
    """A folded convolution, from when it ran until the next function is called.

    Attributes:
        given: what the convolution was given: input, kernel, bias and further arguments.
    """

    def __init__(self, given: tuple[Any, ...], by: Normalisation, result: Tensor) -> None:
        self.given, self._by, self._result = given, by, result
        self._asked, self._modes = False, torch._C._len_torch_dispatch_stack()
        self._seen: weakref.ref[Tensor] | None = None

    def stand_in(self) -> Tensor:
        """Return what the model is to see: a tensor of the convolution's form, with numbers of no meaning."""
        seen = _lying_at(torch.empty(0), self._result)
        self._seen = weakref.ref(seen)  # nothing but the model holds it, so its end tells that no one can look
        return seen

    def normalised(self, x: Tensor, by: Normalisation | None) -> Tensor | None:
        """Return, once, what normalisation of ``x`` gives, if ``x`` is the stand-in and all is as it was expected."""
        is_it = self._seen is not None and self._seen() is x and not self._asked
        alike = not torch.is_grad_enabled() and torch._C._len_torch_dispatch_stack() == self._modes
        if not is_it or not alike or by is None or not same(by, self._by):
            return None
        self._asked = True
        return self._result

    def settle(self) -> bool:
        """Give the stand-in its numbers if someone could look at them; tell whether folding was of no use."""
        seen = self._seen() if self._seen is not None else None
        if seen is not None:
            with torch.no_grad(), _disable_current_modes():  # gradients may be asked for by now
                _lying_at(seen, torch.conv2d(*self.given))
        return seen is not None or not self._asked


def expected_pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Yield each convolution with the normalisation that seems to follow it: the next one that is registered."""
    last: nn.Conv2d | None = None
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            last = module
        elif isinstance(module, nn.BatchNorm2d) and last is not None:
            if module.num_features == last.out_channels:
                yield last, module
            last = None


def same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Tell whether tuples hold the very same tensors, and equal numbers."""
    return all(a is b or (not isinstance(a, Tensor) and a == b) for a, b in zip(some, others, strict=True))


def _lying_at(tensor: Tensor, other: Tensor) -> Tensor:
    """Let a tensor lie where another does; edits are counted apart."""
    return tensor.set_(other.untyped_storage(), other.storage_offset(), other.shape, other.stride())
