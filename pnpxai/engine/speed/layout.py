"""Pictures laid out in memory as convolutions like them best."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from pnpxai.engine.running.guard import module_of
from pnpxai.tensors import Tensors

__all__ = ["in_fast_layout", "is_picture"]

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
    pictures = [x for x in rows if is_picture(x)]
    if module is None or module in _PLAIN or not pictures:
        return run(rows)
    kernels = [m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d)]
    small = any(x.shape[2] * x.shape[3] < _LARGE_PICTURE for x in pictures)
    if not kernels or (small and max(kernels) > _LARGE_KERNEL):
        return run(rows)
    try:
        return run(tuple(_side_by_side(x) if is_picture(x) else x for x in rows))
    except RuntimeError as problem:
        if "view size is not compatible" not in str(problem):
            raise
        _PLAIN.add(module)
    return run(rows)


def is_picture(x: torch.Tensor) -> bool:
    """Tell whether the layout of a tensor is ours to choose."""
    return x.ndim == 4 and x.device.type == "cpu" and x.dtype == torch.float32


def _side_by_side(x: torch.Tensor) -> torch.Tensor:
    laid = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return laid
    # one channel lies the same way in both layouts: only the strides tell layers which is meant
    height, width = x.shape[2:]
    return laid.as_strided(x.shape, (height * width, 1, width, 1))
