"""Known answers: tables that statisticians have published, planted winners, laws of ranks."""

import math

import numpy as np
import pytest
from scipy import stats

from pnpxai.comparisons import agreement, critical_difference, pairwise, pareto
from pnpxai.errors import ArgumentError
from pnpxai.statistics import holm

RNG = np.random.default_rng(0)


def test_holm_is_bonferroni_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_a_planted_winner_is_found_and_equals_are_not_told_apart() -> None:
    noise = RNG.normal(size=(3, 60))
    values = {"good": (noise[0] + 2).tolist(), "bad": noise[1].tolist(), "same": noise[1].tolist()}
    pairs = {(p.first, p.second): p for p in pairwise(values, higher_is_better=True)}
    assert pairs["good", "bad"].adjusted < 1e-6 < pairs["bad", "same"].p == 1.0
    assert pairs["good", "bad"].difference == pytest.approx(float(np.mean(noise[0] + 2 - noise[1])))
    assert pairs["good", "bad"].p == pytest.approx(stats.wilcoxon(noise[0] + 2 - noise[1]).pvalue)
    lower = {(p.first, p.second): p for p in pairwise(values, higher_is_better=False)}
    assert lower["good", "bad"].difference == -pairs["good", "bad"].difference


def test_pairs_that_are_tested_together_have_the_p_values_of_each_alone() -> None:
    draw = np.random.default_rng(0)
    values = {name: np.round(draw.normal(size=64), 1) for name in "abcd"}  # with ties and zeros
    values["d"] = values["c"].copy()
    values["a"][3] = np.nan
    for pair in pairwise(values, higher_is_better=True):
        difference = values[pair.first] - values[pair.second]
        difference = difference[np.isfinite(difference)]
        alone = stats.wilcoxon(difference).pvalue if difference.any() else 1.0
        assert pair.p == pytest.approx(alone)


def test_undefined_values_leave_their_pair_out() -> None:
    (pair,) = pairwise({"a": [1.0, math.nan, 3.0], "b": [0.0, 0.0, 0.0]}, higher_is_better=True)
    assert (pair.n, pair.difference) == (2, 2.0)
    (pair,) = pairwise({"a": [math.nan], "b": [0.0]}, higher_is_better=True)
    assert (pair.n, pair.p) == (0, 1.0)
    with pytest.raises(ArgumentError, match="as many for each"):
        pairwise({"a": [1.0], "b": [0.0, 1.0]}, higher_is_better=True)


def test_the_critical_difference_is_demsars() -> None:
    # Demsar (2006), section 3.2.2 and table 6: 4 classifiers on 14 data sets; 0.05: CD = 2.569 sqrt(4 * 5 / (6 * 14))
    auc = {
        "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
        "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
    }
    found = critical_difference(auc, higher_is_better=True)
    assert found.difference == pytest.approx(1.25, abs=0.005)
    rounded = {label: round(rank, 3) for label, rank in found.mean_ranks.items()}
    assert rounded == {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert found.p == pytest.approx(stats.friedmanchisquare(*auc.values()).pvalue)
    assert found.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)


def test_groups_hold_what_lies_within_one_critical_difference() -> None:
    steps = RNG.normal(scale=0.1, size=(4, 200)) + np.array([[0], [0.01], [5], [5.01]])
    found = critical_difference(dict(zip("abcd", steps.tolist(), strict=True)), higher_is_better=False)
    assert [set(group) for group in found.groups] == [{"a", "b"}, {"c", "d"}]
    equal = critical_difference({"a": [1.0, 1.0], "b": [1.0, 1.0]}, higher_is_better=True)
    assert equal.p == 1.0
    with pytest.raises(ArgumentError, match="at least two explainers"):
        critical_difference({"a": [1.0, 2.0]}, higher_is_better=True)


def test_the_pareto_front_holds_what_nothing_beats() -> None:
    means = {
        "fast": {"AbPC": 0.1, "seconds": 1}, "good": {"AbPC": 0.9, "seconds": 9}, "slow": {"AbPC": 0.1, "seconds": 5},
        "twin": {"AbPC": 0.9, "seconds": 9}, "none": {"AbPC": math.nan, "seconds": 2},
    }  # fmt: skip
    assert pareto(means, {"AbPC": True, "seconds": False}) == ("fast", "good", "twin")


def test_agreement_is_spearmans_mean() -> None:
    a, b = RNG.normal(size=(2, 5, 4, 4))
    found = agreement({"a": a, "b": b, "exp": np.exp(a), "minus": -a})
    expected = np.mean([stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)])
    assert found[0, 1] == pytest.approx(expected)
    assert found[0, 2] == pytest.approx(1)
    assert found[0, 3] == pytest.approx(-1)
    assert np.allclose(found, found.T)
    a[0], b[1] = 1.0, math.nan
    expected = np.mean([stats.spearmanr(a[k].ravel(), b[k].ravel()).statistic for k in (2, 3, 4)])
    assert agreement({"a": a, "b": b})[0, 1] == pytest.approx(expected)
    assert np.isnan(agreement({"a": np.ones((2, 3)), "b": np.ones((2, 3))})).all()
    with pytest.raises(ArgumentError, match="one shape"):
        agreement({"a": a, "b": b[:2]})


def test_agreement_is_over_the_positions_that_both_maps_have() -> None:
    a, b, c = RNG.normal(size=(3, 6, 12))
    lengths = [12, 7, 3, 2, 0, 9]
    for k, length in enumerate(lengths):
        a[k, length:] = b[k, length:] = c[k, length:] = math.nan
    a[5, :2], b[5, 4:6] = math.nan, math.nan  # one lacks what the other has
    c[0, 4] = math.inf
    found = agreement({"a": a, "b": b, "c": c})

    def oracle(one: np.ndarray, other: np.ndarray, rows: list[int]) -> float:
        kept = [np.isfinite(one[k]) & np.isfinite(other[k]) for k in rows]
        each = [stats.spearmanr(one[k][on], other[k][on]).statistic for k, on in zip(rows, kept, strict=True)]
        return float(np.mean(each))

    assert found[0, 1] == pytest.approx(oracle(a, b, [0, 1, 2, 5]))
    assert found[0, 2] == pytest.approx(oracle(a, c, [1, 2, 5]))
    assert found[0, 0] == pytest.approx(1)
    short = {"a": a[3:5], "b": b[3:5]}  # two positions are always ordered alike, or the other way round
    assert np.isnan(agreement(short)).all()
    flat = a[:2].copy()
    flat[1, :7] = 2.0
    assert agreement({"a": flat, "b": b[:2]})[0, 1] == pytest.approx(oracle(a, b, [0]))
