"""The same method of captum and of this package at the same layer, and small networks with layers of several forms."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pnpxai.attributors
from pnpxai.testing.zoo import CASES
from tests.on_demand import CAPTUM

OURS = pytest.param(pnpxai.attributors, id="ours")


def mended(*raises: type[BaseException]) -> Any:
    """Return a parameter pair: this package, and captum, which is expected to fail."""
    wrong = (AssertionError, pytest.fail.Exception, *raises)
    mark = pytest.mark.xfail(strict=True, reason="captum 0.9", raises=wrong)
    return pytest.mark.parametrize("library", [OURS, pytest.param(CAPTUM, id="captum", marks=mark)])


def explain(library: Any, name: str, model: nn.Module, layer: Any, inputs: Any, *made: Any, **given: Any) -> Any:
    """Return a method's answer at a layer (a name, or a list of names)."""
    modules = [model.get_submodule(one) for one in (layer if isinstance(layer, list) else [layer])]
    with warnings.catch_warnings():
        if library is CAPTUM:
            warnings.simplefilter("ignore")
        method = getattr(library, name)(model, modules if isinstance(layer, list) else modules[0], *made)
        return method.attribute(inputs, **given)


def at(case: str, name: str, layer: Any, *made: Any, **given: Any) -> tuple[Any, Any]:
    """Return our answer and captum's on a calibrated model."""
    it = CASES[case]()
    if name != "LayerActivation":
        given = {"target": it.targets} | given
    return tuple(  # type: ignore[return-value]
        explain(library, name, it.model, layer, it.inputs, *made, **given) for library in (pnpxai.attributors, CAPTUM)
    )


def flat(result: Any) -> list[Tensor]:
    """Return the tensors of an answer."""
    return [t for m in result for t in flat(m)] if isinstance(result, (tuple, list)) else [result]


def agree(ours: Any, captums: Any, tolerance: float = 1e-6) -> None:
    """Assert that two answers have the same packing and numbers, which are not all zero."""
    assert _packing(ours) == _packing(captums)
    for a, b in zip(flat(ours), flat(captums), strict=True):
        assert not a.requires_grad
        assert a.shape == b.shape
        assert torch.allclose(a, b.detach().to(a.dtype), rtol=tolerance, atol=tolerance)
    largest = max(float(a.abs().max()) for a in flat(ours) if a.numel())
    assert largest > 10 * tolerance, "a map of zeros agrees with anything"


def _packing(result: Any) -> Any:
    return [type(result), *map(_packing, result)] if isinstance(result, (tuple, list)) else type(result)


class Halves(nn.Module):
    """Gives the two halves of its input, as a tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :3] * 2, torch.tanh(x[:, 3:])


class Both(nn.Module):
    """Takes two tensors, maybe a third, and a mask of integers."""

    def forward(self, a: Tensor, b: Tensor, third: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        out = a * b + a
        return out if mask is None else out * mask


class Pairs(nn.Module):
    """A network between whose layers two tensors pass."""

    def __init__(self, *, more: bool = False) -> None:
        super().__init__()
        self.halves = Halves()
        self.both = Both()
        self.head = nn.Linear(3, 2)
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.halves(x)
        return self.head(self.both(a, b, None, (x[:, :3] > 0).long()) if self.more else self.both(a, b)).square()


class Attention(nn.Module):
    """Self-attention, whose second output is None, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        seen, _ = self.attention(x, x, x, need_weights=False)
        return self.head(seen.mean(1))


class TimeFirst(nn.Module):
    """A recurrent network whose layer has time as its first dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(2, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.cell(x.transpose(0, 1))
        return self.head(torch.tanh(states).mean(0) * last[0])


class Windows(nn.Module):
    """A layer that sees each example as several rows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.head = nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.inner(x.reshape(-1, 2))).reshape(len(x), 9)).square()


class Whole(nn.Module):
    """Gives one number for its whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)).square().sum().reshape(1)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers of double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(make: Any, **given: Any) -> nn.Module:
    """Return a network of double precision, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make(**given).double().eval()
