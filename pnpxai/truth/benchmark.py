"""Truth by explainer and problem, and regret by way of choosing."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.files import write_file
from pnpxai.metrics import AbPC, FaithfulnessCorrelation, Infidelity, LeRF, RelevanceRankAccuracy
from pnpxai.truth.candidates import CONTROLS, all_maps
from pnpxai.truth.choosing import Evidence, Way
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.losses import Design, redundancy
from pnpxai.truth.problem import Problem

__all__ = ["OPENINGS", "Cell", "Regret", "cell", "regret", "run", "truth"]

OPENINGS = Path("benchmarks/truth_openings.jsonl")
"""Where each look at held problems is written down."""


@dataclass(frozen=True)
class Cell:
    """What is known of one problem.

    Attributes:
        family: the family's name.
        seed: which of the family.
        kind: the kind of data.
        redundant: whether the evidence stands more than once.
        proof: accuracy, emptied, replaced, chance.
        truth: candidate -> mean share of the evidence among its highest values.
        measures: measure -> candidate -> mean value, larger is better.
        redundancy: 1 - singles / halves; see ``Redundancy``.
    """

    family: str
    seed: int
    kind: str
    redundant: bool
    proof: dict[str, float]
    truth: dict[str, float]
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    redundancy: float = 0.0

    def regret(self, choice: str) -> float:
        """Return (best - choice) / (best - random map): what choosing so lost."""
        best = max(value for name, value in self.truth.items() if name not in CONTROLS)
        return (best - self.truth[choice]) / max(best - self.truth["RandomMap"], 1e-9)


def truth(problem: Problem, maps: Tensor) -> float:
    """Return the mean share of the evidence among a map's highest values; of tables, its highest absolute values."""
    examples = problem.examples
    judged = maps.abs() if problem.family.kind == "table" else maps
    metric = RelevanceRankAccuracy(problem.model, channel_dim=problem.traits.channel_dim)
    return float(metric.evaluate(examples.inputs, examples.labels, judged, masks=examples.truth).nanmean())


def cell(family: str, seed: int, n_examples: int = 16) -> Cell:
    """Train a net on a problem, explain it by every candidate, and measure each with and without the truth."""
    if family not in FAMILIES:
        raise ArgumentError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    problem = FAMILIES[family].problem(seed, n_examples)
    maps = all_maps(problem, seed)
    design, examples = Design.of(problem, seed=seed), problem.examples
    measures: dict[str, dict[str, float]] = {}
    dim = problem.traits.channel_dim
    for metric in (kind(problem.model, channel_dim=dim) for kind in (AbPC, FaithfulnessCorrelation, LeRF, Infidelity)):
        sign = 1.0 if metric.higher_is_better else -1.0
        measures[type(metric).__name__] = {
            name: sign * float(metric.evaluate(examples.inputs, examples.labels, m).nan_to_num(-1.0 * sign).mean())
            for name, m in maps.items()
        }
    for name, m in maps.items():
        for (scale, fill, share), value in design.correlations(m).items():
            measures.setdefault(f"losses {scale} {fill} {share}", {})[name] = value
    q = problem.proof
    proof = {"accuracy": q.accuracy, "emptied": q.emptied, "replaced": q.replaced, "chance": q.chance}
    scores = {name: truth(problem, m) for name, m in maps.items()}
    own = FAMILIES[family]
    return Cell(family, seed, own.kind, own.redundant, proof, scores, measures, redundancy(problem, seed).index)


def run(
    split: str, seeds: Sequence[int], out: Path, n_examples: int = 16, families: Iterable[str] | None = None
) -> list[Cell]:
    """Measure the problems of a split, going on where ``out`` (JSON, a list of cells) ends.

    Each look at "held" problems is written down in ``OPENINGS``, as long as that file is there.
    """
    if split not in ("dev", "held"):
        raise ArgumentError(f"split: expected 'dev' or 'held', got {split!r}")
    names = [f.name for f in FAMILIES.values() if f.split == split] if families is None else list(families)
    done = [Cell(**entry) for entry in json.loads(out.read_text())] if out.exists() else []
    known = {(c.family, c.seed) for c in done}
    if split == "held" and OPENINGS.exists():
        opened = {"at": datetime.datetime.now(datetime.UTC).isoformat(), "seeds": list(seeds), "families": names}
        with OPENINGS.open("a") as log:
            log.write(json.dumps(opened) + "\n")
    for seed in seeds:
        for name in names:
            if (name, seed) not in known:
                done.append(cell(name, seed, n_examples))
                text = json.dumps([vars(c) for c in done])
                write_file(out, lambda path, text=text: path.write_text(text))
    return done


@dataclass(frozen=True)
class Regret:
    """What a way of choosing lost, as a share of what was to be gained over a random map.

    Attributes:
        mean: mean over families.
        low: lower end of the 95 % interval, drawn over families.
        high: upper end.
        worst: the family in which it lost most.
        worst_mean: what it lost there.
    """

    mean: float
    low: float
    high: float
    worst: str
    worst_mean: float


def regret(cells: Sequence[Cell], way: Way | str, seed: int = 0) -> Regret:
    """Return the regret of a way of choosing, or of always taking one candidate, over cells; clustered by family."""
    of_family: dict[str, list[float]] = {}
    for one in cells:
        names = [name for name in one.truth if name not in CONTROLS]
        choice = way if isinstance(way, str) else way(Evidence(one.kind, names, one.measures, one.redundancy))
        of_family.setdefault(one.family, []).append(one.regret(choice))
    means = {family: float(np.mean(lost)) for family, lost in of_family.items()}
    values = np.array(list(means.values()))
    draws = np.random.default_rng(seed).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    worst = max(means, key=lambda family: means[family])
    return Regret(float(values.mean()), float(low), float(high), worst, means[worst])
