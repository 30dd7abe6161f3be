"""The same call of captum and of this package, side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import pnpxai.attributors
from pnpxai.testing.zoo import CASES, Case
from tests.on_demand import CAPTUM


@dataclass(frozen=True)
class Row:
    """One call, that both libraries understand."""

    name: str
    case: str
    given: dict[str, Any] = field(default_factory=dict)
    made: Callable[[Any, nn.Module], Any] = lambda library, model: model
    """What the constructor gets after the class is chosen: arguments made of the library and the model."""
    change: Callable[[Case], Case] = lambda case: case
    label: str = ""

    def __str__(self) -> str:
        given = ",".join(f"{name}={_short(value)}" for name, value in self.given.items())
        return f"{self.name}-{self.case}-{self.label}({given})"

    def ours(self) -> tuple[Tensor, ...]:
        """Return our answer."""
        return _flat(self._call(pnpxai.attributors))

    def captums(self) -> tuple[Tensor, ...]:
        """Return captum's answer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _flat(self._call(CAPTUM))

    def _call(self, library: Any) -> Any:
        case = self.change(CASES[self.case]())
        made = self.made(library, case.model)
        constructor = getattr(library, self.name)
        attributor = constructor(*made) if isinstance(made, tuple) else constructor(made)
        given = {"target": case.targets} | self.given
        return attributor.attribute(case.inputs, **given)


def agree(row: Row, tolerance: float = 1e-6) -> None:
    """Assert that both give the same numbers, in the same packing and dtype."""
    ours, captums = row.ours(), row.captums()
    assert [tuple(a.shape) for a in ours] == [tuple(b.shape) for b in captums]
    for a, b in zip(ours, captums, strict=True):
        assert torch.isfinite(a).all()
        assert a.abs().max() > 1e-6, "a map of zeros agrees with anything"
        assert torch.allclose(a, b.to(a.dtype), rtol=tolerance, atol=tolerance)


def _flat(result: Any) -> tuple[Tensor, ...]:
    members = result if isinstance(result, (tuple, list)) else (result,)
    return tuple(t.detach() for m in members for t in (_flat(m) if isinstance(m, (tuple, list)) else (m,)))


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor{tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"({','.join(map(_short, value))})"
    return repr(value) if isinstance(value, (int, float, str, list, type(None))) else type(value).__name__
