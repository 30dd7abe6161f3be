"""Every strategy of every kind keeps what strategies promise."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from pnpxai.declare.registry import every
from pnpxai.errors import ArgumentError
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.strategies.base import Strategy, for_each
from pnpxai.strategies.baselines import Baseline, EachBaseline, Zeros
from pnpxai.strategies.drawn_baselines import Background, ClassConditional
from pnpxai.strategies.feature_masks import EachMask
from pnpxai.strategies.known_features import Columns, Given, Words
from pnpxai.strategies.normalization import EachNormalization
from pnpxai.strategies.pooling import EachPooling, Pooling
from pnpxai.strategies.superpixels import Superpixels
from pnpxai.strategies.token_baselines import OneToken
from pnpxai.testing.contracts import STRATEGY_CHECKS
from pnpxai.testing.declarations import check_defaults, check_round_trip, check_signature, check_unknown_setting
from pnpxai.testing.strategies import KINDS, StrategyCall
from pnpxai.traits import Traits
from tests.failures import Failures

STRATEGIES = [strategy for kind in KINDS for strategy in every(kind, within="pnpxai.")]
IMAGES = torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROWS = torch.randn(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
IDS = torch.tensor([[1, 2, 3, 0], [4, 4, 1, 2], [0, 1, 0, 3]])

MADE_OF = {
    Background: {"examples": IMAGES.flip(0) + 1},
    ClassConditional: {"examples": ROWS, "labels": torch.tensor([0, 1, 1, 2])},
    Columns: {"groups": ((0, 2), (5, 4, 6))},
    Words: {"continues": torch.tensor([False, True, False, True, False])},
    Given: {"ids": torch.arange(30).reshape(1, 6, 5) // 4 * 3 + 2},
    EachBaseline: {"strategies": ("mean",)},
    EachMask: {"strategies": ("positions",)},
    EachNormalization: {"strategies": ("minmax",)},
    EachPooling: {"strategies": ("sumpos",)},
}
"""What those are given that hold data."""
OF_ROWS, OF_IDS = (ClassConditional, Columns), (OneToken, Words)


def made(strategy):
    return strategy(**MADE_OF.get(strategy, {}))


def values_of(strategy):
    if issubclass(strategy, OF_IDS):
        return IDS
    return ROWS[:3] if issubclass(strategy, OF_ROWS) else IMAGES


def called(strategy, values):
    """Return what a strategy gives for values."""
    return StrategyCall(made(strategy), values, 1 if values.ndim > 2 else None).run()


every_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.__name__)


def test_no_kind_is_forgotten():
    assert set(KINDS) == {kind for kind in Strategy.__subclasses__() if kind.__module__.startswith("pnpxai.")}


@every_strategy
def test_contract(strategy):
    """Every check of the contract, on values that the strategy suits."""
    failures = Failures(strategy.__name__)
    values = values_of(strategy)
    call = StrategyCall(made(strategy), values, 1 if values.ndim > 2 else None)
    for check in STRATEGY_CHECKS:
        failures.run(check, call)
    failures.run(check_round_trip, made(strategy))
    failures.run(check_defaults, strategy)
    failures.run(check_signature, strategy)
    failures.run(partial(check_unknown_setting, **MADE_OF.get(strategy, {})), strategy)
    failures.end()


@pytest.mark.parametrize("strategy", MADE_OF, ids=lambda strategy: strategy.__name__)
def test_what_holds_data_has_to_be_given_it(strategy):
    kind = next(kind for kind in KINDS if issubclass(strategy, kind))
    with pytest.raises(ArgumentError, match=f"{strategy.__name__}: '{next(iter(MADE_OF[strategy]))}' is required"):
        kind.from_name(strategy.name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_no_name_stays_as_it_is(kind):
    assert kind.from_name(7) == 7


@every_strategy
def test_a_single_number_per_example_is_legal(strategy):
    values = torch.tensor([1.0, 2.0, 4.0])
    if issubclass(strategy, (Pooling, Superpixels)) or strategy in MADE_OF or strategy.__name__ == "GaussianBlur":
        return
    values = values.long() if issubclass(strategy, OneToken) else values
    together = strategy()(values)
    assert together.shape[-1] in (1, 3) or together.shape == values.shape
    for k in range(3):
        alone = strategy()(values[k : k + 1])
        assert torch.equal(alone, together[k : k + 1] if len(together) == 3 else together)


@pytest.mark.parametrize("traits", [Traits.image(), Traits.series(), Traits.table(), Traits.series(None)], ids=repr)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_something_of_every_kind_suits_any_numbers(kind, traits):
    assert any(strategy.suits(traits) for strategy in every(kind, within="pnpxai.") if strategy not in MADE_OF)


@pytest.mark.parametrize("traits", [None, Traits.image(), Traits.text()], ids=str)
def test_what_holds_data_is_not_searched(traits):
    found = KernelShap.get_tunables(traits)
    searched = {name for field in ("baseline_fn", "feature_mask_fn") for name in found[field][1]["choices"]}
    assert not searched & {strategy.name for strategy in MADE_OF}
    assert "auto" in searched


def test_an_unknown_name_is_refused():
    with pytest.raises(ArgumentError, match=r"Baseline: no baseline 'gauss_blur'; did you mean 'gaussian_blur'\?"):
        Baseline.from_name("gauss_blur")


def test_several_inputs_have_one_strategy_or_one_each():
    two = (IMAGES, IDS)
    assert for_each(Zeros(), two) == (Zeros(), Zeros())
    each = EachBaseline(("mean", "token"))
    assert [fn.name for fn in for_each(each, two)] == ["mean", "token"]
    with pytest.raises(ArgumentError, match="EachBaseline: expected a strategy for each of 1 inputs, got 2"):
        for_each(each, two[:1])
    with pytest.raises(ArgumentError, match="Baseline: no baseline 'positions'"):
        EachBaseline(("positions",))
