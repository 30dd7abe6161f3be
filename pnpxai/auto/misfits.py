"""Says in which form a model takes its input, where it failed on another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import module_of
from pnpxai.model_types import Model
from pnpxai.tensors import Tensors

__all__ = ["misfit"]

_POSITIONS = {nn.Conv1d: ("length",), nn.Conv2d: ("height", "width"), nn.Conv3d: ("depth", "height", "width")}


def misfit(model: Model, inputs: Tensors) -> str:
    """Return how inputs differ from what a model's first layer takes, and how to mend them; "" if they do not.

    The layer that is declared first need not be the one that runs first: ask only after the model has failed.

    Args:
        model: the model.
        inputs: its explained arguments.
    """
    module = module_of(model)
    if module is None or len(inputs) != 1:
        return ""
    (x,) = inputs
    first = next((m for m in module.modules() if any(True for _ in m.parameters(recurse=False))), None)
    kinds = next((names for kind, names in _POSITIONS.items() if isinstance(first, kind)), ())
    if isinstance(first, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        form = f"(examples, {first.in_channels} channels, {', '.join(kinds)})"
        if words := _of_convolution(x, first.in_channels, len(kinds)):
            return f"data: expected {form}, got {tuple(x.shape)}; {words}"
    elif isinstance(first, nn.Linear):
        if x.ndim == 1 and x.numel() == first.in_features:
            return (
                f"data: expected (examples, {first.in_features} numbers), got {tuple(x.shape)}; one example is a batch "
                "of one: data[None]"
            )
        if x.ndim == 2 and x.shape[1] != first.in_features:
            return f"data: expected rows of {first.in_features} numbers, got {tuple(x.shape)}"
    elif isinstance(first, nn.RNNBase) and x.ndim == 2 and first.input_size in x.shape:
        return (
            f"data: expected (examples, time, {first.input_size} channels), got {tuple(x.shape)}; one series is a "
            "batch of one: data[None]"
        )
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), x.dtype)
    if x.dtype != dtype and (x.is_floating_point() or isinstance(first, (*_POSITIONS, nn.Linear, nn.RNNBase))):
        scale = " / 255" if x.dtype == torch.uint8 else ""
        return f"data: expected numbers of {dtype}, as the model has them, got {x.dtype}; give data.to({dtype}){scale}"
    return ""


def _of_convolution(x: Tensor, channels: int, positions: int) -> str:
    if x.ndim == positions + 1:
        return "one example is a batch of one: data[None]"
    if x.ndim != positions + 2 or x.shape[1] == channels:
        return ""
    if x.shape[-1] == channels:
        return "its channels stand last: data.movedim(-1, 1)"
    return f"its second axis has {x.shape[1]} channels"
