"""One scale for maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.strategies.normalization import MaxAbs, MinMax, NoNormalization, Robust, Standard
from pnpxai.traits import Traits

MAPS = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=3).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64).reshape(-1, 2, 2)
)


def _varies(row):
    return float(row.max() - row.min()) > max(1e-300, 1e-12 * float(row.abs().max()))


@given(MAPS)
def test_minmax_ends_at_zero_and_one_and_keeps_order(maps):
    for before, after in zip(maps, MinMax()(maps), strict=True):
        if _varies(before):
            assert after.min() == 0
            assert after.max() == pytest.approx(1)
            assert bool((after.flatten()[before.flatten().argsort()].diff() >= 0).all())
        else:
            assert not after.any()


@given(MAPS)
def test_maxabs_keeps_signs_and_ends_at_one(maps):
    for before, after in zip(maps, MaxAbs()(maps), strict=True):
        assert torch.isfinite(after).all()
        assert bool((after * before >= 0).all())
        if before.abs().max() > 1e-300:
            assert after.abs().max() == pytest.approx(1)


@given(MAPS)
def test_identity(maps):
    assert torch.equal(NoNormalization()(maps), maps)


@pytest.mark.parametrize("normalise", [MinMax(), MaxAbs(), Robust(), Standard()])
def test_a_map_of_zeros_stays(normalise):
    assert not normalise(torch.zeros(2, 3, 3)).any()


@pytest.mark.parametrize("normalise", [MinMax(), MaxAbs(), Robust(), Standard(), NoNormalization()])
def test_tables_are_searched_with_what_leaves_a_column_of_zero_at_zero(normalise):
    scaled = normalise(torch.tensor([[-1.0, 0.0, 2.0, 5.0]]))
    assert normalise.suits(Traits.table()) == (scaled[0, 1] == 0)
    assert normalise.suits(Traits.image())


def test_one_number_per_example_is_not_scaled_by_the_others():
    assert MaxAbs()(torch.tensor([1.0, -4.0, 0.0])).tolist() == [1, -1, 0]
    assert MinMax()(torch.tensor([1.0, -4.0])).tolist() == [0, 0]


def test_standard_divides_by_the_deviation_and_keeps_signs():
    found = Standard()(torch.tensor([[3.0, -1.0], [10.0, 14.0]]))
    assert torch.allclose(found, torch.tensor([[1.5, -0.5], [5.0, 7.0]]))


@given(MAPS)
def test_robust_is_by_median_and_quartiles(maps):
    for before, after in zip(maps, Robust()(maps), strict=True):
        first, median, third = np.percentile(before.numpy(), [25, 50, 75])
        spread = third - first if third > first else float((before - median).abs().max())
        if spread > 1e-290:
            assert np.allclose(after.numpy(), (before.numpy() - median) / spread, rtol=1e-9, atol=1e-9)
        assert torch.isfinite(after).all()


def test_robust_scales_a_map_of_mostly_one_value_by_the_rest():
    assert Robust()(torch.tensor([[0.0, 0.0, 0.0, 0.0, 4.0, -2.0]])).tolist() == [[0, 0, 0, 0, 1, -0.5]]


@pytest.mark.parametrize("normalise", [MinMax(), Standard(), Robust()])
def test_the_rounding_of_a_constant_map_is_not_stretched(normalise):
    maps = torch.full((2, 6), 0.3, dtype=torch.float64)
    maps[0, 2] += 1e-16
    maps[1, 3] = 0.9
    found = normalise(maps)
    assert not found[0].any()
    assert found[1, 3] > 0
