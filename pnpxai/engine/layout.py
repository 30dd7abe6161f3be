"""Pictures laid out in memory as convolutions like them best."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pnpxai.engine.guard import module_of
from pnpxai.tensors import Tensors

__all__ = ["KeptKernels", "in_fast_layout"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_PLAIN: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Models that ask for a view which only the plain layout has."""
_LARGE_PICTURE, _LARGE_KERNEL = 160 * 160, 2**20  # positions and weights, where the one begins to outweigh the other


def in_fast_layout(model: Any, run: Callable[[Tensors], _Result], rows: Tensors) -> _Result:
    """Return ``run(rows)`` of a function that runs the model, the channels of pictures side by side if that is faster.

    On a CPU convolutions are faster so, with and without gradients, pooling even more; but not where large kernels
    meet small pictures, of which little is left in the last layers. Sums come in another order, which changes the last
    digits, so only single precision is laid out so. The rows may come back in that layout.
    """
    module = module_of(getattr(model, "forward", model))
    pictures = [x for x in rows if _is_picture(x)]
    if module is None or module in _PLAIN or not pictures:
        return run(rows)
    kernels = [m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d)]
    small = any(x.shape[2] * x.shape[3] < _LARGE_PICTURE for x in pictures)
    if not kernels or (small and max(kernels) > _LARGE_KERNEL):
        return run(rows)
    try:
        return run(tuple(_side_by_side(x) if _is_picture(x) else x for x in rows))
    except RuntimeError as problem:
        if "view size is not compatible" not in str(problem):
            raise
        _PLAIN.add(module)
    return run(rows)


class KeptKernels(TorchFunctionMode):
    """While active, kernels that meet pictures in the fast layout are laid out once, not at every pass.

    The copies are forgotten with this object. Kernels that are differentiated are left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, tuple[int, torch.Tensor, torch.Tensor]] = {}  # the kernel too, so that its id stays its

    def around(self, run: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """Return the function that runs this one with kept kernels, on every call with the same ones."""

        def inside(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
            with self:
                return run(*args, **kwargs)

        return inside

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function; of a convolution, with its kernel in the layout of its input."""
        if func is torch.conv2d and len(args) > 1 and self._laid_out(args[0], args[1]):
            args = (args[0], self._of(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _laid_out(x: torch.Tensor, kernel: torch.Tensor) -> bool:
        side_by_side = torch.channels_last
        return (
            isinstance(kernel, nn.Parameter)  # others may be made anew for every pass
            and not (kernel.is_inference() or (kernel.requires_grad and torch.is_grad_enabled()))
            and _is_picture(x)
            and x.is_contiguous(memory_format=side_by_side)
            and not kernel.is_contiguous(memory_format=side_by_side)
        )

    def _of(self, kernel: torch.Tensor) -> torch.Tensor:
        version, _, copy = self._kept.get(id(kernel), (-1, None, kernel))
        if version != kernel._version:
            copy = kernel.detach().contiguous(memory_format=torch.channels_last)
            self._kept[id(kernel)] = kernel._version, kernel, copy
        return copy


def _is_picture(x: torch.Tensor) -> bool:
    return x.ndim == 4 and x.device.type == "cpu" and x.dtype == torch.float32


def _side_by_side(x: torch.Tensor) -> torch.Tensor:
    laid = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return laid
    # one channel lies the same way in both layouts: only the strides tell layers which is meant
    height, width = x.shape[2:]
    return laid.as_strided(x.shape, (height * width, 1, width, 1))
