"""Says in which form a model takes its input, where it failed on another."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.probes import probing
from pnpxai.model_types import Model
from pnpxai.tensors import Tensors

__all__ = ["misfit"]

_POSITIONS = {nn.Conv1d: ("length",), nn.Conv2d: ("height", "width"), nn.Conv3d: ("depth", "height", "width")}

_LONGEST, _MOST_LENGTHS = 2048, 128  # of the lengths that are tried


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
    return _of_series(model, module, x)


def _of_convolution(x: Tensor, channels: int, positions: int) -> str:
    if x.ndim == positions + 1:
        return "one example is a batch of one: data[None]"
    if x.ndim != positions + 2 or x.shape[1] == channels:
        return ""
    if x.shape[-1] == channels:
        return "its channels stand last: data.movedim(-1, 1)"
    return f"its second axis has {x.shape[1]} channels"


def _of_series(model: Model, module: nn.Module, x: Tensor) -> str:
    """Return which shape of a series the model runs on: with its axes turned, or of a length that its parameters show.

    A learned position for each step, or layers that take all patches of a series, fix the length of a series.
    """
    if x.ndim not in (2, 3) or not x.is_floating_point():
        return ""
    shape = tuple(x.shape[-2:])

    def runs(form: tuple[int, ...]) -> bool:
        try:
            model(x.new_zeros(2, *form))
        except Exception:  # noqa: BLE001  whatever a model raises where it takes no such shape
            return False
        return True

    dims = sorted({n for p in module.parameters() for n in p.shape if n > 1})
    products = sorted({a * b for a, b in itertools.combinations_with_replacement(dims, 2)})
    lengths = [n for n in dict.fromkeys(dims + products) if n <= _LONGEST][:_MOST_LENGTHS]
    with borrowed(model, gradients=False), torch.no_grad(), probing():
        if x.ndim == 3 and runs(shape):
            return ""
        if x.ndim == 3 and runs(shape[::-1]):
            words, form = "its last two axes stand in the other order: data.movedim(-1, 1)", shape[::-1]
        else:
            forms = (form for n in sorted(lengths, reverse=True) for form in ((n, shape[1]), (shape[0], n)))
            form = next(filter(runs, forms), None)  # the longest: a single patch may fit by broadcasting
            words = "cut or fill each series; or, if time stands first, data.movedim(0, 1)"
            words = words if x.ndim == 3 else "one series is a batch of one: data[None]"
    if form is None:
        return ""
    return f"data: expected (examples, {form[0]}, {form[1]}), on which the model runs, got {tuple(x.shape)}; {words}"
