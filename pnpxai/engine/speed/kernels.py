"""Kernels of convolutions made ready once for many passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from pnpxai.engine.speed.folding import Folded, Normalisation, expected_pairs, same
from pnpxai.engine.speed.layout import is_picture

__all__ = ["KeptKernels"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_OF_KIND = {Tensor.dim, Tensor.size, Tensor.__len__, torch._assert} | {
    getattr(Tensor, name).__get__ for name in ("ndim", "shape", "dtype", "device")
}
"""Asked of a tensor before it is normalised; the answers are the same with folding and without."""
_DATA = {getattr(vars(Tensor.__base__)["data"], access) for access in ("__get__", "__set__")}
"""Give access to a tensor's numbers so that edits are not counted."""


class KeptKernels(TorchFunctionMode):
    """While active, and without gradients, a model's kernels that meet pictures are made ready once for many passes.

    A kernel is laid out in memory as its input is, and batch normalisation with fixed statistics that seems to follow
    its convolution is folded in. Whoever else uses the output of such a convolution finds it as it is without: it is
    then computed again, and the kernel folded no more. The first pass does as all others, so that equal rows have equal
    results.

    That pass is watched for what no function shows, such as scripted code; where there is any, nothing is folded.
    Parameters whose ``data`` is asked for, and all under functional transforms, autocast, inference mode or modes of
    others are left alone. The model is not touched, and what was made is forgotten with this object.

    Args:
        model: what will run.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        follow = {id(conv.weight): norm for conv, norm in expected_pairs(model)}
        kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
        self._kept = {id(kernel): _Kept(kernel, follow.get(id(kernel))) for kernel in kernels}
        self._folded: Folded | None = None  # the convolution that ran last, also when it was normalised last
        self._edited: list[Tensor] = []  # perhaps, unseen
        self._to_watch = bool(follow)

    def around(self, run: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """Return the function that runs this one with kept kernels, on every call with the same ones.

        Where modes of others are active, they see all as it is without.
        """

        def inside(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
                return run(*args, **kwargs)
            if not self._to_watch:
                with self:
                    return run(*args, **kwargs)
            self._to_watch = False
            with _Watch(self), self:
                return run(*args, **kwargs)

        return inside

    def __exit__(self, *problem: Any) -> None:
        """End, with what is left of folded convolutions as it is without."""
        super().__exit__(*problem)
        self._settle()

    def fold_no_more(self) -> None:
        """Leave every convolution as it is from now on."""
        self._settle()
        for kept in self._kept.values():
            kept.norm = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function; convolutions and what normalises them as said above."""
        kwargs = kwargs or {}
        if self._folded is not None and func not in _OF_KIND:
            if func is F.batch_norm:
                found = self._folded.normalised(args[0], Normalisation.of(*args, **kwargs))
                if found is not None:
                    return found
            self._settle()
        if func is torch.conv2d and not kwargs:
            kept = self._kept.get(id(args[1]))
            if kept is not None and self._can_keep(args[0], kept.kernel):
                return self._convolved(kept, *args)
        elif func in _DATA:
            self._edited.append(args[0])
        return func(*args, **kwargs)

    def _convolved(self, kept: _Kept, x: Tensor, kernel: Tensor, bias: Tensor | None = None, *how: Any) -> Tensor:
        by = Normalisation.of_module(kept.norm) if kept.norm is not None else None
        if by is not None and not all(self._is_counted(part) for part in (bias, *by) if isinstance(part, Tensor)):
            by = None
        ready = kept.ready(x, bias, by)
        if ready is None or by is None:
            return torch.conv2d(x, kernel if ready is None else ready.kernel, bias, *how)
        folded = Folded((x, kernel, bias, *how), by, torch.conv2d(x, ready.kernel, ready.bias, *how))
        seen = folded.stand_in()
        self._folded = folded
        return seen

    def _settle(self) -> None:
        """Leave nothing behind that another function could find other than without folding."""
        folded, self._folded = self._folded, None
        if folded is not None and folded.settle():
            self._kept[id(folded.given[1])].norm = None

    def _can_keep(self, x: Any, kernel: Tensor) -> bool:
        if type(x) is not Tensor or not is_picture(x) or x.is_inference() or torch.is_inference_mode_enabled():
            return False
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active() or torch.is_autocast_enabled("cpu"):
            return False
        return self._is_counted(kernel) and forward_ad.unpack_dual(x).tangent is None

    def _is_counted(self, tensor: Tensor) -> bool:
        """Tell whether edits of a tensor are counted."""
        return not tensor.is_inference() and all(tensor is not other for other in self._edited)


class _Kept:
    """A kernel of a model, the normalisation that seems to follow it, and what was made of it last."""

    def __init__(self, kernel: Tensor, norm: nn.BatchNorm2d | None) -> None:
        self.kernel, self.norm = kernel, norm
        self._made: _Made | None = None

    def ready(self, x: Tensor, bias: Tensor | None, by: Normalisation | None) -> _Made | None:
        """Return the kernel and bias that an input should meet, None for those of the model."""
        side_by_side = _is_side_by_side(x)
        if by is None and (not side_by_side or self.kernel.is_contiguous(memory_format=torch.channels_last)):
            return None
        side_by_side = side_by_side or _is_side_by_side(self.kernel)  # either makes the output so
        layout = torch.channels_last if side_by_side else torch.contiguous_format
        of = (self.kernel,) if by is None else (self.kernel, bias, *by)
        state = (layout, *[(part.data_ptr(), part._version) for part in of if isinstance(part, Tensor)])
        made = self._made
        if made is None or made.state != state or len(made.of) != len(of) or not same(made.of, of):
            with torch.no_grad():
                if by is None:
                    parts = self.kernel.contiguous(memory_format=layout), bias
                else:
                    parts = by.folded(self.kernel, bias, layout)
            if parts is None:
                self.norm = None
                return None
            made = self._made = _Made(of, state, *parts)
        return made


class _Made(NamedTuple):
    """A kernel and bias made ready, of which tensors and states of them."""

    of: tuple[Any, ...]
    state: tuple[Any, ...]
    kernel: Tensor
    bias: Tensor | None


class _Watch(TorchDispatchMode):
    """Sees operations that no function shows, and ends folding before they run."""

    def __init__(self, kernels: KeptKernels) -> None:
        super().__init__()
        self._kernels = kernels

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(
            torch._C._get_function_stack_at(k) is self._kernels for k in range(torch._C._len_torch_function_stack())
        ):
            with torch._C.DisableTorchFunction():
                self._kernels.fold_no_more()
        return func(*args, **(kwargs or {}))


def _is_side_by_side(tensor: Tensor) -> bool:
    """Tell whether convolutions take a tensor's channels to lie side by side, by its strides where there is one."""
    (_, channels, height, width), (rows, step, down, right) = tensor.shape, tensor.stride()
    nested = 0 < step * channels <= right and right * width <= down and down * height <= rows
    return nested and down * height != step and tensor.numel() > 0
