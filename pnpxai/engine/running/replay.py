"""Runs only the part of a model after a place: calls that end before it return their recorded values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pnpxai.engine.seeing.operations import Operation, Operations
from pnpxai.engine.seeing.torch_private import count_edits
from pnpxai.model_types import Keywords, Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, map_tensors, own

__all__ = ["CallArguments", "Recording", "equal_up_to_rounding", "recorded", "replayed"]

_Key = tuple[nn.Module, int]  # a module and the number of its call: one ReLU may run several times
CallArguments: TypeAlias = tuple[Positional, Keywords]


@dataclass(eq=False)
class _SavedTensor:
    """Holds a tensor that a recorded call returned.

    Attributes:
        live: as the model has it, while the recorded pass lasts.
        value: our copy.
        version: the live one's count of edits, as far as recorded calls made them.
        read: whether its numbers are looked at outside of recorded calls.
        edited: whether it is edited in place.
    """

    live: Tensor | None
    value: Tensor
    version: int
    read: bool = False
    edited: bool = False


@dataclass(eq=False)
class _Result:
    """Holds what a call returned and changed.

    Attributes:
        skeleton: the returned structure, with empty tensors.
        members: for each of its tensors what was kept, or the number of the argument that it is.
        changes: (number of an argument that was edited in place, what was kept of it before, its numbers afterwards).
        counts: how often every module had been called by then.
    """

    skeleton: ModelOutput
    members: list[_SavedTensor | int]
    changes: list[tuple[int, _SavedTensor | None, Tensor]]
    counts: dict[nn.Module, int]


@dataclass(eq=False)
class _Notes:
    """Holds notes during the recorded pass."""

    open: set[nn.Module]  # modules that hold a place: what they do themselves is done again in each replay
    saved: dict[int, _SavedTensor] = field(default_factory=dict)  # by id of the live tensor
    calls: dict[nn.Module, int] = field(default_factory=dict)
    hidden: int = 0  # depth of what need not be seen, such as recorded calls


class Recording:
    """Holds the results of the module calls of one forward pass, up to the moment a place is reached.

    It holds all examples of that pass (no dataclass, so that ``take_rows`` leaves it whole); rows are picked as they
    are handed out. Of a tensor whose numbers only recorded calls look at, no more than the shape is held.
    """

    def __init__(self, size: int, open_modules: set[nn.Module]) -> None:
        self.size = size
        self.results: dict[_Key, _Result] = {}
        self.closed = False
        self._everything: list[_SavedTensor] = []
        self._arguments = _Result(((), {}), [], [], {})
        self._notes = _Notes(open_modules)

    def close(self) -> None:
        """Stop recording, since a place was reached."""
        self.closed = True

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """Within a ``with`` block, reading a tensor does not count as a use."""
        self._notes.hidden += 1
        try:
            yield
        finally:
            self._notes.hidden -= 1

    def versions(self) -> list[int]:
        """Return the edit counts of the recorded tensors. They change if a replay edits one of them."""
        after = [tensor for result in self.results.values() for _, _, tensor in result.changes]
        return [count_edits(tensor) for tensor in (*(saved.value for saved in self._everything), *after)]

    def _save(self, live: Tensor, value: Tensor) -> _SavedTensor:
        saved, before = _SavedTensor(live, value, count_edits(live)), self._notes.saved.get(id(live))
        if before is not None:  # one tensor was returned twice: be careful with both
            for one in (before, saved):
                one.read = one.edited = True
        self._notes.saved[id(live)] = saved
        self._everything.append(saved)
        return saved

    def _call(self, module: nn.Module, original: Model, *args: object, **kwargs: object) -> ModelOutput:
        notes = self._notes
        key = (module, notes.calls.get(module, 0))
        notes.calls[module] = key[1] + 1
        if self.closed or notes.hidden or module in notes.open:
            return original(*args, **kwargs)
        with self.unseen():
            arguments = flat((args, kwargs))
            before = [count_edits(tensor) for tensor in arguments]
            result = original(*args, **kwargs)
            if not self.closed:
                self.results[key] = self._result(result, arguments, before)
        return result

    def _result(self, result: object, arguments: Tensors, before: list[int]) -> _Result:
        changes: list[tuple[int, _SavedTensor | None, Tensor]] = []
        for k, tensor in enumerate(arguments):
            if count_edits(tensor) == before[k]:
                continue
            saved = self._notes.saved.get(id(tensor))
            if saved is not None:
                saved.edited |= saved.version != before[k]
                saved.version = count_edits(tensor)
            changes.append((k, saved, own(tensor)))
        number = {id(tensor): k for k, tensor in enumerate(arguments)}
        members = [number[id(t)] if id(t) in number else self._save(t, own(t)) for t in flat(result)]
        return _Result(map_tensors(lambda t: torch.empty(0), result), members, changes, dict(self._notes.calls))

    def _see(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        result = function(*args, **kwargs)
        if not self._notes.hidden and not _asks_for_shape(function, result):
            for tensor in flat((args, kwargs)):
                if (saved := self._notes.saved.get(id(tensor))) is not None:
                    saved.read = True
        return result

    def _finish(self) -> None:
        """Forget the numbers that no replay will read."""
        modules = {module for module, _ in self.results}
        for saved in self._everything:
            saved.edited |= saved.live is not None and count_edits(saved.live) != saved.version
        for result in self.results.values():
            result.counts = {module: count for module, count in result.counts.items() if module in modules}
            result.changes = [change for change in result.changes if change[1] is None or change[1].read]
            for _, before, _ in result.changes:
                if before is not None:
                    before.edited = True
        for saved in self._everything:
            saved.live = None
            saved.read |= not saved.value.is_floating_point() or saved.value.ndim == 0
            if not saved.read:  # NaN, so that it is noticed should they be looked at after all
                saved.value = saved.value.new_full((), float("nan")).expand(saved.value.shape)
        self._notes = _Notes(set())


@contextlib.contextmanager
def recorded(model: nn.Module, recording: Recording, args: Positional, kwargs: Keywords) -> Iterator[CallArguments]:
    """Within a ``with`` block, record what every module call returns, until the recording is closed.

    Gives the arguments to call the model with.
    """
    arguments = (args, kwargs)
    live = map_tensors(own, arguments)
    members: list[_SavedTensor | int] = [
        recording._save(one, other.detach()) for one, other in zip(flat(live), flat(arguments), strict=True)
    ]
    recording._arguments = _Result(map_tensors(lambda t: torch.empty(0), arguments), members, [], {})
    modules = [module for module in model.modules() if module is not model]
    with _forwards(modules, recording._call), Operations(recording._see):
        yield live
    recording._finish()


@contextlib.contextmanager
def replayed(recording: Recording, rows: Tensor) -> Iterator[CallArguments]:
    """Within a ``with`` block, recorded calls return their recorded results for these examples; all others run.

    Gives the arguments to call the model with.
    """
    calls: dict[nn.Module, int] = {}
    picked: dict[int, Tensor] = {}
    size, every = recording.size, rows.numel() == recording.size and bool((rows == torch.arange(recording.size)).all())

    def pick(tensor: Tensor, *, spread: bool = False) -> Tensor:
        if tensor.ndim == 0 or tensor.shape[0] != size or every:
            return tensor
        if size == 1 or spread:
            return tensor[:1].expand(rows.numel(), *tensor.shape[1:])
        return tensor.index_select(0, rows.to(tensor.device))

    def hand(member: _SavedTensor | int, arguments: Tensors) -> Tensor:
        if isinstance(member, int):
            return arguments[member]
        if id(member) not in picked:
            rows = pick(member.value, spread=not member.read)
            ours = member.value.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()
            picked[id(member)] = rows.clone() if member.read and member.edited and ours else rows
        return picked[id(member)]

    def filled(result: _Result, arguments: Tensors = ()) -> ModelOutput:
        waiting = iter(result.members)
        return map_tensors(lambda _: hand(next(waiting), arguments), result.skeleton)

    def call(module: nn.Module, original: Model, *args: object, **kwargs: object) -> ModelOutput:
        key = (module, calls.get(module, 0))
        calls[module] = key[1] + 1
        if key not in recording.results:
            return original(*args, **kwargs)
        result = recording.results[key]
        calls.update(result.counts)
        arguments = flat((args, kwargs))
        for k, _, after in result.changes:
            arguments[k].copy_(pick(after))
        return filled(result, arguments)

    with _forwards([*dict.fromkeys(module for module, _ in recording.results)], call):
        yield filled(recording._arguments)


def equal_up_to_rounding(values: Tensors, wanted: Tensors) -> bool:
    """Return whether tensors are equal up to rounding, relative to the largest number of each."""

    def equal(a: Tensor, b: Tensor) -> bool:
        if a.shape != b.shape or not b.is_floating_point():
            return torch.equal(a, b)
        accuracy = max(1e-5, 4 * torch.finfo(b.dtype).eps)
        scale = float(b.nan_to_num(0, 0, 0).abs().max()) if b.numel() else 0.0
        return torch.allclose(a, b, rtol=accuracy, atol=accuracy * scale, equal_nan=True)

    return len(values) == len(wanted) and all(equal(a, b) for a, b in zip(values, wanted, strict=True))


_SHAPE = {"size", "dim", "ndimension", "numel", "nelement", "__len__", "is_floating_point", "is_complex"}


def _asks_for_shape(function: Operation, result: object) -> bool:
    """Return whether a call only asks for a shape or a dtype."""
    name = getattr(function, "__name__", "")
    return name in _SHAPE or (name == "__get__" and not isinstance(result, Tensor))


@contextlib.contextmanager
def _forwards(modules: list[nn.Module], wrapper: Model) -> Iterator[None]:
    """Replace the ``forward`` of modules within a ``with`` block."""
    before = {module: module.__dict__.get("forward") for module in modules}
    try:
        for module in before:
            module.__dict__["forward"] = partial(wrapper, module, module.forward)
        yield
    finally:
        for module, own_forward in before.items():
            if own_forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = own_forward
