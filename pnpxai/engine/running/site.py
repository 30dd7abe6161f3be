"""Reads, replaces and differentiates the values at places of a model."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import eager, same_start
from pnpxai.engine.running.places import (
    Argument,
    At,
    Members,
    Place,
    Side,
    Site,
    argument_names,
    find_places,
    holders,
    members_of,
    visited,
)
from pnpxai.engine.running.replay import CallArguments, Recording, equal_up_to_rounding, recorded, replayed
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Keywords, Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, map_tensors, own, take_rows

__all__ = [
    "Argument",
    "AtSites",
    "Call",
    "Members",
    "Place",
    "ValuesAtPlaces",
    "Side",
    "Site",
    "argument_names",
    "find_places",
]

_Visit: TypeAlias = Callable[[int, Tensor], Tensor]
_See: TypeAlias = Callable[[int, Members], None]

_log = logging.getLogger("pnpxai")


class Call(NamedTuple):
    """Holds the arguments of a call of the model.

    Attributes:
        args: positional arguments.
        kwargs: keyword arguments.
        counts: how many floating point tensors each place of an ``AtSites`` holds in this call.
        recording: what need not run again before the places, and the arguments, which are then not in the call itself.
        rows: (examples,) which examples of the recording these are.
    """

    args: Positional = ()
    kwargs: Keywords = {}  # noqa: RUF012  (never changed)
    counts: tuple[int, ...] = ()
    recording: Recording | None = None
    rows: Tensor | None = None


class ValuesAtPlaces(NamedTuple):
    """Holds the values at places of one forward pass.

    Attributes:
        values: the floating point tensors at the places, in their order.
        call: what ``AtSites`` is called with beside such values.
        output: the model's output; None where the pass ended at the last place.
        members: all that each place holds.
    """

    values: Tensors
    call: Call
    output: ModelOutput
    members: tuple[Members, ...]


class _AllReached(BaseException):
    """Ends a forward pass early; not an Exception, which a model might catch."""


class AtSites:
    """Turns a model into a function of the values at some places.

    ``read`` gives those values for a call. Calling it with other values and the same call, ``f(*values, call)``, runs
    the model with each place handing on the given value. So whatever explains a model's inputs explains its layers.
    """

    def __init__(self, model: Model, places: Sequence[Place]) -> None:
        self.model = eager(model)
        self.places = tuple(places)

    def __call__(self, *values_and_call: Any) -> ModelOutput:
        """Return the model's output with these values at the places; the last argument is the call.

        Raises:
            ShapeError: a value has another shape than what it stands in for.
        """
        *values, call = values_and_call
        positions = [sum(call.counts[:k]) for k in range(len(self.places))]

        def replace(k: int, standing: Tensor) -> Tensor:
            value = values[positions[k]]
            positions[k] += 1
            if value.shape != standing.shape:
                raise ShapeError(f"{self.places[k]}: expected {tuple(standing.shape)}, got {tuple(value.shape)}")
            return value.clone()

        if call.recording is None or call.rows is None:
            return self.run(call, replace)
        with replayed(call.recording, call.rows) as (args, kwargs):
            return self.run(Call(args, kwargs), replace)

    def runs_model(self) -> tuple[Model, tuple[Place, ...]]:
        """Return the model, and a key of the places at which values are replaced."""
        return self.model, self.places

    def read(
        self,
        call: Call,
        *,
        replay: bool = False,
        stop: bool = False,
        alone: bool = True,
        graph: bool = False,
        numbers: bool = True,
        size: int | None = None,
    ) -> ValuesAtPlaces:
        """Run the model once and return the values at the places.

        Args:
            call: how the model is called.
            replay: record what comes before the places, so that further runs are spared it (where that is exact).
            stop: end the pass when all places have been reached.
            alone: refuse places that depend on each other, whose values cannot be set independently.
            graph: keep the graph of the values (and do not record).
            numbers: refuse a place without floating point tensors.
            size: number of examples; by default the largest first dimension among the arguments.

        Raises:
            ArgumentError: a place is not reached, reached twice, holds no numbers that can be differentiated, or
                depends on another of the places.
        """
        several = alone and len(self.places) > 1
        leaves_by_place: list[list[Tensor]] = [[] for _ in self.places]
        members: list[Members] = [()] * len(self.places)

        def note(k: int, value: Tensor) -> Tensor:
            for other, leaves in enumerate(leaves_by_place):
                if several and value.requires_grad and other != k and leaves:
                    reached = torch.autograd.grad(value.sum(), leaves, allow_unused=True, retain_graph=True)
                    if any(gradient is not None for gradient in reached):
                        raise ArgumentError(
                            f"layer: {self.places[k]} depends on {self.places[other]}; take one of them"
                        )
            leaf = value if graph else own(value).requires_grad_(several)
            leaves_by_place[k].append(leaf)
            return leaf if stop and len(self.places) == 1 else leaf.clone()  # nobody will edit it

        recording = self._recording(call, size) if replay and not graph else None
        with torch.set_grad_enabled(several or graph):
            if recording is None or not isinstance(self.model, nn.Module):
                copied = map_tensors(torch.clone if graph else own, call)
                output = self.run(copied, note, stop=stop, see=members.__setitem__, numbers=numbers)
            else:
                with recorded(self.model, recording, call.args, call.kwargs) as (args, kwargs):
                    output = self.run(Call(args, kwargs), note, recording, stop=stop, see=members.__setitem__)
        values = tuple(value if graph else value.detach() for group in leaves_by_place for value in group)
        plain = call._replace(counts=tuple(len(group) for group in leaves_by_place))
        output = map_tensors(lambda tensor: tensor.detach(), output)
        return ValuesAtPlaces(values, self._trusted(values, plain, recording, output), output, tuple(members))

    def _recording(self, call: Call, size: int | None) -> Recording | None:
        if not isinstance(self.model, nn.Module) or isinstance(self.model, torch.jit.ScriptModule):
            return None
        sizes = {t.shape[0] for t in flat((call.args, call.kwargs)) if t.ndim}
        modules = [place.module for place in self.places if isinstance(place, Site)]
        if not sizes or len(modules) < len(self.places):
            return None
        return Recording(size or max(sizes), holders(self.model, modules))

    def _trusted(self, values: Tensors, call: Call, recording: Recording | None, output: ModelOutput) -> Call:
        """Return the call with its recording, if a replay with once and twice the rows gives the recorded output."""
        if recording is None or not recording.results:
            return call
        whole = Call((), {}, call.counts, recording, torch.arange(recording.size))
        if self._repeats(values, whole, output):
            return whole
        _log.debug("replay does not repeat the model's output at %s; whole forward passes are run", self.places[0])
        return call

    def _repeats(self, values: Tensors, call: Call, output: ModelOutput) -> bool:
        assert call.recording is not None  # noqa: S101
        size = call.recording.size
        twice = torch.arange(size).repeat(2)
        try:
            with torch.no_grad():
                versions = call.recording.versions()
                double = self(*take_rows(values, twice, size), call._replace(rows=twice))
                once = self(*values, call)
        except (RuntimeError, ValueError, IndexError, TypeError) as problem:  # what comes of rows that do not fit
            _log.debug("replay failed: %s", problem)
            return False
        unharmed = call.recording.versions() == versions
        return unharmed and equal_up_to_rounding(flat((once, double)), flat((output, take_rows(output, twice, size))))

    def run(
        self,
        call: Call,
        visit: _Visit,
        recording: Recording | None = None,
        *,
        stop: bool = False,
        see: _See | None = None,
        numbers: bool = True,
    ) -> ModelOutput:
        """Run the model while ``visit(k, tensor)`` may exchange each floating point tensor at place k.

        Args:
            call: how the model is called.
            visit: gets the number of a place and a tensor there, and returns what is handed on.
            recording: closed when the first place is reached.
            stop: end the pass when all places have been reached, and return None.
            see: gets the number of a place and all that it holds.
            numbers: refuse a place without floating point tensors.

        Raises:
            ArgumentError: a place is not reached, is reached twice, or holds no floating point tensor.
        """
        reached = [0] * len(self.places)
        counts = [0] * len(self.places)

        def at(k: int, structure: ModelOutput) -> ModelOutput:
            reached[k] += 1
            if reached[k] > 1:
                raise ArgumentError(f"layer: {self.places[k]} runs more than once in a forward pass")

            def exchange(tensor: Tensor) -> Tensor:
                if not tensor.is_floating_point() or not tensor.ndim:  # such as a loss beside the values
                    return tensor
                counts[k] += 1
                return visit(k, tensor)

            with contextlib.ExitStack() as stack:
                if recording is not None:
                    recording.close()
                    stack.enter_context(recording.unseen())
                if see is not None:
                    see(k, members_of(structure))
                exchanged = map_tensors(exchange, structure)
            if stop and all(reached):
                raise _AllReached
            return exchanged

        output = None
        with contextlib.suppress(_AllReached), visited(self.places, at):
            args, kwargs = self._with_arguments(call, at)
            with same_start():
                output = self.model(*args, **kwargs)
        for k, place in enumerate(self.places):
            if not reached[k]:
                raise ArgumentError(f"layer: {place} does not run in a forward pass of these inputs")
            if numbers and not counts[k]:
                raise ArgumentError(
                    f"layer: {place} holds no floating point numbers, so nothing can be differentiated or blended "
                    "there; for token ids, pass the embedding layer"
                )
        return output

    def _with_arguments(self, call: Call, at: At) -> CallArguments:
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
