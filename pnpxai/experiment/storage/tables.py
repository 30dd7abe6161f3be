"""What a store holds, as the tables of a comparison."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pnpxai.experiment.results import Curves
from pnpxai.experiment.storage.records import EXPLAINED

__all__ = ["Tables"]


@dataclass(frozen=True)
class Tables:
    """The cells of a comparison.

    Attributes:
        cells: what a store holds, maybe more.
        identities: what each example is known by there.
        with_masks: the same, together with what is known to matter in it.
        explainers: label -> key in the store.
        metrics: key in the store -> name.
        need_masks: the keys of those that ask what is known to matter.
    """

    cells: pd.DataFrame
    identities: Sequence[str]
    with_masks: Sequence[str]
    explainers: Mapping[str, str]
    metrics: Mapping[str, str]
    need_masks: Collection[str]

    def values(self, keys: Sequence[str], labels: Sequence[int]) -> pd.DataFrame:
        """Return one row for each explainer, metric and example, given each example's key and true class."""
        names = ["explainer", "metric", "example"]
        n_examples, n_metrics, n_explainers = len(self.identities), len(self.metrics), len(self.explainers)
        known_by = [self.with_masks if key in self.need_masks else self.identities for key in self.metrics]
        places = pd.MultiIndex.from_arrays([
            np.repeat(np.array([*self.explainers.values()], dtype=object), n_examples * n_metrics),
            np.tile(np.repeat(np.array([*self.metrics], dtype=object), n_examples), n_explainers),
            np.tile(np.array([name for of in known_by for name in of], dtype=object), n_explainers),
        ])  # fmt: skip
        chosen: Any = self.cells.set_index(names)[["value", "reason", "target"]].reindex(places)

        def each(values: Sequence[Any], dtype: Any) -> np.ndarray:
            return np.tile(np.array(values, dtype=dtype), n_metrics * n_explainers)

        reasons = [why if isinstance(why, str) else None for why in chosen["reason"].tolist()]
        return pd.DataFrame({
            "example": each(range(n_examples), np.int64),
            "key": each(keys, object),
            "target": chosen["target"].fillna(-1).to_numpy(np.int64),
            "label": each(labels, np.int64),
            "explainer": np.repeat(np.array([*self.explainers], dtype=object), n_examples * n_metrics),
            "metric": np.tile(np.repeat(np.array([*self.metrics.values()], dtype=object), n_examples), n_explainers),
            "value": chosen["value"].to_numpy(np.float64),
            "reason": reasons,
        })  # fmt: skip

    def seconds(self) -> pd.DataFrame:
        """Return the seconds that explaining and each metric took, and the forward rows of one explanation."""
        groups: Any = self._ours().groupby(["explainer", "metric"], observed=True)
        sums, most = groups["seconds"].sum().to_dict(), groups["rows"].max().to_dict()
        rows = {}
        for label, key in self.explainers.items():
            took = {"explaining": EXPLAINED} | {name: metric for metric, name in self.metrics.items()}
            rows[label] = {name: float(sums.get((key, metric), 0.0)) for name, metric in took.items()}
            rows[label]["rows"] = float(most.get((key, EXPLAINED), -1))
        return pd.DataFrame.from_dict(rows, orient="index")

    def curves(self) -> Curves:
        """Return the mean curves over examples."""
        ours = self._ours()
        drawn = ours[ours["curves"].notna() & ours["reason"].isna()]
        order = {name: place for names in (self.identities, self.with_masks) for place, name in enumerate(names)}
        drawn = drawn.sort_values("example", key=lambda names: names.map(order))  # or means would round differently
        means: dict[tuple[str, str], dict[str, list[float]]] = {}
        for group, texts in drawn.groupby(["explainer", "metric"], observed=True)["curves"]:
            curves = [json.loads(text) for text in texts]
            whole = [n for n in curves[0] if len({len(c[n]) for c in curves}) == 1]
            means[group] = {n: np.mean([c[n] for c in curves], axis=0).tolist() for n in whole}
        of_metrics: Curves = {}
        for metric, name in self.metrics.items():
            of = {label: means[key, metric] for label, key in self.explainers.items() if (key, metric) in means}
            if of:
                of_metrics[name] = of
        return of_metrics

    def _ours(self) -> Any:
        return self.cells[self.cells["example"].isin([*self.identities, *self.with_masks])]
