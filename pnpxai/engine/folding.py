"""Batch normalisation folded into the convolution before it, and what stands in for the convolution's output."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["Folded", "Normalisation", "circumstances", "is_fixed", "same"]


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
        x: Tensor,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Normalisation | None:
        """Read the arguments of ``batch_norm``; None if its numbers are not fixed, such as those of the batch."""
        if training or mean is None or var is None or not all(map(is_fixed, (mean, var, weight, bias))):
            return None
        return cls(mean, var, weight, bias, eps)

    def folded(self, kernel: Tensor, bias: Tensor | None, layout: torch.memory_format) -> tuple[Tensor, Tensor]:
        """Return a kernel, laid out, and a bias of which the convolution comes normalised."""
        mean, var = self.mean.double(), self.var.double()
        scale = (var + self.eps).rsqrt() * (1 if self.weight is None else self.weight.double())
        moved = ((0 if bias is None else bias.double()) - mean) * scale
        moved = moved if self.bias is None else moved + self.bias.double()
        made = kernel.detach().clone(memory_format=layout).mul_(scale.float().reshape(-1, 1, 1, 1))
        return made, moved.float()


class Folded:
    """A folded convolution, from when it ran until the next function is called.

    Attributes:
        given: what the convolution was given: input, kernel, bias and further arguments.
        by: what is folded in.
    """

    def __init__(self, given: tuple[Any, ...], by: Normalisation, result: Tensor) -> None:
        self.given, self.by = given, by
        self._result: Tensor | None = result
        self._circumstances = circumstances()
        self._seen: weakref.ref[Tensor] | None = None

    def stand_in(self, *, marked: bool = False) -> Tensor:
        """Return what the model is to see: it has shape, layout and derivatives of the convolution, but no numbers.

        Args:
            marked: fill it with NaN, so that it is noticed should its numbers be looked at nevertheless.
        """
        assert self._result is not None  # noqa: S101
        place = torch.full_like(self._result, torch.nan) if marked else self._result
        seen: Tensor = _Convolution.apply(self.given[0], self.given, [place])
        self._seen = weakref.ref(seen)  # nothing but the model holds it, so its end tells that no one can look
        return seen

    def normalised(self, x: Tensor, by: Normalisation | None) -> Tensor | None:
        """Return, once, what normalisation of ``x`` gives, if ``x`` is the stand-in and all is as it was expected."""
        expected = self._seen is not None and self._seen() is x and self._circumstances == circumstances()
        if not expected or by is None or not same(by, self.by):
            return None
        result, self._result = self._result, None
        return result

    def settle(self) -> bool:
        """Give the stand-in its numbers if someone could look at them; tell whether folding was of no use."""
        seen = self._seen() if self._seen is not None else None
        if seen is not None:
            with torch.no_grad(), _disable_current_modes():
                seen.data = torch.conv2d(*self.given)
        return seen is not None or self._result is not None


class _Convolution(torch.autograd.Function):
    """A convolution whose numbers come later; until then its memory is that of another tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, given: tuple[Any, ...], place: list[Tensor]) -> Tensor:  # type: ignore[override]
        ctx.given = x.detach(), *given[1:]
        return place[0].data  # the same memory, but edits are counted apart

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x = ctx.given[0].detach().requires_grad_()
        with torch.enable_grad():
            output = torch.conv2d(x, *ctx.given[1:])
        # a convolution is linear: of its gradient only the part by ``gradients`` can be differentiated again
        (gradient,) = torch.autograd.grad(output, x, gradients, create_graph=torch.is_grad_enabled())
        return gradient, None, None


def circumstances() -> tuple[Any, ...]:
    """Return what changes how a function runs, or who sees that it does."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch._C._autograd._top_saved_tensors_default_hooks(True),  # type: ignore[attr-defined]  (of checkpoints)
        torch._C._len_torch_dispatch_stack(),
    )


def is_fixed(tensor: Tensor | None) -> bool:
    """Tell whether a tensor is a plain one that counts its edits, and is not differentiated now."""
    if tensor is None:
        return True
    differentiated = tensor.requires_grad and torch.is_grad_enabled()
    return type(tensor) in (Tensor, nn.Parameter) and not tensor.is_inference() and not differentiated


def same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Tell whether tuples hold the very same tensors, and equal numbers."""
    return all(a is b or (not isinstance(a, Tensor) and a == b) for a, b in zip(some, others, strict=True))
