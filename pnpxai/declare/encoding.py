"""Compares settings by content, prints them, writes them to JSON and reads them back."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from pnpxai.declare.registry import qualified_name
from pnpxai.errors import ArgumentError
from pnpxai.files import Json
from pnpxai.model_types import Model

if TYPE_CHECKING:
    from pnpxai.declare.declared import Declared

__all__ = ["comparable", "decoded", "encoded", "labels", "rounded_text", "setting_text", "unlabelled"]

_LONG = re.compile(r"\d+\.\d{5,}(e[+-]?\d+)?")


def comparable(value: object, owner: object) -> object:
    """Return a value that ``==`` compares by content in the place of ``value``: names of layers, numbers of tensors."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), value.tolist())
    if isinstance(value, torch.nn.Module):
        return _layer_name(value, owner) or id(value)
    if isinstance(value, Mapping):
        return {key: comparable(member, owner) for key, member in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(comparable(member, owner) for member in value)
    return value


def _layer_name(layer: torch.nn.Module, owner: object) -> str | None:
    named_modules = getattr(getattr(owner, "model", None), "named_modules", None)
    named: Iterable[tuple[str, torch.nn.Module]] = named_modules() if named_modules is not None else ()
    return next((name for name, module in named if module is layer), None)


def setting_text(value: object, owner: object) -> str:
    """Return a setting as ``repr`` writes it."""
    if isinstance(value, torch.nn.Module):
        return repr(_layer_name(value, owner) or type(value).__name__)
    if isinstance(value, tuple):
        return f"({', '.join(setting_text(member, owner) for member in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, torch.Tensor) and value.numel() > 3:
        first, *_, last = value.flatten().tolist()
        return f"tensor {tuple(value.shape)} of {first:.3g}, ..., {last:.3g}"
    return getattr(value, "__qualname__", None) or repr(value)


def rounded_text(value: object, owner: object) -> str:
    """Return a setting as it is written in a sentence: as ``setting_text``, but long numbers with six digits."""
    return _LONG.sub(lambda number: f"{float(number[0]):g}", setting_text(value, owner))


def labels(members: Sequence[Declared]) -> list[str]:
    """Return a label for each member: the name of its class, with differing settings where a class comes twice."""
    names = [type(member).__name__ for member in members]
    texts = []
    for member, name in zip(members, names, strict=True):
        settings = [m.settings() for m, other in zip(members, names, strict=True) if other == name]
        plain = [{n: comparable(value, member) for n, value in of.items()} for of in settings]
        differing = [n for n in member.settings() if any(n not in of or of[n] != plain[0].get(n) for of in plain)]
        differences = ", ".join(f"{n}={setting_text(member.settings()[n], member)}" for n in differing)
        texts.append(f"{name} ({differences})" if differences else name)
    return texts


def unlabelled(label: str) -> str:
    """Return the name of the class in a label."""
    return label.partition(" (")[0]


@runtime_checkable
class _Writable(Protocol):
    """Is a value that writes itself to JSON, such as a declared one."""

    def to_dict(self) -> Json: ...


def encoded(value: object, name: str, owner: object) -> Json:
    """Return the JSON form of a setting called ``name``."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, _Writable):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [encoded(member, name, owner) for member in value]
    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, torch.nn.Module):
        layer = _layer_name(value, owner)
        if layer is None:
            raise ArgumentError(f"to_dict: {name}: this {type(value).__name__} is no layer of the explainer's model")
        return {"layer": layer}
    where = _public_name(value)
    if callable(value) and _loaded_function(where) is value:
        return {"callable": where}
    raise ArgumentError(
        f"to_dict: {name}: {value!r} cannot be written to JSON; use a function defined at the top of a module"
    )


def decoded(
    value: Json, name: str, model: Model | None, build: Callable[[Mapping[str, Json], Model | None], object]
) -> object:
    """Return the value that ``encoded`` wrote; ``build(data, model)`` makes a declared value of its dictionary."""
    if isinstance(value, list):
        return tuple(decoded(member, name, model, build) for member in value)
    if not isinstance(value, Mapping):
        return value
    if "type" in value:
        return build(value, model)
    if "tensor" in value:
        dtype = vars(torch).get(str(value.get("dtype")))
        if not isinstance(dtype, torch.dtype):
            raise ArgumentError(f"from_dict: {name}: {value.get('dtype')!r} is no dtype of torch")
        try:
            return torch.tensor(value["tensor"], dtype=dtype)
        except (ValueError, TypeError, RuntimeError, OverflowError) as problem:
            raise ArgumentError(f"from_dict: {name}: expected lists of numbers, all alike ({problem})") from problem
    if "layer" in value:
        named_modules = getattr(model, "named_modules", None)
        layers = {} if named_modules is None else dict(named_modules())
        if value["layer"] not in layers:
            raise ArgumentError(f"from_dict: {name}: the model has no layer {value['layer']!r}")
        return layers[value["layer"]]
    function = _loaded_function(str(value.get("callable", "")))
    if function is None:
        raise ArgumentError(
            f"from_dict: {name}: {value.get('callable')!r} names no function that is loaded; import its module first"
        )
    return function


def _loaded_function(where: str) -> Callable[..., object] | None:
    """Return the function that a JSON name stands for, if its module is loaded; nothing is imported.

    Functions of Python's own library are refused: the function is called later, and ``os.system`` is no setting.
    """
    module, _, path = where.partition(":")
    if module.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        function = functools.reduce(_static_member, path.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        return None
    return function if callable(function) and _public_name(function) == where else None


def _static_member(holder: object, name: str) -> object:
    """Return the member of a module or class under a name, without its ``__getattr__``, which may import modules."""
    member = inspect.getattr_static(holder, name)
    return member.__func__ if isinstance(member, staticmethod) else member


_TORCH = ("torch", "torch.nn.functional", "torch.special", "torch.linalg", "torch.fft")
"""Modules that have public names for functions built into torch."""


def _public_name(value: object) -> str:
    full = getattr(value, "__name__", "")
    names = (full, full.partition("_")[2])  # torch.special.expit calls itself special_expit
    public = (f"{where}:{name}" for where in _TORCH for name in names if _member(where, name) is value)
    return next(public, qualified_name(value))


def _member(module: str, name: str) -> object:
    return vars(sys.modules[module]).get(name, _TORCH) if module in sys.modules else _TORCH
