"""What a search may cost: seconds, rows through the model, or trials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pnpxai.errors import ArgumentError

__all__ = ["Budget"]

_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_FORMS = "expected a time such as '5min' or '90s', '20000 rows', '300 trials', or a whole number of trials"


@dataclass(frozen=True)
class Budget:
    """A limit of what a search may cost.

    Attributes:
        kind: the unit.
        amount: number of units.
    """

    kind: Literal["seconds", "rows", "trials"]
    amount: float

    @classmethod
    def of(cls, spec: str | int | Budget) -> Budget:
        """Read a budget: ``"5min"``, ``"1.5h"``, ``"90s"``, ``"20000 rows"``, ``"300 trials"`` or ``300``.

        Raises:
            ArgumentError: it is none of these, or not above zero.
        """
        if isinstance(spec, Budget):
            return spec
        text = f"{spec} trials" if isinstance(spec, int) and not isinstance(spec, bool) else spec
        match = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*([a-z]+?)s?\s*", text) if isinstance(text, str) else None
        if match is None and isinstance(text, str):
            match = re.fullmatch(r"\s*([\d_]*\.?\d+)\s*(s)\s*", text)
        if match is None or not (amount := float(match[1].replace("_", ""))) > 0:
            raise ArgumentError(f"budget: {_FORMS}, got {spec!r}")
        unit = match[2]
        if unit in _SECONDS:
            return cls("seconds", amount * _SECONDS[unit])
        if unit in ("row", "trial") and amount == int(amount):
            return cls("rows" if unit == "row" else "trials", int(amount))
        raise ArgumentError(f"budget: {_FORMS}, got {spec!r}")

    def __str__(self) -> str:
        return f"{self.amount:g} {self.kind}"
