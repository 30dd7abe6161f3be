"""``Results`` of a comparison: a table with every example's value, a verdict, and the maps behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pnpxai.comparisons import CriticalDifference, Pair, agreement, critical_difference, pairwise, pareto
from pnpxai.declare.counts import whole_number
from pnpxai.declare.text_columns import filled, in_columns
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.files import ReadJson
from pnpxai.pictures import View, figure
from pnpxai.pictures.notebook import table_html
from pnpxai.statistics import Decision, DecisionRule, Interval, MeanRank, bootstrap

if TYPE_CHECKING:
    from pnpxai.pictures.plot import Plot

__all__ = ["Curves", "InputMaps", "Results", "decided"]

Curves = dict[str, dict[str, dict[str, list[float]]]]


@dataclass(frozen=True)
class InputMaps:
    """One of the model's inputs and its maps, for the examples whose maps are shown.

    Attributes:
        inputs: (examples, ...) what was explained; a shorter example ends in NaN, or, of ids, in zeros.
        maps: for each explainer that maps this input (examples, *positions), NaN where an example has no map, no such
            position, or padding.
    """

    inputs: Tensor
    maps: dict[str, Tensor]


@dataclass(frozen=True)
class Results:
    """The results of ``compare``.

    Attributes:
        table: one row for each example, explainer and metric: example, key, target, label, explainer, metric, value,
            reason (why there is no value).
        seconds: for each explainer the time of explaining and of each metric, and the forward rows of one explanation.
        decision: the verdict.
        directions: metric -> whether higher is better.
        settings: the settings behind each explainer's label.
        maps: the kept examples' maps of the first input, for each explainer (examples, *positions).
        inputs: those examples' first input.
        facts: seed, versions, the model's key.
        rejected: explainers that do not fit, with the reason.
        tuned: what tuning found, for the explainers that were tuned.
        curves: metric -> explainer -> name -> mean curve over examples, where the metric has curves.
        kept: the numbers of the examples whose maps were kept.
        further: the other explained inputs, where the model has several.
    """

    table: pd.DataFrame
    seconds: pd.DataFrame
    decision: Decision
    directions: dict[str, bool]
    settings: dict[str, Mapping[str, ReadJson]]
    maps: dict[str, Tensor]
    inputs: Tensor
    facts: dict[str, ReadJson]
    rejected: dict[str, str] = field(default_factory=dict)
    tuned: tuple[Mapping[str, ReadJson], ...] = ()
    curves: Curves = field(default_factory=dict)
    kept: tuple[int, ...] = ()
    further: tuple[InputMaps, ...] = ()

    @property
    def of_inputs(self) -> tuple[InputMaps, ...]:
        """Values and maps of every explained input, for the examples whose maps are shown."""
        return (InputMaps(self.inputs, self.maps), *self.further)

    @property
    def metrics(self) -> list[str]:
        """The metrics' names."""
        return list(self.directions)

    @property
    def explainers(self) -> list[str]:
        """The explainers' labels, best mean rank first."""
        return sorted(self.settings, key=lambda label: self.decision.mean_rank[label].mean)

    def values(self, metric: str, explainer: str) -> np.ndarray:
        """Return one metric's values of one explainer, example after example."""
        return self._values.get((metric, explainer), np.zeros(0)).copy()

    @cached_property
    def _values(self) -> dict[tuple[str, str], np.ndarray]:
        ordered = self.table.sort_values("example", kind="stable")
        return {pair: rows.to_numpy() for pair, rows in ordered.groupby(["metric", "explainer"])["value"]}  # type: ignore[misc]

    def interval(self, metric: str, explainer: str) -> Interval:
        """Return the mean over examples with its bootstrap interval."""
        return bootstrap(self.values(metric, explainer))

    def summary(self) -> pd.DataFrame:
        """Return one row for each explainer: verdict, mean rank, every metric's mean with interval, seconds."""
        rows = []
        for label in self.explainers:
            verdict = "best" if label == self.decision.best else "ties" if label in self.decision.set else ""
            row: dict[str, object] = {"explainer": label, "verdict": verdict or self.decision.dropped.get(label, "")}
            row["mean rank"] = str(self.decision.mean_rank[label])
            for metric, higher in self.directions.items():
                row[f"{metric} {'(+)' if higher else '(-)'}"] = self.interval(metric, label).text(self.decision.n)
            row["seconds"] = round(self._seconds(label), 3)
            rows.append(row)
        return pd.DataFrame(rows)

    def statistics(self) -> pd.DataFrame:
        """Return for each explainer and metric: mean, median, interval of the mean, defined and undefined values."""
        rows = []
        for label in self.explainers:
            for metric in self.metrics:
                values, of = self.values(metric, label), self.interval(metric, label)
                median = float(np.median(values[np.isfinite(values)])) if of.n else float("nan")
                rows.append((label, metric, of.mean, median, of.low, of.high, of.n, len(values) - of.n))
        columns = ["explainer", "metric", "mean", "median", "low", "high", "defined", "undefined"]
        return pd.DataFrame(rows, columns=columns)

    def by_class(self, metric: str) -> pd.DataFrame:
        """Return a metric's mean for each explainer (rows) and explained output (columns)."""
        of = self.table[self.table["metric"] == metric]
        means = of.pivot_table(index="explainer", columns="target", values="value", aggfunc="mean", dropna=False)
        return means.reindex(self.explainers)

    def pairs(self, metric: str) -> list[Pair]:
        """Return all pairs of explainers compared by a metric, p-values corrected for their number (Holm)."""
        return pairwise(self._of_each(metric), higher_is_better=self.directions[metric])

    def critical_difference(self, metric: str, level: float = 0.95) -> CriticalDifference:
        """Return the explainers' mean ranks by a metric, and how far two must lie apart to be told from each other."""
        return critical_difference(self._of_each(metric), higher_is_better=self.directions[metric], level=level)

    def pareto(self, metrics: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the explainers (no controls) that none beats in a metric or in time without losing elsewhere."""
        chosen = self.metrics if metrics is None else list(metrics)
        labels = [label for label in self.explainers if not self.settings[label]["control"]]
        means = {
            label: {m: self.interval(m, label).mean for m in chosen} | {"seconds": self._seconds(label)}
            for label in labels
        }
        return pareto(means, {m: self.directions[m] for m in chosen} | {"seconds": False})

    def agreement(self) -> pd.DataFrame:
        """Return how alike two explainers order positions: Spearman's correlation, mean over the kept maps.

        Of several inputs, the mean over those that both explainers map. A map without channels says the same of each;
        maps of other shapes than most are left out.
        """
        each = [_of_one_shape(kept.maps) for kept in self.of_inputs]
        labels = [label for label in self.explainers if any(label in kept.maps for kept in self.of_inputs)]
        correlations = np.full((len(each), len(labels), len(labels)), np.nan)
        for of_input, maps in zip(correlations, each, strict=True):
            places = np.array([labels.index(label) for label in maps], int)
            of_input[np.ix_(places, places)] = agreement({n: m.double().numpy() for n, m in maps.items()})
        known = np.isfinite(correlations)
        mean = np.where(known, correlations, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        return pd.DataFrame(mean, index=labels, columns=labels)

    def _of_each(self, metric: str) -> dict[str, list[float]]:
        if metric not in self.directions:
            raise ArgumentError(f"metric: no {metric!r} in this run{did_you_mean(metric, self.directions)}")
        return {label: self.values(metric, label).tolist() for label in self.explainers}

    def _seconds(self, label: str) -> float:
        return float(self.seconds.loc[label, "explaining"])

    def __str__(self) -> str:
        return f"{filled(self.decision.sentence())}\n\n{in_columns(self.summary().to_dict('list'))}"

    def _repr_html_(self) -> str:
        picture = self.plot().as_html("maps of the best") if self._mapped(0) else ""
        return table_html([self.decision.sentence()], self.summary()) + picture

    def plot(self, number: int = 0, limit: int = 6) -> Plot:
        """Return a matplotlib figure of an example's maps, those of the explainer that ranks first at the start.

        Args:
            number: which of the examples whose maps were kept.
            limit: at most so many explainers.

        Raises:
            ArgumentError: there are no maps of that example.
        """
        labels = self._mapped(whole_number("number", number, 0))[: whole_number("limit", limit)]
        if not labels:
            raise ArgumentError(f"number: expected an example whose maps were kept, 0 to {len(self.inputs) - 1}")
        views = [View.from_dict(view) for view in self.facts.get("views", ())]
        view = views[0].take([number] * len(labels)) if views else View()
        return figure(
            [self.maps[label][number] for label in labels], self.inputs[[number] * len(labels)], labels, view,
            heading=f"example {self.kept[number] if self.kept else number}",
        )  # fmt: skip

    def _mapped(self, number: int) -> list[str]:
        """Return the explainers with a map of an example's first input, best mean rank first."""
        return [
            label for label in self.explainers
            if number < len(self.maps.get(label, ())) and bool(self.maps[label][number].isfinite().any())
        ]  # fmt: skip

    def save(self, folder: str | Path) -> Path:
        """Write the table (parquet), everything else (JSON) and the maps (safetensors), each complete or not at all."""
        from pnpxai.experiment.storage.results_files import write_results

        return write_results(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, rule: DecisionRule | None = None) -> Results:
        """Read what ``save`` wrote; nothing in it is executed. The run's rule (or ``rule``) makes the verdict anew.

        Raises:
            ArgumentError: the folder holds no complete run, or a damaged one.
        """
        from pnpxai.experiment.storage.results_files import read_results

        return read_results(Path(folder), rule)


def _of_one_shape(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the maps that have the shape of most, or can be repeated along axes of length 1 to have it."""
    shapes = [m.shape for m in maps.values()]
    whole = max(shapes, key=shapes.count, default=torch.Size())
    fit = {
        label: all(a in (1, b) for a, b in zip(m.shape, whole, strict=True))
        for label, m in maps.items()
        if m.ndim == len(whole)
    }
    return {label: maps[label].expand(whole) for label, fits in fit.items() if fits}


def decided(
    table: pd.DataFrame, directions: dict[str, bool], controls: Sequence[str], rule: DecisionRule | None
) -> Decision:
    """Return the rule's verdict on a table."""
    ordered = table.sort_values(["example"], kind="stable")
    values = {
        metric: {label: group.value.tolist() for label, group in of_metric.groupby("explainer", sort=False)}
        for metric, of_metric in ordered.groupby("metric", sort=False)
    }
    return (rule or MeanRank()).decide(values, directions, controls)  # type: ignore[arg-type]
