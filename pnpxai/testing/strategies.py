"""Laws of strategies: they edit nothing, treat every example alone, keep dtypes, and give what their kind promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pnpxai.strategies.base import Strategy
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.normalization import Normalization
from pnpxai.strategies.pooling import Pooling
from pnpxai.testing.audit import audit
from pnpxai.testing.subject import require

__all__ = [
    "KINDS",
    "StrategyCall",
    "check_alone",
    "check_dtype",
    "check_edits_nothing",
    "check_form",
    "check_found_by_name",
    "check_repeats",
]

KINDS: tuple[type[Strategy], ...] = (Baseline, FeatureMask, Normalization, Pooling)
"""What a strategy can be."""


@dataclass(frozen=True)
class StrategyCall:
    """A strategy with a batch for it.

    Attributes:
        strategy: what is checked.
        values: (examples, ...) what it is called on.
        channel_dim: the axis of channels; None without.
    """

    strategy: Strategy
    values: Tensor
    channel_dim: int | None = 1

    @property
    def kind(self) -> type[Strategy]:
        """Whether it is a baseline, a feature mask, a pooling or a normalisation."""
        return next(kind for kind in KINDS if isinstance(self.strategy, kind))

    def run(self, values: Tensor | None = None) -> Tensor:
        """Return what the strategy gives for the batch, or for other values."""
        values = self.values if values is None else values
        call: Any = self.strategy
        if self.kind is FeatureMask:
            return call(values, self.channel_dim if values.ndim > 2 else None)
        return call(values, self.channel_dim) if self.kind is Pooling else call(values)


def check_found_by_name(call: StrategyCall) -> None:
    """Its short name and its class's name stand for it, unless it holds data."""
    cls, defaults = type(call.strategy), type(call.strategy).defaults()
    if set(defaults) != set(cls._fields):
        return
    for name in (cls.name, cls.__name__):
        require(call.kind.from_name(name) == cls(), "found by name", f"{name!r} is {call.kind.from_name(name)!r}")


def check_edits_nothing(call: StrategyCall) -> None:
    """The values, and the random states, are left as they are; the result shares no memory, unless it is the input."""
    values = call.values.clone()
    with audit(None, values):
        result = call.run(values)
    shared = result.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    require(not shared or result is values, "edits nothing", "the result is a view of the input")


def check_repeats(call: StrategyCall) -> None:
    """A second call gives the same."""
    require(torch.equal(call.run(), call.run()), "repeats", "a second call gives another result")


def check_alone(call: StrategyCall) -> None:
    """An example alone gets what it gets in a batch."""
    together = call.run()
    for k in range(len(call.values)):
        alone = call.run(call.values[k : k + 1])
        row = together[k : k + 1] if len(together) == len(call.values) else together
        require(torch.allclose(alone, row, atol=1e-12), "alone as in a batch", f"example {k} differs")


def check_dtype(call: StrategyCall) -> None:
    """Numbers keep their dtype; a feature mask holds ids."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        values = call.values.to(dtype) if call.values.is_floating_point() else call.values
        expected = torch.int64 if call.kind is FeatureMask else values.dtype
        got = call.run(values).dtype
        require(got == expected, "dtype", f"of {dtype} values expected {expected}, got {got}")


def check_form(call: StrategyCall) -> None:
    """The result has the shape that its kind promises, and is finite.

    A baseline and a normalised map are shaped like the values; a pooled map has no channels; a feature mask numbers the
    features of every example 0, 1, ... without gaps.
    """
    values, result = call.values, call.run()
    shape = list(values.shape)
    require(torch.isfinite(result).all(), "form", "it holds NaN or infinity")
    if call.kind is FeatureMask:
        axis = call.channel_dim if values.ndim > 2 else None
        positions = [n for k, n in enumerate(shape) if k != (None if axis is None else axis % values.ndim)][1:]
        require(list(result.shape[1:]) == positions, "form", f"expected {positions} positions, got {result.shape}")
        for row in result:
            ids = row.unique()
            require(torch.equal(ids, torch.arange(len(ids))), "form", f"expected ids without gaps, got {ids.tolist()}")
        return
    if call.kind is Pooling and call.channel_dim is not None and type(call.strategy).name != "identity":
        del shape[call.channel_dim]
    require(list(result.shape) == shape, "form", f"expected shape {shape}, got {list(result.shape)}")
