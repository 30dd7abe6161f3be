"""Equal explainers are left out of the best as seldom as promised, better ones are told apart."""

import numpy as np
import pytest
from scipy.stats import binom, rankdata, studentized_range

from pnpxai.statistics import better_than, holm, smallest_sample, tied_with_best
from pnpxai.statistics.simultaneous import examples_needed, range_quantile


@pytest.mark.parametrize(("m", "n_free"), [(2, 5), (4, 7), (4, 1000), (20, 40)])
@pytest.mark.parametrize("alpha", [0.05, 0.03])
def test_the_quantile_of_the_range_is_scipys(m: int, n_free: int, alpha: float) -> None:
    assert range_quantile(alpha, m, n_free) == pytest.approx(studentized_range.isf(alpha, m, n_free), rel=2e-3)


def _ranks(rng: np.random.Generator, n: int, k: int, ahead: float = 0.0) -> np.ndarray:
    values = rng.normal(size=(n, k))
    values[:, 0] += ahead
    return rankdata(-values, axis=1)


@pytest.mark.parametrize(("k", "n", "runs"), [(2, 16, 600), (3, 32, 600), (4, 32, 600), (4, 8, 600), (20, 32, 150)])
def test_one_of_equal_explainers_is_left_out_in_at_most_one_of_twenty_samples(k: int, n: int, runs: int) -> None:
    rng = np.random.default_rng(k * 100 + n)
    left_out = [len(tied_with_best(_ranks(rng, n, k))) < k for _ in range(runs)]
    assert np.mean(left_out) <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.parametrize(("k", "runs"), [(4, 200), (20, 120)])
def test_one_that_is_better_by_three_quarters_of_a_deviation_stands_alone(k: int, runs: int) -> None:
    rng = np.random.default_rng(k)
    alone = [tied_with_best(_ranks(rng, 64, k, 0.75)) == [0] for _ in range(runs)]
    assert np.mean(alone) >= (0.8 if k == 4 else 0.7)


@pytest.mark.parametrize("n", [8, 13, 16, 20, 64])
def test_two_equal_explainers_are_told_apart_in_at_most_one_of_twenty_samples_however_ranks_fall(n: int) -> None:
    """All ways in which one of two can be ahead on so many examples, each with its exact chance."""
    ahead = np.arange(n + 1)
    columns = [np.where(np.arange(n) < k, 1.0, 2.0) for k in ahead]
    told = np.array([len(tied_with_best(np.stack([first, 3 - first], 1))) == 1 for first in columns])
    beaten = np.array([better_than(first[:, None], 3 - first[:, None])[0] for first in columns])
    chance = binom.pmf(ahead, n, 0.5)
    assert 0.005 < chance[told].sum() <= 0.05
    assert 0.005 < chance[beaten].sum() <= 0.05


def test_unequal_variances_leave_no_more_out() -> None:
    rng, left_out = np.random.default_rng(5), []
    for _ in range(300):
        values = rng.normal(size=(32, 6)) * np.array([0.1, 0.1, 0.1, 3, 3, 3])  # symmetric: mean ranks are equal
        left_out.append(len(tied_with_best(rankdata(-values, axis=1))) < 6)
    assert np.mean(left_out) <= 0.07


def test_ranks_without_variance_are_trusted_no_more_than_signs() -> None:
    always = np.tile([1.0, 2.0], (4, 1))
    assert tied_with_best(always) == [0, 1]
    assert tied_with_best(np.tile([1.0, 2.0], (12, 1))) == [0]
    assert not better_than(always[:, :1], always[:, 1:])[0]
    assert better_than(np.ones((12, 1)), np.full((12, 1), 2.0))[0]


def test_no_control_is_beaten_by_noise_more_often_than_promised() -> None:
    rng, errors = np.random.default_rng(2), 0
    for _ in range(400):
        ranks = _ranks(rng, 12, 10)
        errors += better_than(ranks[:, 2:], ranks[:, :2]).any()
    assert errors / 400 <= 0.05


def test_the_smallest_sample_is_where_always_better_is_no_chance() -> None:
    assert [smallest_sample(k) for k in (1, 2, 4, 20)] == [5, 6, 7, 9]
    for k in (1, 2, 4, 20):
        n = smallest_sample(k)
        assert 0.5**n <= 0.05 / k < 0.5 ** (n - 1)


def test_the_number_of_examples_that_would_do_does() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(-0.5, 1, 4000)
    needed = examples_needed(difference, 0.025)
    assert needed is not None
    assert 14 <= needed <= 24  # (1.96 / 0.5)^2 = 15.4, a little more by Student's t
    assert examples_needed(-difference, 0.025) is None


def test_holm_is_written_out() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
