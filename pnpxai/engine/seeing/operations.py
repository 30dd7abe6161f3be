"""Sees and replaces torch operations while a model runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pnpxai.model_types import Keywords, ModelOutput, Positional
from pnpxai.tensors import map_tensors

__all__ = [
    "Operation",
    "Operations",
    "carries",
    "divides",
    "drops_values",
    "in_place",
    "operation_name",
    "out_of_place",
    "with_operands",
]

S = TypeVar("S")
Operation: TypeAlias = Callable[..., Any]
"""Function or tensor method of torch, whose arguments and result depend on which it is."""
Replace: TypeAlias = Callable[[Operation, Positional, Keywords], ModelOutput]


class Operations(TorchFunctionMode):
    """Within a ``with`` block, passes every torch function and tensor method to ``replace(function, args, kwargs)``.

    Inside ``replace`` the mode is off. What runs inside a scripted model is not seen, and attention and recurrent
    cells arrive as one operation each.
    """

    def __init__(self, replace: Replace) -> None:
        super().__init__()
        self._replace = replace

    def __torch_function__(
        self, func: Operation, types: Sequence[type], args: Positional = (), kwargs: Keywords | None = None
    ) -> ModelOutput:
        """Pass the call to ``replace``, with its operands where their places are."""
        return self._replace(func, *_by_position(func, args, kwargs or {}))


def _by_position(function: Operation, args: Positional, kwargs: Keywords) -> tuple[Positional, Keywords]:
    """Return a call whose first operands are positional, also if they were named ``input`` and ``other``."""
    for place, name in enumerate(("input", "other")):
        if len(args) == place and name in kwargs and operation_name(function) not in _LATER:
            args = (*args, kwargs[name])
            kwargs = {key: value for key, value in kwargs.items() if key != name}
    return args, kwargs


_LATER = frozenset({"where", "searchsorted", "polygamma", "special_polygamma"})
"""Functions in which something else stands before ``input``."""


def operation_name(function: Operation) -> str:
    """Return an operation's name without the marks of operators, reflection, in-place forms and overloads.

    ``__iadd__``, ``add_`` and an exported program's ``add.Tensor`` are all "add".
    """
    return _unmarked(_written(function))


@functools.cache  # of a few hundred names
def _unmarked(written: str) -> str:
    name = written.strip("_")
    for prefix in ("i", "r"):
        if name.startswith(prefix) and name[1:] in _OPERATORS:
            return name[1:]
    return name


def _written(function: Operation) -> str:
    """Return an operation's name in torch, without the overload that an exported program adds."""
    return getattr(function, "__name__", str(function)).split(".")[0]


_OPERATORS = {"add", "sub", "mul", "div", "truediv", "matmul"}


def in_place(function: Operation, kwargs: Keywords) -> bool:
    """Return whether a call changes its first operand."""
    name = _written(function)
    operator = name.startswith("__i") and name[3:-2] in _OPERATORS
    return operator or bool(kwargs.get("inplace")) or (name.endswith("_") and not name.endswith("__"))


def out_of_place(function: Operation, args: Positional, kwargs: Keywords) -> tuple[Operation, Positional, Keywords]:
    """Return a call with the result of an in-place call, on a copy of the first operand."""
    changed, before = args[0], args[0].clone()
    plain = {"inplace": False} if kwargs.get("inplace") else {}
    rest = tuple(before if member is changed else member for member in args)
    return function if plain else _outside(function), rest, kwargs | plain


def _outside(function: Operation) -> Operation:
    name = {"truediv": "div"}.get(operation_name(function), operation_name(function))
    if hasattr(torch, name):
        return getattr(torch, name)
    if hasattr(torch.nn.functional, name):
        return getattr(torch.nn.functional, name)

    def on_a_copy(changed: Tensor, *args: object, **kwargs: object) -> Tensor:
        return function(changed.clone(), *args, **kwargs)

    on_a_copy.__name__ = name
    return on_a_copy


def carries(tensor: Tensor) -> bool:
    """Tell whether a tensor carries what is passed back to the inputs; a parameter outside of the model does not."""
    return tensor.requires_grad and not isinstance(tensor, torch.nn.Parameter)


def with_operands(structure: S, chosen: Callable[[Tensor], bool]) -> tuple[list[Tensor], Callable[..., S]]:
    """Return the chosen tensors of a call's arguments, and a function that replaces them by others.

    The function holds none of the chosen tensors, so that their memory is free when they are no longer needed.
    """
    operands: list[Tensor] = []

    def take(tensor: Tensor) -> Tensor:
        if not chosen(tensor):
            return tensor
        operands.append(tensor)
        return _PLACE

    places = map_tensors(take, structure)

    def put(*others: Tensor) -> S:
        waiting = iter(others)
        return map_tensors(lambda t: next(waiting) if t is _PLACE else t, places)

    return operands, put


_PLACE = torch.empty(0)
"""Stands where a chosen tensor was."""


def drops_values(name: str, args: Positional, kwargs: Keywords) -> bool:
    """Tell whether a call is one of dropout that drops, and scales what it keeps."""
    if "dropout" not in name:
        return False
    given = {"training": args[2]} if len(args) > 2 else {"training": True} | kwargs
    return bool(given.get("train", given["training"]))


def divides(function: Operation, args: Positional) -> bool:
    """Return whether an operation divides by a tensor that requires a gradient."""
    if operation_name(function) not in ("div", "truediv", "divide", "true_divide"):
        return False
    divisors = args[:1] if getattr(function, "__name__", "").startswith("__r") else args[1:2]
    return any(isinstance(d, Tensor) and d.requires_grad for d in divisors)
