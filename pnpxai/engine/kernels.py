"""Kernels of convolutions made ready once for many passes."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from pnpxai.engine.folding import Folded, Normalisation, circumstances, is_fixed, same
from pnpxai.engine.layout import is_picture
from pnpxai.errors import NonFiniteError

__all__ = ["KeptKernels"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_OF_KIND = {Tensor.dim, Tensor.size, Tensor.__len__, torch._assert} | {
    getattr(Tensor, name).__get__ for name in ("ndim", "shape", "dtype", "device")
}
"""Asked of a tensor before it is normalised; the answers are the same with folding and without."""
_DATA = {getattr(Tensor.data, name) for name in ("__get__", "__set__")}
"""Give access to a tensor's numbers so that edits are not counted."""


class KeptKernels(TorchFunctionMode):
    """While active, the kernels that meet pictures are made ready once, not at every pass.

    A kernel is laid out in memory as its input is. Where one pass shows that batch normalisation with fixed statistics
    follows a convolution, the next ones fold it into the kernel, so that it has nothing left to do. Whoever else uses
    the output of a convolution that was folded finds it as it is without: it is then computed again, and the kernel
    folded no more.

    A pass that begins to fold is watched for what no function shows, such as scripted code or other threads; where
    there is any, nothing more is folded. Parameters that are differentiated or whose ``data`` is asked for, and all
    under checkpoints, functional transforms, autocast, inference mode or modes of others are left alone. The model is
    not touched, and what was made is forgotten with this object.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready: MutableMapping[Tensor, _Ready] = WeakIdKeyDictionary()  # by kernel, as those below
        self._shown: MutableMapping[Tensor, Normalisation] = WeakIdKeyDictionary()  # by this pass
        self._followed: MutableMapping[Tensor, Normalisation | None] = WeakIdKeyDictionary()  # None: do not fold
        self._plain: _Plain | None = None  # the convolution that ran last, or
        self._folded: Folded | None = None  # the folded one, also when it was normalised last
        self._uncounted: MutableMapping[Tensor, bool] = WeakIdKeyDictionary()  # tensors that may be edited unseen
        self._watches: list[_Watch | None] = []
        self._was_watched = False
        self._folds = True

    def around(self, run: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """Return the function that runs this one with kept kernels, on every call with the same ones.

        Where modes of others are active, they see all as it is without.
        """

        def inside(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
                return run(*args, **kwargs)
            try:
                with self:
                    return run(*args, **kwargs)
            except NonFiniteError:
                if not self._was_watched or not self._folds:
                    raise
                self._folds = False  # another thread, say, may have looked at what has no numbers yet
            with self:
                return run(*args, **kwargs)

        return inside

    def __enter__(self) -> KeptKernels:
        """Begin a pass, which folds what the ones before it have shown."""
        self._followed.update(self._shown)
        self._was_watched = bool(self._shown) and self._folds
        self._watches.append(_Watch(self).__enter__() if self._was_watched else None)
        self._shown.clear()
        return super().__enter__()

    def __exit__(self, *problem: Any) -> None:
        """End, with what is left of folded convolutions as it is without."""
        super().__exit__(*problem)
        try:
            self._settle()
        finally:
            watch = self._watches.pop()
            if watch is not None:
                watch.__exit__(*problem)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function; convolutions and what normalises them as said above."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            found = self._normalised(args[0], Normalisation.of(*args, **kwargs))
            if found is not None:
                return found
        if func not in _OF_KIND:
            self._settle()
        if func in _DATA:
            self._uncounted[args[0]] = True
        if func is torch.conv2d and not kwargs and self._keeps(*args[:3]):
            return self._convolved(*args)
        return func(*args, **kwargs)

    def _convolved(self, x: Tensor, kernel: nn.Parameter, bias: Tensor | None = None, *how: Any) -> Tensor:
        by = self._followed.get(kernel) if self._folds else None
        ready = self._of(x, kernel, bias, by)
        if by is not None and ready is not None:
            folded = Folded((x, kernel, bias, *how), by, torch.conv2d(x, ready.kernel, ready.bias, *how))
            seen = folded.stand_in(marked=self._was_watched)
            self._folded = folded
            return seen
        result = torch.conv2d(x, kernel if ready is None else ready.kernel, bias, *how)
        if kernel not in self._followed and kernel not in self._shown:
            self._plain = _Plain(kernel, result)
        return result

    def _normalised(self, x: Tensor, by: Normalisation | None) -> Tensor | None:
        """Return what batch normalisation of the last convolution gives, if that is known; else note what is asked."""
        if any(part in self._uncounted for part in by or () if isinstance(part, Tensor)):
            by = None
        if self._plain is not None and self._plain.output is x and by is not None:
            self._shown[self._plain.kernel], self._plain = by, None
        return None if self._folded is None else self._folded.normalised(x, by)

    def _settle(self) -> None:
        """Leave nothing behind that another function could find other than without folding."""
        plain, folded = self._plain, self._folded
        self._plain = self._folded = None
        if plain is not None:
            self._followed[plain.kernel] = None
        if folded is not None and folded.settle():
            self._followed[folded.given[1]] = None

    def _stop_folding(self) -> None:
        self._folds = False
        with torch._C.DisableTorchFunction():
            self._settle()

    def _of(self, x: Tensor, kernel: Tensor, bias: Tensor | None, by: Normalisation | None) -> _Ready | None:
        """Return the kernel and bias that an input should meet, None for those of the model."""
        side_by_side = _is_side_by_side(x)
        if by is None and (not side_by_side or kernel.is_contiguous(memory_format=torch.channels_last)):
            return None
        side_by_side = side_by_side or _is_side_by_side(kernel)  # either makes the output so
        layout = torch.channels_last if side_by_side else torch.contiguous_format
        of = () if by is None else (bias, *by)
        tensors = [kernel, *(part for part in of if isinstance(part, Tensor))]
        state = (layout, *((tensor.data_ptr(), tensor._version) for tensor in tensors))
        ready = self._ready.get(kernel)
        if ready is None or ready.state != state or len(ready.of) != len(of) or not same(ready.of, of):
            with torch.no_grad():
                if by is None:
                    made = kernel.contiguous(memory_format=layout), bias
                else:
                    made = by.folded(kernel, bias, layout)
            ready = self._ready[kernel] = _Ready(of, state, *made)
        return ready

    def _keeps(self, x: Any, kernel: Any, bias: Tensor | None = None) -> bool:
        if type(kernel) is not nn.Parameter or type(x) is not Tensor:  # others may be made anew for every pass
            return False
        if torch._C._are_functorch_transforms_active() or torch.is_autocast_enabled("cpu"):
            return False
        own = sum(watch is not None for watch in self._watches)
        if circumstances()[1:] != (False, None, own) or kernel in self._uncounted or bias in self._uncounted:
            return False
        plain = is_picture(x) and not x.is_inference() and forward_ad.unpack_dual(x).tangent is None
        return plain and is_fixed(kernel) and is_fixed(bias)


class _Watch(TorchDispatchMode):
    """Sees operations that no function shows, and ends folding."""

    def __init__(self, kernels: KeptKernels) -> None:
        super().__init__()
        self._kernels = kernels

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        modes = map(torch._C._get_function_stack_at, range(torch._C._len_torch_function_stack()))
        if any(mode is self._kernels for mode in modes):  # which is off while it runs a function that it saw
            self._kernels._stop_folding()
        return func(*args, **(kwargs or {}))


class _Ready(NamedTuple):
    """A kernel and bias made ready, of which tensors and states of them."""

    of: tuple[Any, ...]
    state: tuple[Any, ...]
    kernel: Tensor
    bias: Tensor | None


class _Plain(NamedTuple):
    """A convolution as it is, of which is still to be seen what follows."""

    kernel: nn.Parameter
    output: Tensor


def _is_side_by_side(tensor: Tensor) -> bool:
    """Tell whether convolutions take a tensor's channels to lie side by side, by its strides where there is one."""
    (_, channels, height, width), (rows, step, down, right) = tensor.shape, tensor.stride()
    nested = 0 < step * channels <= right and right * width <= down and down * height <= rows
    return nested and down * height != step and tensor.numel() > 0
