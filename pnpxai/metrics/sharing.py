"""Masked runs that do not depend on the explanation: computed once, they serve every explainer and every trial."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["SharedRuns"]


class SharedRuns:
    """A store of model outputs for masks that were drawn without looking at a map.

    Attributes:
        rows_run: forward rows that were computed.
        rows_saved: forward rows that were not needed again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}
        self.rows_run = 0
        self.rows_saved = 0

    def get(self, key: str, rows: int, compute: Callable[[], Tensor]) -> Tensor:
        """Return what was computed under this key, computing it (``rows`` forward rows) the first time."""
        if key in self._kept:
            self.rows_saved += rows
        else:
            self._kept[key] = compute().cpu()
            self.rows_run += rows
        return self._kept[key]
