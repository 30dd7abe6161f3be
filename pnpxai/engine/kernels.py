"""Kernels of convolutions made ready once for many passes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from pnpxai.engine.layout import is_picture

__all__ = ["KeptKernels"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_OF_KIND = {Tensor.dim, Tensor.size, Tensor.__len__} | {
    getattr(Tensor, name).__get__ for name in ("ndim", "shape", "dtype", "device")
}
"""Asked of a tensor before it is normalised; the answers are the same with folding and without."""


class KeptKernels(TorchFunctionMode):
    """While active, the kernels that meet pictures are made ready once, not at every pass.

    A kernel is laid out in memory as its input is. Where one pass shows that batch normalisation with fixed statistics
    follows a convolution, the next ones fold it into the kernel, so that it has nothing left to do. Whoever else uses
    the output of a convolution that was folded finds it as it is without: it is then computed again, and the kernel
    folded no more.

    The model is not touched, and what was made is forgotten with this object. For passes that are differentiated with
    respect to their inputs or not at all: kernels get no gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready: dict[int, _Ready] = {}
        self._followed: dict[int, _Normalisation | None] = {}  # by kernel; None: by something else
        self._plain: _Plain | None = None  # the convolution that ran last, or
        self._folded: _Folded | None = None  # the folded one, also when it was normalised last

    def around(self, run: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """Return the function that runs this one with kept kernels, on every call with the same ones."""

        def inside(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            with self:
                return run(*args, **kwargs)

        return inside

    def __exit__(self, *problem: Any) -> None:
        """End, with what is left of folded convolutions as it is without."""
        super().__exit__(*problem)
        self._settle()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function; convolutions and what normalises them as said above."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            found = self._normalised(args[0], _Normalisation.of(*args, **kwargs))
            if found is not None:
                return found
        if func not in _OF_KIND:
            self._settle()
        if func is torch.conv2d and not kwargs and _can_be_kept(*args[:2]):
            return self._convolved(*args)
        return func(*args, **kwargs)

    def _convolved(self, x: Tensor, kernel: nn.Parameter, bias: Tensor | None = None, *how: Any) -> Tensor:
        by = self._followed.get(id(kernel))
        result = torch.conv2d(x, *self._of(x, kernel, bias, by), *how)
        if by is not None:
            seen = _moved(torch.empty(0), result)  # nothing but Python holds it, so its end tells that no one can
            self._folded = _Folded((x, kernel, bias, *how), weakref.ref(seen), result)
            return seen
        if id(kernel) not in self._followed:
            self._plain = _Plain(kernel, result)
        return result

    def _normalised(self, x: Tensor, by: _Normalisation | None) -> Tensor | None:
        """Return what batch normalisation of the last convolution gives, if that is known; else note what is asked."""
        plain, folded = self._plain, self._folded
        if plain is not None and plain.output is x:
            self._followed[id(plain.kernel)], self._plain = by, None
        if folded is None or folded.seen() is not x or not _same(by, self._followed[id(folded.given[1])]):
            return None
        result, folded.result = folded.result, None
        return result

    def _settle(self) -> None:
        """Leave nothing behind that another function could find other than without folding."""
        plain, folded = self._plain, self._folded
        self._plain = self._folded = None
        if plain is not None:
            self._followed[id(plain.kernel)] = None
        if folded is not None and ((seen := folded.seen()) is not None or folded.result is not None):
            self._followed[id(folded.given[1])] = None
            if seen is not None:
                _moved(seen, torch.empty_like(seen)).copy_(torch.conv2d(*folded.given))

    def _of(self, x: Tensor, kernel: Tensor, bias: Tensor | None, by: _Normalisation | None) -> tuple[Any, Any]:
        """Return the kernel and bias that an input should meet."""
        side_by_side = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if side_by_side else torch.contiguous_format
        if by is None and kernel.is_contiguous(memory_format=layout):
            return kernel, bias
        of = (kernel, bias, *(by or ()))
        state = (layout, *(part._version if isinstance(part, Tensor) else part for part in of))
        ready = self._ready.get(id(kernel))
        if ready is None or ready.state != state or not _same(ready.of, of):
            with torch.no_grad():
                if by is None:
                    made = kernel.contiguous(memory_format=layout), bias
                else:
                    made = by.folded(kernel, bias, layout)
            ready = self._ready[id(kernel)] = _Ready(of, state, *made)
        return ready.kernel, ready.bias


class _Normalisation(NamedTuple):
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
    ) -> _Normalisation | None:
        """Read the arguments of ``batch_norm``; None if the statistics are those of the batch."""
        if training or mean is None or var is None or any(_made_for_inference(t) for t in (mean, var, weight, bias)):
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


@dataclass(frozen=True)
class _Ready:
    """A kernel and bias made ready, of which tensors and versions of them."""

    of: tuple[Any, ...]
    state: tuple[Any, ...]
    kernel: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class _Plain:
    """A convolution as it is, of which is still to be seen what follows."""

    kernel: nn.Parameter
    output: Tensor


@dataclass
class _Folded:
    """A folded convolution: what it was given, what the model sees of it, and the result until it is asked for."""

    given: tuple[Any, ...]
    seen: weakref.ref[Tensor]
    result: Tensor | None


def _same(some: tuple[Any, ...] | None, others: tuple[Any, ...] | None) -> bool:
    """Tell whether tuples hold the very same tensors, and equal numbers."""
    if some is None or others is None or len(some) != len(others):
        return False
    return all(a is b or (not isinstance(a, Tensor) and a == b) for a, b in zip(some, others, strict=True))


def _moved(tensor: Tensor, to: Tensor) -> Tensor:
    """Let a tensor lie where another does."""
    return tensor.set_(to.untyped_storage(), to.storage_offset(), to.shape, to.stride())


def _made_for_inference(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.is_inference()  # such tensors do not count their versions


def _can_be_kept(x: Tensor, kernel: Tensor) -> bool:
    return (
        isinstance(kernel, nn.Parameter)  # others may be made anew for every pass
        and type(x) is Tensor
        and is_picture(x)
        and not (x.is_inference() or kernel.is_inference() or torch.is_autocast_enabled("cpu"))
        and (
            x.requires_grad or not torch.is_grad_enabled()
        )  # where only kernels are differentiated, they are asked for
    )
