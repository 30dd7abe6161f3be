"""Lays pictures out in memory as convolutions compute fastest, where that changes no value."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.probes import probing
from pnpxai.engine.running.score import Score
from pnpxai.engine.seeing.torch_private import without_function_modes
from pnpxai.tensors import Tensors, alike

__all__ = ["in_fast_layout"]

_Result = TypeVar("_Result")
_VERDICTS: weakref.WeakKeyDictionary[nn.Module, dict[Hashable, bool]] = weakref.WeakKeyDictionary()
"""For each model, by the shapes of its inputs: True if the layout is faster and changes no number."""
_LARGE_PICTURE, _LARGE_KERNEL = 160 * 160, 2**20  # positions and weights, where the one begins to outweigh the other


def in_fast_layout(score: Score, run: Callable[[Tensors], _Result], rows: Tensors) -> _Result:
    """Return ``run(rows)`` of a function that runs the score, with pictures channels-last in memory if that is faster.

    On a CPU convolutions are faster so, with and without gradients, pooling even more; but not where large kernels
    meet small pictures, of which little is left in the last layers. Sums come in another order, which changes the last
    digits, so only single precision is laid out so. A model that reads its picture by strides would read other numbers:
    the first time, one row is run in both layouts and compared. The rows may come back in that layout.
    """
    if not any(_is_picture(x) for x in rows):
        return run(rows)
    module = module_of(getattr(score.forward, "forward", score.forward))
    if module is None:
        return run(rows)
    verdicts = _VERDICTS.setdefault(module, {})
    key = (type(score.forward), tuple(tuple(x.shape[1:]) for x in rows))
    if key not in verdicts:
        verdicts[key] = _is_faster(module, rows) and _changes_nothing(score, rows)
    return run(_laid_out(rows)) if verdicts[key] else run(rows)


def _is_faster(module: nn.Module, rows: Tensors) -> bool:
    kernels = [m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d)]
    small = any(_is_picture(x) and x.shape[2] * x.shape[3] < _LARGE_PICTURE for x in rows)
    return bool(kernels) and not (small and max(kernels) > _LARGE_KERNEL)


def _changes_nothing(score: Score, rows: Tensors) -> bool:
    first = torch.tensor([0])
    one, row = score.take(first), tuple(x[:1] for x in rows)
    with torch.no_grad(), without_function_modes(), probing():
        try:
            plain = one(row)
        except Exception:  # noqa: BLE001  (it may take whole batches only; if it takes none, the real run says so)
            one, row = score, rows
            try:
                plain = one(row)
            except Exception:  # noqa: BLE001
                return False
        try:
            return alike(plain, one(_laid_out(row)))
        except Exception:  # noqa: BLE001  (such as a view that this layout does not have)
            return False


def _laid_out(rows: Tensors) -> Tensors:
    return tuple(_side_by_side(x) if _is_picture(x) else x for x in rows)


def _is_picture(x: Tensor) -> bool:
    """Return True if the layout of a tensor may be changed."""
    return x.ndim == 4 and x.device.type == "cpu" and x.dtype == torch.float32


def _side_by_side(x: Tensor) -> Tensor:
    laid = x.contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return laid
    # one channel lies the same way in both layouts: only the strides tell layers which is meant
    height, width = x.shape[2:]
    return laid.as_strided(x.shape, (height * width, 1, width, 1))
