"""Run only what comes after a place: calls that finish before it is reached hand back what they returned once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.tensors import flat, map_tensors, own

__all__ = ["Recording", "recorded", "replayed"]

_Key = tuple[nn.Module, int]  # a module and the number of its call: one ReLU may run several times


class Recording:
    """What the calls of one forward pass returned, up to the moment a place was reached.

    It always holds all examples of that pass (no dataclass, so that ``take_rows`` leaves it whole); ``handed`` picks.

    Attributes:
        size: number of examples of that pass.
        values: outermost finished calls and their results.
        counts: how often every module had been called when such a call returned.
        copied: calls whose results are handed out as copies, since the model edits them in place.
    """

    def __init__(
        self, size: int, values: dict[_Key, Any] | None = None, counts: dict[_Key, dict[nn.Module, int]] | None = None
    ) -> None:
        self.size = size
        self.values = {} if values is None else values
        self.counts = {} if counts is None else counts
        self.copied: set[_Key] = set()
        self.closed = False

    def close(self) -> None:
        """Record nothing more: a place was reached."""
        self.closed = True

    def handed(self, key: _Key, rows: Tensor) -> Any:
        """Return what a call returned, for the given examples."""
        identity = rows.numel() == self.size and bool((rows == torch.arange(self.size)).all())
        copied = key in self.copied

        def pick(tensor: Tensor) -> Tensor:
            if tensor.ndim == 0 or tensor.shape[0] != self.size or identity:
                return tensor.clone() if copied else tensor
            if self.size == 1 and not copied:
                return tensor.expand(rows.numel(), *tensor.shape[1:])
            return tensor.index_select(0, rows.to(tensor.device))

        return map_tensors(pick, self.values[key])

    def versions(self) -> dict[_Key, list[int]]:
        """Return the edit counts of the recorded tensors; they change when a model edits one in place."""
        return {key: [tensor._version for tensor in flat(value)] for key, value in self.values.items()}

    def learn_edits(self, run: Callable[[Recording], Any]) -> None:
        """Find out, on a copy of the recording, which results ``run`` edits in place."""
        trial = Recording(self.size, map_tensors(own, self.values), self.counts)
        before = trial.versions()
        run(trial)
        self.copied = {key for key, versions in trial.versions().items() if versions != before[key]}


@contextlib.contextmanager
def recorded(model: nn.Module, recording: Recording) -> Iterator[None]:
    """While open, note what every module call returns, until the recording is closed."""
    calls: dict[nn.Module, int] = {}
    finished: list[list[_Key]] = [[]]  # by depth of nesting

    def forward(module: nn.Module, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        key = (module, calls.get(module, 0))
        calls[module] = key[1] + 1
        before = [tensor._version for tensor in flat((args, kwargs))]
        finished.append([])
        try:
            result = original(*args, **kwargs)
        finally:
            inside = finished.pop()
        if recording.closed:
            return result
        if before != [tensor._version for tensor in flat((args, kwargs))]:
            # it changed its input in place: it must run again, what it called need not
            finished[-1] += inside
            return result
        for inner in inside:
            recording.values.pop(inner, None)
        recording.values[key] = map_tensors(own, result)
        recording.counts[key] = dict(calls)
        finished[-1].append(key)
        return result

    with _forwards(model, forward):
        yield


@contextlib.contextmanager
def replayed(model: nn.Module, recording: Recording, rows: Tensor) -> Iterator[None]:
    """While open, recorded calls return what they did, for the given examples; all others run."""
    calls: dict[nn.Module, int] = {}

    def forward(module: nn.Module, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        key = (module, calls.get(module, 0))
        calls[module] = key[1] + 1
        if key not in recording.values:
            return original(*args, **kwargs)
        calls.update(recording.counts[key])
        return recording.handed(key, rows)

    with _forwards(model, forward):
        yield


@contextlib.contextmanager
def _forwards(model: nn.Module, wrapper: Callable[..., Any]) -> Iterator[None]:
    """Exchange the ``forward`` of every module below (not of) the model."""
    before = {module: module.__dict__.get("forward") for module in model.modules() if module is not model}
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
