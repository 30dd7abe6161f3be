"""Means over examples with intervals that cover."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pnpxai.files import ReadJson

__all__ = ["Interval", "bootstrap", "student"]

_FEWEST_DRAWN = 20
"""From so many values on, the interval is drawn; below, intervals that are drawn cover too seldom."""


@dataclass(frozen=True)
class Interval:
    """A mean over examples with its interval.

    Attributes:
        mean: the mean, NaN where there is no value.
        low: lower end, NaN where fewer than two values say nothing of others.
        high: upper end, NaN likewise.
        n: number of examples behind it.
    """

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def from_dict(cls, record: Mapping[str, ReadJson]) -> Interval:
        """Return an interval that was written as a dictionary; null, as JSON has no NaN, is NaN."""
        ends = {name: float("nan") if record[name] is None else record[name] for name in ("mean", "low", "high")}
        return cls(**ends, n=record["n"])

    def __str__(self) -> str:
        return self.text()

    def text(self, of: int | None = None, form: str = ".3f") -> str:
        """Return the mean with its interval, and with its number of examples where that is not ``of``."""
        if self.n == 0:
            return "undefined"
        ends = "unknown" if math.isnan(self.low) else f"{self.low:{form}}, {self.high:{form}}"
        return f"{self.mean:{form}} [{ends}]" + ("" if of in (None, self.n) else f" of {self.n}")


def bootstrap(
    values: Sequence[float] | np.ndarray, *, level: float = 0.95, n_draws: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of ``values`` (NaN left out) with an interval over examples.

    Below 20 values it is Student's: mean +- t s / sqrt(n). From 20 on it is the bias-corrected and accelerated
    bootstrap interval (Efron, 1987, doi:10.1080/01621459.1987.10478410), which may be skewed as the values are.
    Intervals of equal values have no width; one value has no interval.
    """
    x = np.asarray(values, dtype=float)
    x = x[np.isfinite(x)]
    n = x.size
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    if n < _FEWEST_DRAWN:
        return student(x, level=level)
    return Interval(mean, *_accelerated(x, level, n_draws, seed), n)


def student(values: np.ndarray, *, level: float = 0.95) -> Interval:
    """Return the mean of at least two finite values with Student's interval mean +- t s / sqrt(n); of one, without."""
    from scipy.special import stdtrit

    n, mean = values.size, float(values.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    reach = float(stdtrit(n - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - reach, mean + reach, n)


def _accelerated(x: np.ndarray, level: float, n_draws: int, seed: int) -> tuple[float, float]:
    """Return the quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of means of examples drawn with replacement.

    z0 is the bias, the normal quantile of the share of draws below the mean; a is the acceleration, a sixth of the
    skewness of the mean; z are the quantiles of the two ends, sqrt(n / (n - 1)) times Student's: draws from few values
    vary too little (Hesterberg, 2015, doi:10.1080/00031305.2015.1089789).
    """
    from scipy.special import ndtr, ndtri, stdtrit

    means, mean = _resampled(x, n_draws, seed), x.mean()
    deviation = x - mean
    spread = math.sqrt(float((deviation**2).sum()))
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return float(mean), float(mean)
    share = (np.sum(means < mean) + 0.5 * np.sum(means == mean)) / n_draws
    z0 = ndtri(min(max(share, 1 / n_draws), 1 - 1 / n_draws))
    a = float((deviation**3).sum()) / (6 * spread**3)
    n = x.size
    ends = z0 + math.sqrt(n / (n - 1)) * stdtrit(n - 1, np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means, ndtr(z0 + ends / (1 - a * ends)))
    return float(low), float(high)


def _resampled(values: np.ndarray, n_draws: int, seed: int) -> np.ndarray:
    """Return (n_draws,) means of examples drawn with replacement, the same examples for one seed and size."""
    rng, size = np.random.default_rng(seed), len(values)
    block = max(1, 2**18 // size)  # so that memory does not grow with examples times draws
    blocks = [min(block, n_draws - start) for start in range(0, n_draws, block)]
    return np.concatenate([values[rng.integers(0, size, (count, size))].mean(1) for count in blocks])
