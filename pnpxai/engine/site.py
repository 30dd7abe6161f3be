"""Places in a model whose value can be read, replaced and differentiated at: a side of a module, or one argument."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.guard import eager
from pnpxai.engine.replay import Recording, recorded, replayed
from pnpxai.errors import ArgumentError, ConfinedError, ShapeError, did_you_mean
from pnpxai.tensors import Tensors, flat, map_tensors, own, take_rows

__all__ = ["Argument", "AtSites", "Call", "Place", "Side", "Site", "argument_names", "find_places"]

Side: TypeAlias = Literal["input", "output"]


_log = logging.getLogger("pnpxai")


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
    """What a model is called with.

    Attributes:
        args: positional arguments.
        kwargs: keyword arguments.
        counts: how many tensors each place of an ``AtSites`` holds in this call.
        recording: what need not run again before the places.
        rows: (examples,) which examples of the recording these are.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    counts: tuple[int, ...] = ()
    recording: Recording | None = None
    rows: Tensor | None = None


class Reading(NamedTuple):
    """What one forward pass gave.

    Attributes:
        values: the tensors at the places, in their order.
        call: what ``AtSites`` is called with beside such values.
        output: the model's output; None where the pass ended at the last place.
    """

    values: Tensors
    call: Call
    output: Any


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


class _AllReached(BaseException):
    """Ends a forward pass early; not an Exception, which a model might catch."""


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

        if call.recording is None or call.rows is None:
            return self.run(call, replace)
        with replayed(self.model, call.recording, call.rows):
            return self.run(call, replace)

    def read(self, call: Call, *, replay: bool = False, stop: bool = False, alone: bool = True) -> Reading:
        """Run the model once and return the values at the places.

        Args:
            call: how the model is called.
            replay: record what comes before the places, so that further runs are spared it (where that is exact).
            stop: end the pass when all places have been reached.
            alone: refuse places that depend on each other, whose values cannot be set independently.

        Raises:
            ArgumentError: a place is not reached, reached twice, holds no numbers that can be differentiated, or
                depends on another of the places.
        """
        several = alone and len(self.places) > 1
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

        recording = self._recording(call) if replay else None
        with torch.set_grad_enabled(several), contextlib.ExitStack() as stack:
            if recording is not None:
                stack.enter_context(recorded(self.model, recording))
            output = self.run(map_tensors(own, call), note, recording, stop=stop)
        values = tuple(value.detach() for group in found for value in group)
        plain = call._replace(counts=tuple(len(group) for group in found))
        output = map_tensors(lambda tensor: tensor.detach(), output)
        return Reading(values, self._trusted(values, plain, recording, output), output)

    def _recording(self, call: Call) -> Recording | None:
        seen = isinstance(self.model, nn.Module) and not isinstance(self.model, torch.jit.ScriptModule)
        sizes = {t.shape[0] for t in flat((call.args, call.kwargs)) if t.ndim}
        return Recording(max(sizes)) if seen and sizes and all(isinstance(p, Site) for p in self.places) else None

    def _trusted(self, values: Tensors, call: Call, recording: Recording | None, output: Any) -> Call:
        """Return the call with its recording, if replaying gives the recorded output at once and twice the rows."""
        if recording is None or not recording.values:
            return call
        whole = call._replace(recording=recording, rows=torch.arange(recording.size))
        if self._repeats(values, whole, output):
            return whole
        _log.debug("replay does not repeat the model's output at %s; whole forward passes are run", self.places[0])
        return call

    def _repeats(self, values: Tensors, call: Call, output: Any) -> bool:
        assert call.recording is not None  # noqa: S101
        size = call.recording.size
        twice = torch.arange(size).repeat(2)
        try:
            with torch.no_grad():
                call.recording.learn_edits(lambda trial: self(*values, call._replace(recording=trial)))
                versions = call.recording.versions()
                once = self(*values, call)
                double = self(*take_rows(values, twice, size), take_rows(call, twice, size))
        except (RuntimeError, ValueError, IndexError, TypeError) as problem:  # what comes of rows that do not fit
            _log.debug("replay failed: %s", problem)
            return False
        unharmed = call.recording.versions() == versions
        return unharmed and _close(flat((once, double)), flat((output, take_rows(output, twice, size))))

    def run(self, call: Call, visit: _Visit, recording: Recording | None = None, *, stop: bool = False) -> Any:
        """Run the model while ``visit(k, tensor)`` may exchange each floating point tensor at place k.

        Args:
            call: how the model is called.
            visit: gets the number of a place and a tensor there, and returns what is handed on.
            recording: closed when the first place is reached.
            stop: end the pass when all places have been reached, and return None.

        Raises:
            ArgumentError: a place is not reached, is reached twice, or holds no floating point tensor.
        """
        reached = [0] * len(self.places)
        numbers = [0] * len(self.places)

        def at(k: int, structure: Any) -> Any:
            if recording is not None:
                recording.close()
            reached[k] += 1
            if reached[k] > 1:
                raise ArgumentError(f"layer: {self.places[k]} runs more than once in a forward pass")

            def exchange(tensor: Tensor) -> Tensor:
                if not tensor.is_floating_point():
                    return tensor
                numbers[k] += 1
                return visit(k, tensor)

            exchanged = map_tensors(exchange, structure)
            if stop and all(reached):
                raise _AllReached
            return exchanged

        output = None
        with contextlib.suppress(_AllReached), _hooks(self.places, at):
            args, kwargs = self._with_arguments(call, at)
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


def _close(found: Tensors, wanted: Tensors) -> bool:
    return len(found) == len(wanted) and all(
        a.shape == b.shape and bool(torch.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True))
        for a, b in zip(found, wanted, strict=True)
    )


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
