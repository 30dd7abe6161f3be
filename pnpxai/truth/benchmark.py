"""Truth by explainer and problem, and regret by way of choosing: what ``compare`` decides, against fixed habits."""

from __future__ import annotations

import datetime
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.files import write_file
from pnpxai.metrics import RelevanceRankAccuracy
from pnpxai.metrics.selection import ExplainerSpec
from pnpxai.statistics import DecisionRule
from pnpxai.truth.candidates import CONTROLS, averaged, candidates, habit_candidates
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.packages import MissingPackageError
from pnpxai.truth.problem import Problem

__all__ = ["OPENINGS", "Cell", "Verdict", "cell", "run", "shaped", "truth"]

OPENINGS = Path("benchmarks/truth_openings.jsonl")
"""Where each look at held problems is written down."""
_DECIDING = ("MultiScaleCorrelation", "AbPC", "FaithfulnessCorrelation")


@dataclass(frozen=True)
class Cell:
    """What is known of one problem.

    Attributes:
        family: the family's name.
        seed: which of the family.
        kind: the kind of data.
        redundant: whether the evidence stands more than once.
        proof: accuracy, emptied, replaced, chance.
        truth: explainer or habit -> mean share of the evidence among its highest values.
        values: metric -> explainer -> its value for each example.
        compared: the explainers among which rules choose: those at their defaults.
    """

    family: str
    seed: int
    kind: str
    redundant: bool
    proof: dict[str, float]
    truth: dict[str, float]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    compared: Sequence[str] = ()

    def regret(self, choice: str) -> float:
        """Return (best - choice) / (best - random map): what choosing so lost."""
        best = max(value for name, value in self.truth.items() if name not in CONTROLS)
        return (best - self.truth[choice]) / max(best - self.truth["RandomMap"], 1e-9)

    def verdict(self, rule: DecisionRule, examples: Sequence[int] | None = None) -> Verdict:
        """Return what a rule says of the explainers at their defaults, of all examples or some."""
        names = [*self.compared, *CONTROLS]
        n = len(next(iter(next(iter(self.values.values())).values())))
        rows = list(range(n)) if examples is None else list(examples)
        values = {m: {name: [of[name][k] for k in rows] for name in names} for m, of in self.values.items()}
        decision = rule.decide(values, dict.fromkeys(values, True), CONTROLS)
        first = decision.best or min(self.compared, key=lambda name: decision.mean_rank[name].mean)
        return Verdict(first, self.regret(first), len(decision.set), decision.reliability)


@dataclass(frozen=True)
class Verdict:
    """What a rule said of a problem, and what that was worth.

    Attributes:
        first: the explainer that it puts first.
        regret: what choosing it lost.
        tied: how many cannot be told from it, itself among them; 0 where nothing is shown to beat the controls.
        reliability: the confidence that the verdict states, None where it states none.
    """

    first: str
    regret: float
    tied: int
    reliability: float | None


def truth(problem: Problem, maps: Tensor) -> float:
    """Return the mean share of the evidence among a map's highest values; of tables, its highest absolute values."""
    examples = problem.examples
    judged = maps.abs() if problem.family.kind == "table" else maps
    metric = RelevanceRankAccuracy(problem.model, channel_dim=problem.traits.channel_dim)
    return float(metric.evaluate(examples.inputs, examples.labels, judged, masks=examples.truth).nanmean())


def cell(family: str, seed: int, n_examples: int = 12, explainers: Sequence[ExplainerSpec] = ()) -> Cell:
    """Train a net on a problem, compare explainers as a user does, and measure the truth of their maps.

    Args:
        family: the family's name.
        seed: which of the family.
        n_examples: examples of the problem.
        explainers: further explainers, by name or as classes.
    """
    if family not in FAMILIES:
        raise ArgumentError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    problem = FAMILIES[family].problem(seed, n_examples)
    offered = candidates(problem, explainers)
    results = _compared(problem, [*offered, *habit_candidates(problem)], seed)
    maps = averaged({label: shaped(m, problem.examples.truth.shape) for label, m in results.maps.items()})
    values = {
        metric: {label: [round(float(v), 4) for v in results.values(metric, label)] for label in results.explainers}
        for metric in results.metrics
    }
    q, own = problem.proof, FAMILIES[family]
    proof = {"accuracy": q.accuracy, "emptied": q.emptied, "replaced": q.replaced, "chance": q.chance}
    scores = {name: round(truth(problem, m), 5) for name, m in maps.items()}
    compared = [c.label for c in offered if c.label in maps]
    return Cell(family, seed, own.kind, own.redundant, proof, scores, values, compared)


def _compared(problem: Problem, offered: Sequence[ExplainerSpec], seed: int) -> Results:
    examples = problem.examples
    batch = Examples.of([(examples.inputs, examples.labels, None)])
    return compare(
        problem.model, batch, offered, _DECIDING, traits=problem.traits, seed=seed, keep=len(batch), show_progress=False
    )


def shaped(maps: Tensor, shape: torch.Size) -> Tensor:
    """Return maps by position: of ids summed over the embedding, of series without sensors the same for each."""
    maps = torch.nan_to_num(maps.float())
    if maps.shape == shape:
        return maps
    if maps.ndim == len(shape) + 1:
        return maps.sum(-1)
    return (maps if maps.ndim == len(shape) else maps.unsqueeze(1)).expand(shape)


def run(
    split: str,
    seeds: Iterable[int],
    out: Path,
    n_examples: int = 12,
    families: Iterable[str] | None = None,
    explainers: Sequence[ExplainerSpec] = (),
) -> list[Cell]:
    """Measure the problems of a split, going on where ``out`` (JSON, a list of cells) ends.

    Each look at "held" problems is written down in ``OPENINGS``, as long as that file is there. A family whose trained
    weights or data are not there is left out, with a warning that names the package.

    Args:
        split: "dev", to choose rules on, or "held", to judge them on.
        seeds: which problems of each family.
        out: the file of cells.
        n_examples: examples of each problem.
        families: some of the families, instead of all of the split.
        explainers: further explainers, which are measured and may be chosen.
    """
    if split not in ("dev", "held"):
        raise ArgumentError(f"split: expected 'dev' or 'held', got {split!r}")
    names = [f.name for f in FAMILIES.values() if f.split == split] if families is None else list(families)
    done = [Cell(**entry) for entry in json.loads(out.read_text())] if out.exists() else []
    known, seeds = {(c.family, c.seed) for c in done}, list(seeds)
    if split == "held" and OPENINGS.exists():
        opened = {"at": datetime.datetime.now(datetime.UTC).isoformat(), "seeds": seeds, "families": names}
        with OPENINGS.open("a") as log:
            log.write(json.dumps(opened) + "\n")
    for seed in seeds:
        for name in names:
            if (name, seed) not in known:
                try:
                    done.append(cell(name, seed, n_examples, explainers))
                except MissingPackageError as problem:
                    warnings.warn(f"{name} is left out: {problem}", stacklevel=2)
                    continue
                text = json.dumps([_record(c) for c in done])
                write_file(out, lambda path, text=text: path.write_text(text))
    return done


def _record(one: Cell) -> Mapping[str, object]:
    return vars(one) | {"compared": list(one.compared)}
