"""Places in a model whose value can be read, replaced and differentiated at: a side of a module, or one argument."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.guard import eager
from pnpxai.errors import ArgumentError, ConfinedError, ShapeError, did_you_mean
from pnpxai.tensors import Tensors, map_tensors, own

__all__ = ["Argument", "AtSites", "Call", "Place", "Side", "Site", "argument_names", "find_places"]

Side: TypeAlias = Literal["input", "output"]


@dataclass(frozen=True)
class Site:
    """One side of one module."""

    module: nn.Module
    side: Side = "output"
    name: str = ""

    def __str__(self) -> str:
        return f"layer {self.name!r}" if self.name else f"layer {type(self.module).__name__}"


@dataclass(frozen=True)
class Argument:
    """One argument of the model's forward method."""

    name: str

    def __str__(self) -> str:
        return f"argument {self.name!r}"


Place: TypeAlias = Site | Argument
_Visit: TypeAlias = Callable[[int, Tensor], Tensor]


class Call(NamedTuple):
    """What a model is called with, and how many tensors each place of an ``AtSites`` holds in that call."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    counts: tuple[int, ...] = ()


def argument_names(model: Any) -> tuple[str, ...]:
    """Return the names of a model's forward arguments, empty where they cannot be told."""
    forward = model.forward if isinstance(model, nn.Module) else model
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def find_places(model: Any, layer: Any, side: Side = "output") -> tuple[Place, ...]:
    """Return the places that ``layer`` names: a module, a module's name, a forward argument's name, or several mixed.

    Raises:
        ArgumentError: no such layer or argument (with the nearest name), or a name that could mean either.
    """
    specs = tuple(layer) if isinstance(layer, (tuple, list)) else (layer,)
    if not specs:
        raise ArgumentError("layer: expected at least one layer, got none")
    return tuple(_find(eager(model), spec, side) for spec in specs)


def _find(model: Any, spec: Any, side: Side) -> Place:
    if isinstance(spec, (Site, Argument)):
        return spec
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    if isinstance(spec, nn.Module):
        spec = eager(spec)
        name = next((name for name, module in modules.items() if module is spec), None)
        if name is None and modules:
            raise ArgumentError(f"layer: this {type(spec).__name__} is not part of the model {type(model).__name__}")
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


class AtSites:
    """A model as a function of the values at some places.

    ``read`` gives those values for a call. Calling it with other values and the same call, ``f(*values, call)``, runs
    the model with each place handing on the given value. So whatever explains a model's inputs explains its layers.
    """

    def __init__(self, model: Callable[..., Any], places: Sequence[Place]) -> None:
        self.model = eager(model)
        self.places = tuple(places)

    def __call__(self, *values_and_call: Any) -> Any:
        """Return the model's output with the given values at the places; the last argument is the call.

        Raises:
            ShapeError: a value has another shape than what it stands in for.
        """
        *values, call = values_and_call
        offsets = [sum(call.counts[:k]) for k in range(len(self.places))]
        taken = [0] * len(self.places)

        def replace(k: int, found: Tensor) -> Tensor:
            value = values[offsets[k] + taken[k]]
            taken[k] += 1
            if value.shape != found.shape:
                raise ShapeError(f"{self.places[k]}: expected {tuple(found.shape)}, got {tuple(value.shape)}")
            return value.clone()

        return self.run(call, replace)

    def read(self, call: Call) -> tuple[Tensors, Call]:
        """Return the values at the places, in their order, and the call to run the model at them with.

        Raises:
            ArgumentError: a place is not reached, reached twice, holds no numbers that can be differentiated, or
                depends on another of the places.
        """
        several = len(self.places) > 1
        found: list[list[Tensor]] = [[] for _ in self.places]

        def note(k: int, value: Tensor) -> Tensor:
            for other, leaves in enumerate(found):
                if several and value.requires_grad and other != k and leaves:
                    reached = torch.autograd.grad(value.sum(), leaves, allow_unused=True, retain_graph=True)
                    if any(gradient is not None for gradient in reached):
                        raise ArgumentError(
                            f"layer: {self.places[k]} depends on {self.places[other]}; take one of them"
                        )
            leaf = own(value).requires_grad_(several)
            found[k].append(leaf)
            return leaf.clone()

        with torch.set_grad_enabled(several):
            self.run(map_tensors(own, call), note)
        values = tuple(value.detach() for group in found for value in group)
        return values, call._replace(counts=tuple(len(group) for group in found))

    def run(self, call: Call, visit: _Visit) -> Any:
        """Run the model while ``visit(k, tensor)`` may exchange each floating point tensor at place k.

        Raises:
            ArgumentError: a place is not reached, is reached twice, or holds no floating point tensor.
        """
        reached = [0] * len(self.places)
        numbers = [0] * len(self.places)

        def at(k: int, structure: Any) -> Any:
            reached[k] += 1
            if reached[k] > 1:
                raise ArgumentError(f"layer: {self.places[k]} runs more than once in a forward pass")

            def exchange(tensor: Tensor) -> Tensor:
                if not tensor.is_floating_point():
                    return tensor
                numbers[k] += 1
                return visit(k, tensor)

            return map_tensors(exchange, structure)

        args, kwargs = self._with_arguments(call, at)
        with _hooks(self.places, at):
            output = self.model(*args, **kwargs)
        for k, place in enumerate(self.places):
            if not reached[k]:
                raise ArgumentError(f"layer: {place} does not run in a forward pass of these inputs")
            if not numbers[k]:
                raise ArgumentError(
                    f"layer: {place} holds no floating point numbers, so nothing can be differentiated or blended "
                    "there; for token ids, pass the embedding layer"
                )
        return output

    def _with_arguments(self, call: Call, at: Callable[[int, Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        wanted = {place.name: k for k, place in enumerate(self.places) if isinstance(place, Argument)}
        if not wanted:
            return call.args, call.kwargs
        forward = self.model.forward if isinstance(self.model, nn.Module) else self.model
        positions = argument_names(self.model)
        args, kwargs = list(call.args), dict(call.kwargs)
        inspect.signature(forward).bind(*args, **kwargs)
        for name, k in wanted.items():
            position = positions.index(name) if name in positions else len(args)
            if name in kwargs:
                kwargs[name] = at(k, kwargs[name])
            elif position < len(args):
                args[position] = at(k, args[position])
        return tuple(args), kwargs


@contextlib.contextmanager
def _hooks(places: Sequence[Place], at: Callable[[int, Any], Any]) -> Iterator[None]:
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
