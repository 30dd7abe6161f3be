"""Intervals cover as often as they say, at any number of examples."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import t

from pnpxai.statistics import bootstrap


@pytest.mark.parametrize("n", [3, 5, 8, 19, 20, 40])
def test_intervals_cover_the_true_mean_about_as_often_as_they_say(n: int) -> None:
    draws = np.random.default_rng(n).normal(size=(600, n))
    intervals = [bootstrap(values, n_draws=400) for values in draws]
    assert 0.92 <= np.mean([i.low <= 0 <= i.high for i in intervals]) <= 0.98


def test_few_values_have_students_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    reach = t.ppf(0.95, 3) * values.std(ddof=1) / 2
    interval = bootstrap(values, level=0.9)
    assert (interval.low, interval.high) == pytest.approx((values.mean() - reach, values.mean() + reach))


def test_many_values_have_the_interval_that_scipy_computes() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    expected = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    interval = bootstrap(values, n_draws=20_000)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.02 * values.std())
    assert interval.high - interval.mean > interval.mean - interval.low  # skewed as the values are


def test_undefined_values_are_left_out_and_draws_are_repeatable() -> None:
    interval = bootstrap([1.0, float("nan"), 3.0])
    assert (interval.mean, interval.n) == (2.0, 2)
    assert bootstrap([1.0, float("nan"), 3.0]) == interval
    assert bootstrap([float("nan")]).n == 0
    assert interval.text(of=3).endswith(" of 2")
    assert not interval.text(of=2).endswith(" of 2")


def test_one_value_has_no_interval_and_equal_values_no_width() -> None:
    alone = bootstrap([3.0])
    assert (alone.mean, alone.n) == (3.0, 1)
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)
    assert str(alone) == "3.000 [unknown]"
    for n in (5, 30):
        same = bootstrap([2.5] * n)
        assert (same.low, same.high) == (2.5, 2.5)
