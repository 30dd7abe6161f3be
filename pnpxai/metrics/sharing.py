"""Masked runs that do not depend on the explanation: computed once, they serve every explainer and every trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pnpxai.engine.guard import module_of

__all__ = ["SharedRuns"]


class SharedRuns:
    """A store of model outputs for masks that were drawn without looking at a map.

    Attributes:
        rows_run: forward rows that were computed.
        rows_saved: forward rows that were not needed again.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, object, str], Tensor] = {}
        self._models: dict[int, Any] = {}  # kept alive, so that no other model gets their number
        self.rows_run = 0
        self.rows_saved = 0

    def get(self, model: Any, key: str, rows: int, compute: Callable[[], Tensor]) -> Tensor:
        """Return what was computed for this model under this key, computing it (``rows`` forward rows) the first time.

        A model whose parameters or buffers were changed meanwhile counts as another one.
        """
        self._models[id(model)] = model
        whole = (id(model), _state(model), key)
        if whole in self._kept:
            self.rows_saved += rows
        else:
            self._kept[whole] = compute().cpu()
            self.rows_run += rows
        return self._kept[whole]


def _state(model: Any) -> object:
    module = module_of(model)
    if module is None:
        return None
    return tuple((t.data_ptr(), t._version) for t in (*module.parameters(), *module.buffers()) if not t.is_inference())
