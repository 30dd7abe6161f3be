"""What is stored of a chunk of examples: a record for each explanation and each metric's value, and the maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pnpxai.experiment.storage.maps import Mapped

__all__ = ["EXPLAINED", "CellRecord", "ChunkResult"]

EXPLAINED = ""
"""Takes the place of a metric's key in the record of the explanation itself, which holds its time and cost."""


class CellRecord(NamedTuple):
    """One value, or why there is none.

    Attributes:
        example: the example's identity.
        explainer: the explainer's key.
        metric: the metric's key, or ``EXPLAINED``.
        value: the value, NaN if it is undefined.
        reason: why it is undefined; None if it is defined.
        seconds: how long it took, as a share of its batch's time.
        rows: forward rows of one explanation; -1 if it is not known.
        target: the explained output; -1 if it is no single index.
        retry: True if another try may succeed, so that a resumed run computes it again.
        curves: the curves behind the value, as JSON.
    """

    example: str
    explainer: str
    metric: str
    value: float
    reason: str | None
    seconds: float
    rows: int
    target: int
    retry: bool
    curves: str | None


@dataclass
class ChunkResult:
    """The records of a chunk of examples, and the maps that are kept of them."""

    records: list[CellRecord] = field(default_factory=list)
    maps: list[Mapped] = field(default_factory=list)
