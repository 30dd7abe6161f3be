"""Computes statistics of maps that arrive one by one, without storing the maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.tensors import as_tuple

__all__ = [
    "MSE",
    "ClassSummarizer",
    "CommonStats",
    "Count",
    "Max",
    "Mean",
    "Min",
    "StatValue",
    "StdDev",
    "Sum",
    "Summarizer",
    "SummarizerSingleTensor",
    "Var",
]

StatValue: TypeAlias = Tensor | int | float
"""The value of a statistic."""
Summary: TypeAlias = Mapping[str, StatValue | None]


class Stat(ABC):
    """Is one statistic of each element of tensors over all samples x_1, ..., x_n."""

    default_name = ""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name

    @abstractmethod
    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return the statistic, None before the first sample."""


class Count(Stat):
    """Counts the samples: n."""

    default_name = "count"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return n."""
        return moments.count


class Mean(Stat):
    """Computes the mean."""

    default_name = "mean"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return ``sum(x) / n``."""
        return moments.mean


class MSE(Stat):
    """Computes the sum of squared differences from the mean."""

    default_name = "mse"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return ``sum((x - mean)^2)``."""
        return moments.squares


class Var(Stat):
    """Computes the variance."""

    default_name = "variance"

    def __init__(self, name: str | None = None, order: int = 0) -> None:
        """Take ``order``, which is subtracted from n: 0 for the samples' own variance, 1 for an unbiased estimate."""
        if order not in (0, 1):
            raise ArgumentError(f"order: expected 0 or 1, got {order!r}")
        super().__init__(name or ("sample_variance" if order else self.default_name))
        self.order = order

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return ``sum((x - mean)^2) / (n - order)``."""
        if moments.squares is None or moments.count <= self.order:
            return None
        return moments.squares / (moments.count - self.order)


class StdDev(Var):
    """Computes the standard deviation."""

    default_name = "std_dev"

    def __init__(self, name: str | None = None, order: int = 0) -> None:
        super().__init__(name or ("sample_std_dev" if order else self.default_name), order)

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return the root of the variance."""
        variance = super().of(moments)
        return variance.sqrt() if isinstance(variance, Tensor) else None


class Min(Stat):
    """Computes the smallest value."""

    default_name = "min"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return the smallest value."""
        return moments.least


class Max(Stat):
    """Computes the largest value."""

    default_name = "max"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return the largest value."""
        return moments.most


class Sum(Stat):
    """Computes the sum."""

    default_name = "sum"

    def of(self, moments: _Moments) -> Tensor | int | None:
        """Return the sum."""
        return None if moments.mean is None else moments.mean * moments.count


def CommonStats() -> list[Stat]:  # noqa: N802  (captum's name)
    """Return mean, sample variance and standard deviation, smallest and largest value."""
    return [Mean(), Var(order=1), StdDev(order=1), Min(), Max()]


class Summarizer:
    """Computes statistics of tensors, or of tuples of tensors, that arrive one after the other.

    Each call of ``update`` is one sample, as in captum; the statistics are those of each element over the calls.
    """

    def __init__(self, stats: Sequence[Stat]) -> None:
        self.stats = list(stats)
        self._moments: list[_Moments] = []
        self._bare = True

    def update(self, x: float | Tensor | tuple[float | Tensor, ...]) -> None:
        """Take one sample.

        Raises:
            ArgumentError: the sample has another number of tensors than the samples before.
        """
        members = x if isinstance(x, tuple) else (x,)
        tensors = as_tuple(tuple(m if isinstance(m, Tensor) else torch.tensor(m, dtype=torch.float) for m in members))
        if not self._moments:
            self._moments, self._bare = [_Moments() for _ in tensors], not isinstance(x, tuple)
        if len(tensors) != len(self._moments):
            raise ArgumentError(f"x: expected {len(self._moments)} tensors, as before, got {len(tensors)}")
        for moments, tensor in zip(self._moments, tensors, strict=True):
            moments.add(tensor.detach())

    @property
    def summary(self) -> Summary | list[Summary] | None:
        """The statistics by name; a list of them for tuples, None before the first sample."""
        summaries: list[Summary] = [{s.name: s.of(moments) for s in self.stats} for moments in self._moments]
        if not summaries:
            return None
        return summaries[0] if self._bare else summaries


class SummarizerSingleTensor:
    """Adds up statistics of one tensor; ``Summarizer`` takes tuples too.

    Args:
        stats: the statistics.
        summary_stats_indices: which of them ``summary`` shows, by their places.
    """

    def __init__(self, stats: Sequence[Stat], summary_stats_indices: Sequence[int]) -> None:
        self._stats = list(stats)
        self._shown = [self._stats[place] for place in summary_stats_indices]
        self._moments = _Moments()

    def update(self, x: Tensor) -> None:
        """Take one sample."""
        self._moments.add(x.detach())

    def get(self, stat: Stat) -> Stat | None:
        """Return the statistic of the same kind and name that it has, None if it has none."""
        return next((own for own in self._stats if type(own) is type(stat) and own.name == stat.name), None)

    @property
    def summary(self) -> Summary:
        """The statistics that are shown, by name."""
        return {stat.name: stat.of(self._moments) for stat in self._shown}


class ClassSummarizer(Summarizer):
    """Computes the statistics of each class beside those of all samples."""

    def __init__(self, stats: Sequence[Stat]) -> None:
        super().__init__(stats)
        self._classes: dict[Hashable, Summarizer] = {}

    def update(
        self, x: float | Tensor | tuple[float | Tensor, ...], labels: Tensor | Sequence[Hashable] | Hashable = None
    ) -> None:
        """Take examples (examples, ...), all of one class, or with a label for each of them.

        Raises:
            ArgumentError: there are not as many labels as examples.
        """
        if labels is None:
            super().update(x)
            return
        members = as_tuple(x)
        each = labels.tolist() if isinstance(labels, Tensor) else labels
        if not isinstance(each, list):
            each = [each] * len(members[0])
        if any(len(m) != len(each) for m in members):
            raise ArgumentError(f"labels: expected one for each of {len(members[0])} examples, got {len(each)}")
        for k, label in enumerate(each):
            rows = tuple(m[k].clone() for m in members)
            sample = rows if isinstance(x, tuple) else rows[0]
            self._classes.setdefault(label, Summarizer(self.stats)).update(sample)
            super().update(sample)

    @property
    def class_summaries(self) -> dict[Hashable, Summary | list[Summary] | None]:
        """The summary of each class."""
        return {label: summarizer.summary for label, summarizer in self._classes.items()}


class _Moments:
    """Streams number, mean, sum of squared differences (Welford) and range of samples."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self.squares: Tensor | None = None
        self.least: Tensor | None = None
        self.most: Tensor | None = None

    def add(self, x: Tensor) -> None:
        self.count += 1
        if self.mean is None or self.squares is None or self.least is None or self.most is None:
            self.mean, self.squares, self.least, self.most = x.clone(), torch.zeros_like(x), x.clone(), x.clone()
            return
        shift = x - self.mean
        self.mean = self.mean + shift / self.count
        self.squares = self.squares + shift * (x - self.mean)
        self.least, self.most = torch.minimum(self.least, x), torch.maximum(self.most, x)
