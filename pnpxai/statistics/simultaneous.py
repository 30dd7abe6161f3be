"""Which of several explainers cannot be told from the best, with one chance of error over all that is said.

All numbers here are ranks (examples x explainers), so that smaller is better.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

__all__ = ["better_than", "examples_needed", "holm", "range_quantile", "smallest_sample", "tied_with_best"]

_RANGE_SHARE, _LEAD_SHARE = 0.6, 0.8
"""Shares of the chance of error that the tests of the range and of the lead have. Both mostly reject the same groups,
so that together they stay below the whole: of 3, 4 and 20 equal explainers, one was left out in .04, .04 and .03 of
1,000, 1,000 and 150 simulated samples of 32 examples, at a chance of .05."""


def smallest_sample(count: int, level: float = 0.95) -> int:
    """Return how many examples a verdict on so many explainers takes at least.

    It is the smallest n with 2^-n <= (1 - level) / count: with fewer, one that beats a control on every example could
    not be told from chance.
    """
    return math.ceil(math.log2(max(count, 1) / (1 - level)))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for their number, which keeps the chance of any false alarm. Holm, 1979."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def better_than(ranks: np.ndarray, controls: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return which explainers have lower ranks than every control, with one chance of error over all explainers.

    One-sided paired t-tests, corrected by Holm for the number of explainers. A p-value is never below 2^-n, the least
    of the sign test: a t-test of ranks that happen not to vary would be sure of anything. Where all differences have
    one size, as those of two ranks have, the sign test itself decides.

    Args:
        ranks: (examples, explainers).
        controls: (examples, controls); with none, every explainer passes.
        level: the confidence.
    """
    if not controls.shape[1]:
        return np.ones(ranks.shape[1], bool)
    p = np.array([max(_one_sided(own - control) for control in controls.T) for own in ranks.T])
    return holm(p) <= 1 - level


def _one_sided(difference: np.ndarray) -> float:
    """Return the p-value that a mean difference is below zero."""
    from scipy.special import stdtr

    n = len(difference)
    if n < 2:
        return 1.0
    error = difference.std(ddof=1) / math.sqrt(n)
    if error == 0:
        return 0.5**n if difference.mean() < 0 else 1.0
    return max(float(stdtr(n - 1, difference.mean() / error)), 0.5**n, _by_signs(difference))


def _by_signs(difference: np.ndarray) -> float:
    """Return the p-value of the sign test that a mean difference is below zero, if all that differ do so by one size.

    The t-test of the ranks of two equal explainers, which differ by 1 or -1, errs in .077 of samples of 16, not in .05.
    Where sizes vary, the t-test holds and tells more: then this is 0.
    """
    from scipy.special import bdtrc

    differing = difference[difference != 0]
    if not len(differing):
        return 1.0
    if not np.allclose(np.abs(differing), abs(differing[0])):
        return 0.0
    below = int((differing < 0).sum())
    return float(bdtrc(below - 1, len(differing), 0.5)) if below else 1.0


def tied_with_best(ranks: np.ndarray, level: float = 0.95) -> list[int]:
    """Return the explainers that cannot be told from the one with the lowest mean rank, that one first.

    An explainer i is told from the best if, for every group of explainers that holds both, "all of the group are
    equally good" is rejected: a closed test (Marcus et al., 1976, doi:10.1093/biomet/63.3.655), so that the chance to
    leave out any that is as good as the best is 1 - level over the whole set. A group of m is rejected by its range
    (Tukey's q) or by the best one's lead over its mean (Student's t for m); for each size the group that is hardest to
    reject holds the m - 2 best others.

    Args:
        ranks: (examples, explainers), at least one example.
        level: the confidence.
    """
    n, k = ranks.shape
    order = np.argsort(ranks.mean(0), kind="stable")
    if k < 2 or n < 2:
        return order.tolist()
    x = ranks[:, order]
    mean, covariance = x.mean(0), np.atleast_2d(np.cov(x.T))
    tied = k
    while tied > 1 and _told_apart(mean, covariance, n, tied - 1, 1 - level):
        if _by_signs(x[:, 0] - x[:, tied - 1]) > (1 - level) / 2:
            break
        tied -= 1
    return order[:tied].tolist()


