"""Intervals and distributions on a common scale: positions in percent, which the page draws."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pnpxai.experiment import Results
from pnpxai.report.words import number
from pnpxai.statistics import Interval

__all__ = ["Distribution", "Scale", "Span", "Strip", "distributions", "interval"]

_MOST_DOTS = 100
_FAR = 12
"""Values this many interquartile ranges from the quartiles are drawn at the edge."""


@dataclass(frozen=True)
class Scale:
    """A range of values that is drawn from 0 to 100 percent."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Scale:
        """Return a scale that holds all values but those that lie very far out."""
        array = np.asarray(list(values), float)
        array = array[np.isfinite(array)]
        if not array.size:
            return cls(0.0, 1.0)
        low, high = float(array.min()), float(array.max())
        first, third = np.quantile(array, [0.25, 0.75])
        if third > first:
            reach = _FAR * float(third - first)
            low, high = max(low, float(first) - reach), min(high, float(third) + reach)
        pad = 0.03 * (high - low) or 0.1 * abs(high) or 0.5
        return cls(low - pad, high + pad)

    def at(self, value: float) -> float:
        """Return where a value is drawn, in percent; beyond the ends, at the end."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0), 1), 2)

    def beyond(self, value: float) -> bool:
        """Return whether a value lies outside."""
        return not self.low <= value <= self.high

    def ticks(self) -> list[tuple[float, str]]:
        """Return places (in percent) and texts of three to six round values."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.8)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(self.at(k * step), number(k * step, digits)) for k in range(first, last + 1)]


@dataclass(frozen=True)
class Span:
    """A mean with its interval as places in percent."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Strip:
    """One explainer's values.

    Attributes:
        label: the explainer.
        control: whether it is there to be beaten.
        dots: places of single values, (across and down in percent, whether it lies beyond the scale).
        span: the mean with its interval; None if no value is defined.
        text: the same in words.
    """

    label: str
    control: bool
    dots: tuple[tuple[float, int, bool], ...]
    span: Span | None
    text: str


@dataclass(frozen=True)
class Distribution:
    """A metric's values for all explainers.

    Attributes:
        metric: the metric.
        higher: whether higher is better.
        ticks: places and texts of round values.
        zero: where zero lies, if it is on the scale.
        strips: one for each explainer, best mean rank first.
        beyond: number of values outside of the scale.
        thinned: whether quantiles stand for the single values.
    """

    metric: str
    higher: bool
    ticks: list[tuple[float, str]]
    zero: float | None
    strips: list[Strip]
    beyond: int
    thinned: bool


def interval(of: Interval, scale: Scale) -> Span | None:
    """Return where a mean and its interval lie on a scale; None without values."""
    if not math.isfinite(of.mean):
        return None
    return Span(scale.at(of.low), scale.at(of.mean), scale.at(of.high))


def distributions(results: Results) -> list[Distribution]:
    """Return every metric's distribution."""
    return [_distribution(results, metric, higher) for metric, higher in results.directions.items()]


def _distribution(results: Results, metric: str, higher: bool) -> Distribution:
    values = {label: results.values(metric, label) for label in results.explainers}
    values = {label: v[np.isfinite(v)] for label, v in values.items()}
    scale = Scale.over(np.concatenate([np.zeros(0), *values.values()]))
    strips = []
    for label, finite in values.items():
        mean = results.interval(metric, label)
        if len(finite):
            text = (
                f"{metric} of {label}: mean {number(mean.mean)}, interval {number(mean.low)} to {number(mean.high)}, "
                f"single values from {number(float(finite.min()))} to {number(float(finite.max()))}"
            )
        else:
            text = f"{metric} of {label}: undefined for every example"
        control = bool(results.settings[label].get("control"))
        strips.append(Strip(label, control, _dots(finite, scale), interval(mean, scale), text))
    return Distribution(
        metric,
        higher,
        scale.ticks(),
        None if scale.beyond(0) else scale.at(0),
        strips,
        sum(scale.beyond(float(v)) for finite in values.values() for v in finite),
        any(len(finite) > _MOST_DOTS for finite in values.values()),
    )


def _dots(values: np.ndarray, scale: Scale) -> tuple[tuple[float, int, bool], ...]:
    if len(values) > _MOST_DOTS:
        values = np.quantile(values, (np.arange(_MOST_DOTS) + 0.5) / _MOST_DOTS)
    # the golden ratio spreads neighbours apart, the same way every time
    heights = [round(20 + 60 * (k * 0.618034 % 1)) for k in range(len(values))]
    return tuple((scale.at(v), y, scale.beyond(v)) for v, y in zip(values.tolist(), heights, strict=True))
