"""Reads the ``baselines`` argument: one baseline for each input, or rows with which all examples are compared."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import SupportsFloat, TypeAlias

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError, SignatureError
from pnpxai.model_types import ModelInputs
from pnpxai.tensors import Tensors, as_tuple, check_finite

__all__ = ["BaselineRows", "Baselines", "broadcast_baselines", "distribution_rows"]

Baselines: TypeAlias = None | int | float | Tensor | tuple[int | float | Tensor, ...]
"""Baselines with which inputs are compared: None (zero), a number, a tensor of the input's shape or with one row, or a
tuple of these, one for each input."""


BaselineRows: TypeAlias = Tensor | Tensors | Callable[..., Tensor | Tensors]
"""Rows (rows, ...) for each input, as many for each, or a function that returns them (of the inputs, if it takes an
argument)."""


def broadcast_baselines(baselines: Baselines, inputs: Tensors, name: str = "baselines") -> Tensors:
    """Return one baseline for each input, of the input's shape (expanded, not copied).

    Raises:
        ArgumentError: there are not as many baselines as inputs, or one is neither a number nor a tensor.
        ShapeError: a tensor does not fit its input.
        NonFiniteError: a value is NaN or infinite.
    """
    members = baselines if isinstance(baselines, (tuple, list)) else (baselines,) * (1 if len(inputs) == 1 else 0)
    if baselines is None or isinstance(baselines, (int, float)):
        members = (baselines,) * len(inputs)
    if len(members) != len(inputs):
        count = len(members) or "one tensor"
        raise ArgumentError(f"{name}: expected one for each of {len(inputs)} inputs, got {count}")
    return tuple(_one_baseline(value, tensor, name) for value, tensor in zip(members, inputs, strict=True))


def _one_baseline(value: object, tensor: Tensor, name: str) -> Tensor:
    if value is None:
        return torch.zeros_like(tensor)
    if isinstance(value, Tensor):
        _refuse_complex(name, value, tensor)
        value = value.detach().to(tensor.device, tensor.dtype)
        check_finite(name, (value,))
        if value.shape != tensor.shape and value.shape != (1, *tensor.shape[1:]) and value.ndim > 0:
            raise ShapeError(
                f"{name}: expected shape {tuple(tensor.shape)}, one row or a number, got {tuple(value.shape)}"
            )
        return value.expand(tensor.shape)
    if isinstance(value, SupportsFloat) and not getattr(value, "shape", ()):
        filled = torch.full_like(tensor, float(value))
        check_finite(name, (filled,))
        return filled
    raise ArgumentError(f"{name}: expected None, a number or a tensor, got {type(value).__name__}")


def _refuse_complex(name: str, value: Tensor, tensor: Tensor) -> None:
    if value.is_complex() and not tensor.is_complex():
        raise ArgumentError(f"{name}: expected real numbers, as the inputs are, got complex ones")


def distribution_rows(baselines: BaselineRows | None, original: ModelInputs, inputs: Tensors) -> Tensors:
    """Return the baseline rows with which each example is compared, the same number for each input.

    Args:
        baselines: tensors (rows, ...), or a function that returns them, of ``original`` if it takes an argument.
        original: the inputs as the user passed them.
        inputs: the inputs as a tuple.

    Raises:
        ArgumentError: there are not as many tensors as inputs, or not as many rows for each.
        ShapeError: rows do not fit their input.
        SignatureError: there are none.
    """
    if baselines is None:
        raise SignatureError(
            "baselines: expected rows to compare each example with, (rows, ...), or a function that gives them, got "
            "none; pass some examples, such as baselines=train_inputs[:20]"
        )
    if callable(baselines) and not isinstance(baselines, Tensor):
        baselines = baselines(original) if inspect.signature(baselines).parameters else baselines()
    rows = as_tuple(baselines, "baselines")
    if len(rows) != len(inputs):
        raise ArgumentError(f"baselines: expected one tensor for each of {len(inputs)} inputs, got {len(rows)}")
    check_finite("baselines", rows)
    for row, x in zip(rows, inputs, strict=True):
        _refuse_complex("baselines", row, x)
        if row.shape[1:] != x.shape[1:] or not len(row):
            raise ShapeError(f"baselines: expected rows of shape {tuple(x.shape[1:])}, got {tuple(row.shape)}")
    if len({len(row) for row in rows}) > 1:
        raise ArgumentError(f"baselines: expected as many rows for each input, got {[len(row) for row in rows]}")
    return tuple(row.detach().to(x.device, x.dtype) for row, x in zip(rows, inputs, strict=True))
