"""Explainers x metrics x examples: a table with every example's value, a verdict, and the maps behind it."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import pnpxai
from pnpxai.engine.keys import model_key
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.choose import ExplainerSpec, MetricSpec, as_candidates, as_metric
from pnpxai.metrics.evaluation import Row, evaluate_all
from pnpxai.recommender import recommend
from pnpxai.statistics import Decision, DecisionRule, Interval, MeanRank, bootstrap
from pnpxai.tensors import flat
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult

__all__ = ["DEFAULT_METRICS", "Results", "compare"]

DEFAULT_METRICS = ("AbPC", "FaithfulnessCorrelation", "Sensitivity", "Complexity")


@dataclass(frozen=True)
class Results:
    """What ``compare`` found.

    Attributes:
        table: one row for each example, explainer and metric: example, key, target, label, explainer, metric, value,
            reason (why there is no value).
        seconds: time for each explainer: explaining, and each metric.
        decision: the verdict.
        directions: metric -> whether higher is better.
        settings: the settings behind each explainer's label.
        maps: the first examples' maps, for each explainer (examples, *positions).
        inputs: those examples' inputs.
        facts: seed, versions, the model's key.
        rejected: explainers that do not fit, with the reason.
        tuned: what tuning found, for the explainers that were tuned.
    """

    table: pd.DataFrame
    seconds: pd.DataFrame
    decision: Decision
    directions: dict[str, bool]
    settings: dict[str, dict[str, Any]]
    maps: dict[str, Tensor]
    inputs: Tensor
    facts: dict[str, Any]
    rejected: dict[str, str] = field(default_factory=dict)
    tuned: tuple[dict[str, Any], ...] = ()

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
        chosen = (self.table["metric"] == metric) & (self.table["explainer"] == explainer)
        rows = self.table.loc[chosen]
        return rows["value"].to_numpy()[rows["example"].to_numpy().argsort(kind="stable")]

    def interval(self, metric: str, explainer: str) -> Interval:
        """Return the mean over examples with its bootstrap interval."""
        return bootstrap(self.values(metric, explainer))

    def summary(self) -> pd.DataFrame:
        """Return one row for each explainer: verdict, mean rank, every metric's mean with interval, seconds."""
        rows = []
        for label in self.explainers:
            verdict = "best" if label == self.decision.best else "ties" if label in self.decision.set else ""
            row: dict[str, Any] = {"explainer": label, "verdict": verdict or self.decision.dropped.get(label, "")}
            row["mean rank"] = str(self.decision.mean_rank[label])
            for metric, higher in self.directions.items():
                row[f"{metric} {'(+)' if higher else '(-)'}"] = str(self.interval(metric, label))
            row["seconds"] = round(float(self.seconds.loc[label, "explaining"]), 3)
            rows.append(row)
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return f"{self.decision.sentence()}\n{self.summary().to_string(index=False, justify='left')}"

    def save(self, folder: str | Path) -> Path:
        """Write the table (parquet), everything else (JSON) and the maps (safetensors), each complete or not at all."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "facts": self.facts, "settings": self.settings, "rejected": self.rejected, "tuned": list(self.tuned),
            "directions": self.directions, "seconds": self.seconds.to_dict(orient="index"),
        }  # fmt: skip
        tensors = {f"map/{label}": values.contiguous() for label, values in self.maps.items()}
        writers = {
            "values.parquet": lambda path: self.table.to_parquet(path),
            "maps.safetensors": lambda path: save_file(tensors | {"inputs": self.inputs.contiguous()}, path),
            "run.json": lambda path: Path(path).write_text(json.dumps(record, indent=1)),
        }
        for name, write in writers.items():
            partial = folder / f".{name}.part"
            write(partial)
            partial.replace(folder / name)
        return folder

    @classmethod
    def load(cls, folder: str | Path, rule: DecisionRule | None = None) -> Results:
        """Read what ``save`` wrote; nothing in it is executed. The run's rule (or ``rule``) makes the verdict anew.

        Raises:
            ArgumentError: the folder holds no complete run.
        """
        from safetensors.torch import load_file

        folder = Path(folder)
        if not (folder / "run.json").exists():
            raise ArgumentError(f"folder: {folder} holds no run.json, so no complete run")
        record, tensors = json.loads((folder / "run.json").read_text()), load_file(folder / "maps.safetensors")
        table = pd.read_parquet(folder / "values.parquet")
        seconds = pd.DataFrame.from_dict(record["seconds"], orient="index")
        maps = {name.removeprefix("map/"): value for name, value in tensors.items() if name.startswith("map/")}
        controls = [label for label, s in record["settings"].items() if s["control"]]
        saved = record["facts"].get("rule")
        rule = rule or (DecisionRule.from_dict(saved) if saved else None)
        decision = _decided(table, record["directions"], controls, rule)
        return cls(
            table, seconds, decision, record["directions"], record["settings"], maps, tensors["inputs"],
            record["facts"], record["rejected"], tuple(record["tuned"]),
        )  # fmt: skip


def compare(
    model: Any,
    examples: Examples,
    explainers: Sequence[ExplainerSpec] | None = None,
    metrics: Sequence[MetricSpec] | None = None,
    *,
    traits: Traits,
    rule: DecisionRule | None = None,
    seed: int = 0,
    keep: int = 16,
    controls: bool = True,
    common: dict[str, Any] | None = None,
    model_id: str | None = None,
    show_progress: bool = True,
) -> Results:
    """Compare explainers on examples.

    Args:
        model: the model.
        examples: what is explained.
        explainers: names, classes, configured explainers or tuning results; by default all that fit, at their defaults.
        metrics: names, classes or configured metrics; by default ``DEFAULT_METRICS``.
        traits: facts about the data.
        rule: how it is decided; by default ``MeanRank()``.
        seed: fixes all draws.
        keep: how many examples' maps are kept.
        controls: add maps that ignore the model, which an explainer must beat.
        common: settings that all explainers and metrics share (extractors, layer, channel_dim).
        model_id: names the model, where its state cannot be seen.
        show_progress: show a progress bar.

    Raises:
        ArgumentError: a name is unknown, or nothing is left to compare.
    """
    fit = recommend(model, traits)
    specs = list(fit.explainers) if explainers is None else list(explainers)
    specs += list(fit.controls) if controls else []
    candidates = as_candidates(specs, model, traits, common)
    if not candidates:
        raise ArgumentError("explainers: expected at least one, got none")
    judges = [as_metric(m, model, common) for m in (DEFAULT_METRICS if metrics is None else metrics)]
    rows = evaluate_all(candidates, judges, examples, seed=seed, keep=keep, show_progress=show_progress)
    directions = {type(m).__name__: m.higher_is_better for m in judges}
    table = _table(rows, examples)
    facts = {
        "seed": seed,
        "examples": len(examples),
        "model": model_key(model, model_id),
        "versions": {
            "pnpxai": pnpxai.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "rule": (rule or MeanRank()).to_dict(),
        "metrics": {type(m).__name__: m.to_dict() for m in judges},
    }
    shown = torch.cat([flat(batch.inputs)[0].detach().cpu() for batch in examples.first(keep)])
    return Results(
        table=table,
        seconds=pd.DataFrame(
            {r.candidate.label: {"explaining": r.seconds} | {n: c.seconds for n, c in r.cells.items()} for r in rows}
        ).T,
        decision=_decided(table, directions, [c.label for c in candidates if c.control], rule),
        directions=directions,
        settings={c.label: c.settings() | {"control": c.control} for c in candidates},
        maps={r.candidate.label: _stacked(r.maps) for r in rows if r.maps},
        inputs=shown,
        facts=facts,
        rejected=fit.reasons,
        tuned=tuple(spec.to_dict() for spec in specs if isinstance(spec, TuningResult)),
    )


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    """Return the maps as one tensor; those that were refused are NaN throughout."""
    shape = next((m.shape for m in maps if m.shape != (1,)), maps[0].shape)
    return torch.stack([m if m.shape == shape else m.expand(shape) for m in maps])


def _table(rows: Sequence[Row], examples: Examples) -> pd.DataFrame:
    keys = examples.keys
    targets = [
        int(t) if t is not None else -1
        for b in examples
        for t in (b.targets if b.targets is not None else [None] * len(b))
    ]
    labels = [
        int(t) if t is not None else -1
        for b in examples
        for t in (b.labels if b.labels is not None else [None] * len(b))
    ]
    records = [
        (number, keys[number], targets[number], labels[number], row.candidate.label, metric, value, reason)
        for row in rows
        for metric, cell in row.cells.items()
        for number, (value, reason) in enumerate(zip(cell.values, cell.reasons, strict=True))
    ]
    columns = ["example", "key", "target", "label", "explainer", "metric", "value", "reason"]
    return pd.DataFrame(records, columns=columns)


def _decided(
    table: pd.DataFrame, directions: dict[str, bool], controls: Sequence[str], rule: DecisionRule | None
) -> Decision:
    ordered = table.sort_values(["example"], kind="stable")
    values = {
        metric: {label: group.value.tolist() for label, group in of_metric.groupby("explainer", sort=False)}
        for metric, of_metric in ordered.groupby("metric", sort=False)
    }
    return (rule or MeanRank()).decide(values, directions, controls)  # type: ignore[arg-type]
