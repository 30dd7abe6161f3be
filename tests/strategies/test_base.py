"""Every strategy of every kind keeps what strategies promise."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.registry import every
from pnpxai.strategies.base import Strategy
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.normalization import Normalization
from pnpxai.strategies.pooling import Pooling
from pnpxai.testing.audit import audit
from pnpxai.testing.declarations import check_defaults, check_round_trip, check_signature, check_unknown_setting
from pnpxai.traits import Traits

KINDS = (Baseline, FeatureMask, Normalization, Pooling)
STRATEGIES = [strategy for kind in KINDS for strategy in every(kind, within="pnpxai.")]
IMAGES = torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _values(strategy):
    return IMAGES[:, 0] if issubclass(strategy, FeatureMask) else IMAGES


every_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.__name__)


def test_no_kind_is_forgotten():
    assert set(KINDS) == {kind for kind in Strategy.__subclasses__() if kind.__module__.startswith("pnpxai.")}


@every_strategy
def test_declaration(strategy):
    check_round_trip(strategy())
    check_defaults(strategy)
    check_signature(strategy)
    check_unknown_setting(strategy)


@every_strategy
def test_it_is_found_by_its_name(strategy):
    kind = next(kind for kind in KINDS if issubclass(strategy, kind))
    assert kind.from_name(strategy.name) == strategy()
    assert kind.from_name(strategy.__name__) == strategy()
    assert kind.from_name(7) == 7


@every_strategy
def test_it_edits_nothing_and_repeats(strategy):
    values = _values(strategy).clone()
    with audit(None, values):
        first, second = strategy()(values), strategy()(values)
    assert torch.equal(first, second)


@every_strategy
def test_an_example_alone_is_as_in_a_batch(strategy):
    values = _values(strategy)
    together = strategy()(values)
    for k in range(len(values)):
        alone = strategy()(values[k : k + 1])
        row = together[k : k + 1] if len(together) == len(values) else together
        assert torch.allclose(alone, row, atol=1e-12)


@every_strategy
def test_a_single_number_per_example_is_legal(strategy):
    values = torch.tensor([1.0, 2.0, 4.0])
    if issubclass(strategy, Pooling) or strategy.__name__ == "GaussianBlur":
        return
    together = strategy()(values)
    assert together.shape[-1] in (1, 3) or together.shape == values.shape
    for k in range(3):
        alone = strategy()(values[k : k + 1])
        assert torch.equal(alone, together[k : k + 1] if len(together) == 3 else together)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@every_strategy
def test_numbers_keep_their_dtype(strategy, dtype):
    result = strategy()(_values(strategy).to(dtype))
    assert result.dtype == (torch.int64 if issubclass(strategy, FeatureMask) else dtype)


@pytest.mark.parametrize("traits", [Traits.image(), Traits.series(), Traits.table(), Traits.series(None)], ids=repr)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_something_of_every_kind_suits_any_numbers(kind, traits):
    assert any(strategy.suits(traits) for strategy in every(kind, within="pnpxai."))


def test_an_unknown_name_is_refused():
    with pytest.raises(ArgumentError, match=r"Baseline: no baseline 'gauss_blur'; did you mean 'gaussian_blur'\?"):
        Baseline.from_name("gauss_blur")
