"""Runs that do not depend on the explanation: computed once, they serve every explainer and every tuning trial."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from pnpxai.engine.running.guard import module_of
from pnpxai.engine.seeing.torch_private import count_edits
from pnpxai.model_types import Model

T = TypeVar("T")

__all__ = ["SharedRuns"]


class SharedRuns:
    """A store of model outputs for masks that were drawn without looking at a map, and of randomised models.

    When the store is full, the outputs that were used the longest time ago leave it. A model whose parameters changed
    counts as another model, so that nothing of its former state is returned.

    Args:
        limit_bytes: how much room the outputs have.

    Attributes:
        rows_run: forward rows that were computed.
        rows_saved: forward rows that were not needed again.
    """

    def __init__(self, limit_bytes: int = 2**28) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._outputs: OrderedDict[tuple[int, object, str], Tensor] = OrderedDict()
        self._things: dict[tuple[int, str], tuple[object, Any]] = {}
        self._models: dict[int, object] = {}  # held, so that no other model gets the same id
        self.rows_run = 0
        self.rows_saved = 0

    def rows(self, model: Model, keys: Sequence[str], rows: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (examples, ...) what was computed for each key, computing what is missing.

        Args:
            model: the model that runs; one whose parameters or buffers were changed meanwhile counts as another one.
            keys: for each example a key of all else that the result depends on.
            rows: how many forward rows each example takes.
            compute: gives the results of some examples, by their numbers.
        """
        state = self._state_of(model)
        whole = [(*state, key) for key in keys]
        known = {key: row for key in whole if (row := self._outputs.get(key)) is not None}
        missing = [k for k, key in enumerate(whole) if key not in known]
        results = compute(torch.tensor(missing)).detach().cpu() if missing else ()
        known |= {whole[k]: row.clone() for k, row in zip(missing, results, strict=True)}
        self.rows_run += rows * len(missing)
        self.rows_saved += rows * (len(keys) - len(missing))
        for key, row in known.items():  # the newest last
            if self._outputs.pop(key, None) is None:
                self._held += _size(key, row)
            self._outputs[key] = row
        while self._held > self._limit and self._outputs:
            self._held -= _size(*self._outputs.popitem(last=False))
        return torch.stack([known[key] for key in whole])

    def thing(self, model: Model, key: str, make: Callable[[], T]) -> T:
        """Return what was made of a model (with its present parameters) under a key, making it the first time."""
        number, state = self._state_of(model)
        known = self._things.get((number, key))
        if known is None or known[0] != state:
            known = self._things[number, key] = state, make()
        return known[1]

    def _state_of(self, model: Model) -> tuple[int, object]:
        self._models[id(model)] = model
        return id(model), _state(model)


_OVERHEAD = 1000
"""Bytes that a row takes beside its numbers and its key, roughly."""


def _size(key: tuple[int, object, str], row: Tensor) -> int:
    return row.nbytes + len(key[2]) + _OVERHEAD


def _state(model: Model) -> object:
    module = module_of(model)
    if module is None:
        return None
    return tuple(
        (t.data_ptr(), count_edits(t)) for t in (*module.parameters(), *module.buffers()) if not t.is_inference()
    )