def _told_apart(mean: np.ndarray, covariance: np.ndarray, n: int, i: int, alpha: float) -> bool:
    """Return whether explainer i is told from explainer 0; the columns are in the order of their means."""
    if mean[i] <= mean[0] or 0.5 ** (n - 1) > alpha:
        return False
    members = [0, i]
    others = [j for j in range(1, len(mean)) if j != i]
    paired = max((covariance[0, 0] + covariance[i, i]) / 2 - covariance[0, i], 0.0)
    for m in range(2, len(mean) + 1):
        if m > 2:
            members.append(others[m - 3])
        group = covariance[np.ix_(members, members)]
        pooled = max(float(np.trace(group) - group.sum() / m) / (m - 1), 0.0)
        n_free = (n - 1) * (m - 1)
        ends = mean[members]
        lead = ends.mean() - mean[0]
        if m == 2:
            rejected = lead > _student(alpha / 2, n - 1) * math.sqrt(pooled / 2 / n)
        else:
            rejected = lead > _student(_LEAD_SHARE * alpha / m, n_free) * math.sqrt(pooled * (m - 1) / m / n)
            if not rejected:
                # the pair's own variance counts where it is larger: ranks of some explainers vary more than others'
                free, variance = (n_free, pooled) if pooled >= paired else (n - 1, paired)
                q = range_quantile(_RANGE_SHARE * alpha, m, free)
                rejected = ends.max() - mean[0] > q * math.sqrt(variance / n)
        if not rejected:
            return False
    return True


def examples_needed(difference: np.ndarray, alpha: float) -> int | None:
    """Return about how many examples it takes until a mean difference of ranks is told from zero; None if it has none.

    Args:
        difference: (examples,) ranks of the better one less those of the other.
        alpha: the chance of error of a one-sided test.
    """
    n, mean = len(difference), difference.mean()
    if n < 2 or mean >= 0:
        return None
    effect = -mean / max(difference.std(ddof=1), 1e-9)
    wanted = n
    for _ in range(20):  # the quantile depends on n: a few rounds settle it
        wanted = max(2, math.ceil((_student(alpha, max(wanted - 1, 1)) / effect) ** 2))
    return max(wanted, math.ceil(-math.log2(alpha)))


@functools.lru_cache(4096)
def _student(alpha: float, n_free: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n_free, 1 - alpha))


@functools.lru_cache(4096)
def range_quantile(alpha: float, m: int, n_free: int) -> float:
    """Return q with P(range of m normal values > q s) = alpha, s estimated with ``n_free`` degrees of freedom.

    P(range <= q s) = E_s[F(q s)] with F(w) = m * integral of phi(z) (Phi(z) - Phi(z - w))^(m - 1) dz. Scipy's
    ``studentized_range`` gives the same in half a second a call; this takes milliseconds.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtri

    share = (np.arange(2000) + 0.5) / 2000
    s = np.sqrt(chdtri(n_free, share) / n_free)
    w, f = _range_distribution(m)
    root = brentq(lambda q: np.interp(q * s, w, f).mean() - (1 - alpha), 0.1, 1000.0, xtol=1e-6)
    return float(root)  # type: ignore[arg-type]


@functools.lru_cache(256)
def _range_distribution(m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid of w and F(w), the distribution of the range of m standard normal values."""
    from scipy.special import ndtr

    w = np.concatenate([np.linspace(0, 12, 1201), [1e9]])
    z = np.linspace(-8, 8, 321)
    between = ndtr(z)[:, None] - ndtr(z[:, None] - w)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    f = m * np.trapezoid(density[:, None] * between ** (m - 1), z, axis=0)
    f[-1] = 1.0
    return w, f
