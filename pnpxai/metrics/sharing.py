"""Runs that do not depend on the explanation: computed once, they serve every explainer and every tuning trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pnpxai.engine.guard import module_of

__all__ = ["SharedRuns"]


class SharedRuns:
    """A store of model outputs for masks that were drawn without looking at a map, and of randomised models.

    Attributes:
        rows_run: forward rows that were computed.
        rows_saved: forward rows that were not needed again.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, object, str], Any] = {}
        self._models: dict[int, Any] = {}  # kept alive, so that no other model gets their number
        self.rows_run = 0
        self.rows_saved = 0

    def rows(self, model: Any, keys: Sequence[str], rows: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (examples, ...) what was computed for each key, computing what is missing.

        Args:
            model: the model that runs; one whose parameters or buffers were changed meanwhile counts as another one.
            keys: for each example a key of all else that the result depends on.
            rows: how many forward rows each example takes.
            compute: gives the results of some examples, by their numbers.
        """
        of_model = self._of(model)
        whole = [(*of_model, key) for key in keys]
        missing = [k for k, key in enumerate(whole) if key not in self._kept]
        if missing:
            found = compute(torch.tensor(missing)).detach().cpu()
            self._kept |= {whole[k]: row.clone() for k, row in zip(missing, found, strict=True)}
        self.rows_run += rows * len(missing)
        self.rows_saved += rows * (len(keys) - len(missing))
        return torch.stack([self._kept[key] for key in whole])

    def thing(self, model: Any, key: str, make: Callable[[], Any]) -> Any:
        """Return what was made of a model (with its present parameters) under a key, making it the first time."""
        whole = (*self._of(model), key)
        if whole not in self._kept:
            self._kept[whole] = make()
        return self._kept[whole]

    def _of(self, model: Any) -> tuple[int, object]:
        self._models[id(model)] = model
        return id(model), _state(model)


def _state(model: Any) -> object:
    module = module_of(model)
    if module is None:
        return None
    return tuple((t.data_ptr(), t._version) for t in (*module.parameters(), *module.buffers()) if not t.is_inference())
