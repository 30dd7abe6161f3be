"""Finds places in a model by name: a side of a module, or an argument of its forward method."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import eager, module_of
from pnpxai.errors import ArgumentError, ConfinedError, did_you_mean
from pnpxai.model_types import Layer, Model, ModelOutput
from pnpxai.tensors import flat, own

__all__ = [
    "Argument",
    "At",
    "Members",
    "Place",
    "Side",
    "Site",
    "argument_names",
    "find_places",
    "holders",
    "members_of",
    "visited",
]

Side: TypeAlias = Literal["input", "output"]
Members: TypeAlias = tuple[Tensor | None, ...]
"""Members of a place, in order: None, tensors of integers, and an empty tensor in the place of each value."""


@dataclass(frozen=True)
class Site:
    """Is a place: one side (input or output) of a module."""

    module: nn.Module
    side: Side = "output"
    name: str = ""

    def __str__(self) -> str:
        return f"layer {self.name!r}" if self.name else f"layer {type(self.module).__name__}"


@dataclass(frozen=True)
class Argument:
    """Is a place: one argument of the model's forward method."""

    name: str

    def __str__(self) -> str:
        return f"argument {self.name!r}"


Place: TypeAlias = Site | Argument


def argument_names(model: Model) -> tuple[str, ...]:
    """Return the names of a model's forward arguments, empty if they are unknown."""
    forward = model.forward if isinstance(model, nn.Module) else model
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def find_places(model: Model, layer: Layer, side: Side = "output") -> tuple[Place, ...]:
    """Return the places that ``layer`` names: a module, a module's name, a forward argument's name, or several mixed.

    Raises:
        ArgumentError: no such layer or argument (with the nearest name), or a name that could mean either.
    """
    specs = tuple(layer) if isinstance(layer, (tuple, list)) else (layer,)
    if not specs:
        raise ArgumentError("layer: expected at least one layer, got none")
    return tuple(_find(eager(model), spec, side) for spec in specs)


def _find(model: Model, spec: Layer, side: Side) -> Place:
    if isinstance(spec, (Site, Argument)):
        return spec
    inside = module_of(model)
    modules = {} if inside is None else dict(inside.named_modules())
    if isinstance(spec, nn.Module):
        spec = eager(spec)
        name = next((name for name, module in modules.items() if module is spec), None)
        if name is None and modules:
            raise ArgumentError(f"layer: this {type(spec).__name__} is not part of the model {type(inside).__name__}")
        return Site(_hookable(spec), side, name or "")
    if not isinstance(spec, str):
        raise ArgumentError(f"layer: expected a module or a name, got {spec!r} ({type(spec).__name__})")
    arguments = argument_names(model)
    if spec in modules and spec in arguments and spec:
        raise ArgumentError(f"layer: {spec!r} names a layer and a forward argument; pass the module itself")
    if spec in modules and spec:
        return Site(_hookable(modules[spec]), side, spec)
    if spec in arguments:
        return Argument(spec)
    raise ArgumentError(f"layer: no layer or forward argument {spec!r}{did_you_mean(spec, [*modules, *arguments])}")


def _hookable(module: nn.Module) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise ConfinedError("layer: the inside of a scripted model cannot be seen; pass the original Python model")
    return module


def members_of(structure: object) -> Members:
    """Return the members of a place whose value is this structure."""
    if structure is None:
        return (None,)
    if isinstance(structure, (tuple, list)):
        return tuple(member for part in structure for member in members_of(part))
    return tuple(t.new_empty(0) if t.is_floating_point() and t.ndim else own(t) for t in flat(structure))


def holders(model: nn.Module, modules: Sequence[nn.Module]) -> set[nn.Module]:
    """Return the modules that contain one of these modules, at any depth."""
    names = [name for name, module in model.named_modules(remove_duplicate=False) if module in modules]
    above = {name[:end] for name in names for end, letter in enumerate(name) if letter == "."}
    return {model, *(model.get_submodule(name) for name in above)}


At: TypeAlias = Callable[[int, ModelOutput], ModelOutput]
"""Function that gets the number of a place and all that it holds, and returns what stands there from then on."""


@contextlib.contextmanager
def visited(places: Sequence[Place], at: At) -> Iterator[None]:
    """Within a ``with`` block, replace the value at site k by the result of ``at(k, structure)``.

    Args:
        places: the places; arguments are left to the caller.
        at: gets a place's number and all that it holds.
    """
    with contextlib.ExitStack() as stack:
        for k, place in enumerate(places):
            if isinstance(place, Argument):
                continue
            if place.side == "output":
                handle = place.module.register_forward_hook(lambda module, args, output, k=k: at(k, output))
            else:
                handle = place.module.register_forward_pre_hook(
                    lambda module, args, kwargs, k=k: at(k, (args, kwargs)), with_kwargs=True
                )
            stack.callback(handle.remove)
        yield
