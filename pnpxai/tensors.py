"""Handles tensors in structures: always a tuple inside the package, a bare tensor at its edge."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, overload

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError

if TYPE_CHECKING:
    from pnpxai.model_types import ModelInputs, ModelOutput, Positional

__all__ = [
    "Tensors",
    "alike",
    "as_tuple",
    "batch_size",
    "check_finite",
    "flat",
    "is_member_each",
    "like",
    "map_tensors",
    "own",
    "rows_of",
    "sum_rows",
    "take_rows",
]

S = TypeVar("S")
Tensors: TypeAlias = tuple[Tensor, ...]


def as_tuple(value: ModelInputs, name: str = "inputs") -> Tensors:
    """Return the tensors of ``value`` as a tuple.

    Raises:
        ArgumentError: the value is neither a tensor nor a non-empty tuple (or list) of tensors, or a tensor is sparse,
            quantized or nested, or has no numbers (on the meta device).
    """
    members: Positional = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for member in members:
        if not isinstance(member, Tensor):
            raise ArgumentError(
                f"{name}: expected a tensor or a tuple of tensors, got {type(member).__name__}"
                + ("; torch.from_numpy makes a tensor of it" if type(member).__module__ == "numpy" else "")
            )
        _check_form(name, member)
    if not members:
        raise ArgumentError(f"{name}: expected at least one tensor, got an empty {type(value).__name__}")
    return members


@overload
def like(original: Tensor, tensors: Sequence[Tensor]) -> Tensor: ...
@overload
def like(original: tuple[object, ...] | list[object], tensors: Sequence[Tensor]) -> Tensors: ...
@overload
def like(original: object, tensors: Sequence[Tensor]) -> Tensor | Tensors: ...
def like(original: object, tensors: Sequence[Tensor]) -> Tensor | Tensors:
    """Pack ``tensors`` in the form of ``original``: a tuple for a tuple, a bare tensor otherwise."""
    return tuple(tensors) if isinstance(original, (tuple, list)) else tensors[0]


def batch_size(tensors: Tensors, name: str = "inputs") -> int:
    """Return the number of examples that ``tensors`` share along their first dimension.

    Raises:
        ShapeError: a tensor has no batch dimension, the batch is empty, or the sizes differ.
    """
    for tensor in tensors:
        if tensor.ndim == 0:
            raise ShapeError(f"{name}: expected a batch dimension, got a tensor without dimensions")
    sizes = {tensor.shape[0] for tensor in tensors}
    if len(sizes) > 1:
        raise ShapeError(f"{name}: expected the same number of examples in each tensor, got {sorted(sizes)}")
    if sizes == {0}:
        raise ShapeError(f"{name}: expected at least one example, got an empty batch")
    return sizes.pop()


def own(tensor: Tensor) -> Tensor:
    """Return a detached copy with memory of its own (also of a tensor made under inference mode)."""
    return tensor.detach().clone()


_HALF = (torch.float16, torch.bfloat16)


def check_finite(name: str, tensors: Sequence[Tensor]) -> None:
    """Refuse NaN and infinity, and tensors that do not hold their numbers one by one.

    Raises:
        NonFiniteError: a number is NaN or infinite; the message says in which tensor, where and how often.
        ArgumentError: a tensor is sparse, quantized or nested, or has no numbers (on the meta device).
    """
    for k, tensor in enumerate(tensors):
        _check_form(name, tensor)
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        # a sum is much faster to check than all numbers, and finite only if they all are
        total = tensor.detach().sum(dtype=torch.float32 if tensor.dtype in _HALF else None)
        if not torch.isfinite(total) and not torch.isfinite(tensor).all():
            bad = ~torch.isfinite(tensor)
            where = f"{name}[{k}]" if len(tensors) > 1 else name
            first = bad.nonzero()[0].tolist()
            raise NonFiniteError(
                f"{where}: expected finite numbers, got {int(bad.sum())} NaN or infinite ones "
                f"(the first at index {first})"
            )


def _check_form(name: str, tensor: Tensor) -> None:
    if tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta:
        return
    if tensor.is_meta:
        raise ArgumentError(f"{name}: expected a tensor with numbers, got one on the meta device, which has none")
    if tensor.is_quantized:
        raise ArgumentError(f"{name}: expected plain numbers, got a quantized tensor; explain {name}.dequantize()")
    raise ArgumentError(
        f"{name}: expected a dense tensor, got one of {tensor.layout}; explain {name}.to_dense() (a function around "
        "the model may make it sparse again)"
    )


@overload
def map_tensors(function: Callable[[Tensor], Tensor], structure: S) -> S: ...
@overload
def map_tensors(function: Callable[[Tensor], object], structure: object) -> ModelOutput: ...
def map_tensors(function: Callable[[Tensor], object], structure: ModelOutput) -> object:
    """Apply ``function`` to every tensor of a nested structure and keep all else as it is.

    Tuples (named ones too), lists, mappings and dataclasses (such as the outputs of transformers) keep their type.
    """
    kind = type(structure)
    if kind in _PLAIN:
        return structure
    if isinstance(structure, Tensor):
        return function(structure)
    if kind is tuple or kind is list:
        return kind([map_tensors(function, member) for member in structure])
    if kind is dict:
        return {key: map_tensors(function, member) for key, member in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_tensors(function, member) for member in structure))
    if isinstance(structure, (tuple, list)):
        return type(structure)(map_tensors(function, member) for member in structure)
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        changed = {
            field.name: map_tensors(function, getattr(structure, field.name))
            for field in dataclasses.fields(structure)
            if field.init
        }
        return dataclasses.replace(structure, **changed)
    if isinstance(structure, Mapping):
        pairs = {key: map_tensors(function, member) for key, member in structure.items()}
        if not isinstance(structure, MutableMapping):
            return type(structure)(pairs)  # type: ignore[call-arg]
        changed_mapping = copy.copy(structure)
        changed_mapping.update(pairs)
        return changed_mapping
    return structure


_PLAIN = frozenset({type(None), bool, int, float, str, slice, torch.dtype, torch.device})
"""Types that hold no tensors and are met in most calls."""


def flat(structure: object) -> Tensors:
    """Return the tensors of a nested structure, in order."""
    if isinstance(structure, Tensor):
        return (structure,)
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    map_tensors(note, structure)
    return tuple(tensors)


def is_member_each(output: object) -> bool:
    """Return whether an output lists a mapping for each example, as detectors do."""
    return isinstance(output, (list, tuple)) and bool(output) and all(isinstance(one, Mapping) for one in output)


def take_rows(structure: S, rows: Tensor, size: int) -> S:
    """Pick examples ``rows`` from every tensor whose first dimension is ``size``; share all others among the rows.

    A list of ``size`` mappings, such as what a detector finds, has one member for each example.
    """
    identity = rows.numel() == size and bool((rows == torch.arange(size, device=rows.device)).all())
    if identity:
        return structure
    if isinstance(structure, list) and len(structure) == size and is_member_each(structure):
        return type(structure)(structure[k] for k in rows.tolist())
    return map_tensors(
        lambda t: t.index_select(0, rows.to(t.device)) if t.ndim > 0 and t.shape[0] == size else t, structure
    )


def rows_of(tensor: Tensor) -> Tensor:
    """Return a tensor (examples, ...) as (examples, numbers), also where each example has one number."""
    return tensor.reshape(len(tensor), -1)


def sum_rows(tensor: Tensor, size: int) -> Tensor:
    """Return (size,) sums of ``tensor`` for each example; its first dimension is a multiple of the examples.

    A tensor with another first dimension is summed as a whole, which is returned for each example.
    """
    return tensor.reshape(size, -1).sum(1) if tensor.ndim and tensor.shape[0] % size == 0 else tensor.sum().expand(size)


_ACCURACY = {torch.float64: 1e-9, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""Largest difference that rounding explains, as a share of the largest number; ``alike`` has that of float32."""


def alike(one: Tensor, other: Tensor) -> bool:
    """Return True if tensors are equal up to rounding, which depends on the number of rows and the memory layout."""
    if one.shape != other.shape or not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    accuracy = _ACCURACY.get(one.dtype, 1e-3 if one.device.type == "cpu" else 1e-2)
    scale = float(one.abs().nan_to_num(0, 0, 0).max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=accuracy * scale, equal_nan=True)
