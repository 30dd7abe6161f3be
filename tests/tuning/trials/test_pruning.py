"""Which trials are pruned: the test behind it is Wilcoxon's."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from pnpxai.tuning.trials.pruning import Pruning, p_value_of_loss


@pytest.mark.parametrize("n", [6, 8, 12, 13, 32, 50, 51, 120])
def test_the_probability_is_that_of_scipy(n: int) -> None:
    draw = np.random.default_rng(n)
    for _ in range(5):
        gains = draw.normal(-0.3, 1, n)
        expected = wilcoxon(gains, alternative="less", zero_method="zsplit").pvalue
        assert p_value_of_loss(gains) == pytest.approx(expected, rel=1e-9)


def test_ties_and_zeros_are_counted_exactly() -> None:
    draw = np.random.default_rng(0)
    for _ in range(5):
        gains = draw.integers(-3, 3, 9).astype(float)
        expected = wilcoxon(gains, alternative="less", zero_method="zsplit").pvalue  # all signs tried
        assert p_value_of_loss(gains) == pytest.approx(expected, rel=1e-9)
    assert p_value_of_loss(np.zeros(8)) == pytest.approx(1.0)


def test_a_loss_on_all_examples_is_seen_and_a_gain_is_not() -> None:
    assert p_value_of_loss(np.full(6, -1.0)) == pytest.approx(0.5**6)
    assert p_value_of_loss(np.full(6, 1.0)) == pytest.approx(1.0)


def test_checkpoints_double() -> None:
    assert Pruning(40, 0).checkpoints() == [8, 16, 32, 40]
    assert Pruning(8, 0).checkpoints() == [8]
    assert Pruning(40, 0, wanted=False).checkpoints() == [40]
    assert sorted(Pruning(40, 0).order(3)) == list(range(40))
    assert Pruning(40, 0).order(3) != Pruning(40, 0).order(4)
