"""What tuning gains in truth: settings tuned for a metric against defaults, on problems with known evidence (dev).

    python benchmarks/tuning_truth.py OUT [--families additive pair ...] [--seeds 1] [--trials 8] [--examples 24]

OUT keeps each result as a line of JSON; what it holds is not measured again. Half of the examples are searched on;
truth is measured on the others. Printed are mean gains in truth with 95 % intervals over problems.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import warnings
from pathlib import Path

import torch

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import as_candidates
from pnpxai.statistics import bootstrap
from pnpxai.truth.benchmark import shaped, truth
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.problem import Drawn, Problem
from pnpxai.tuning import Shared, tune

EXPLAINERS = ("IntegratedGradients", "LRPUniformEpsilon", "Occlusion", "RISE", "Lime")
METRICS = ("MultiScaleCorrelation", "AbPC")


def held_out(problem: Problem) -> Problem:
    """Return a problem with the examples that ``tune`` does not search on."""
    drawn = problem.examples
    parts = [getattr(drawn, f.name) for f in dataclasses.fields(Drawn)]
    rows = torch.arange(len(drawn.labels))
    _, others = Examples.of([(rows, drawn.labels, None)]).split(0.5, 0)
    kept = torch.cat([batch.inputs for batch in others])
    return dataclasses.replace(problem, examples=Drawn(*(part[kept] for part in parts)))


def true(candidate: Candidate, problem: Problem) -> float:
    """Return the truth of a candidate's maps."""
    (batch,) = Examples.of([(problem.examples.inputs, problem.examples.labels, None)])
    return truth(problem, shaped(candidate.maps(batch, 0), problem.examples.truth.shape))


def measured(problem: Problem, trials: int, out: Path, known: set[tuple[str, ...]]) -> None:
    """Tune every explainer for every metric, and write down what the truth of its maps was before and after."""
    shared, judged = Shared(), held_out(problem)
    examples = Examples.of([(problem.examples.inputs, problem.examples.labels, None)])
    for candidate in as_candidates(EXPLAINERS, problem.model, problem.traits):
        for metric in METRICS:
            key = (problem.family.name, str(problem.seed), candidate.label, metric)
            if key in known:
                continue
            try:
                result = tune(
                    candidate, examples, metric, traits=problem.traits, n_trials=trials, n_seeds=0, shared=shared,
                    show_progress=False,
                )  # fmt: skip
                before, after = true(candidate, judged), true(result.best, judged)
            except ArgumentError as refusal:
                print(*key, refusal, flush=True)
                continue
            settings = {name: str(value) for name, value in result.best.settings().items()}
            entry = {"key": key, "default": before, "tuned": after, "gain": result.gain.mean, "settings": settings}
            print(*key, f"{before:.3f} -> {after:.3f}", flush=True)
            with out.open("a") as file:
                file.write(json.dumps(entry) + "\n")


def summary(entries: list[dict]) -> str:
    """Return mean gains by metric and explainer."""
    lines = []
    for metric in METRICS:
        for label in (*EXPLAINERS, None):
            gains = [
                e["tuned"] - e["default"] for e in entries if e["key"][3] == metric and label in (None, e["key"][2])
            ]
            if gains:
                lines.append(f"{metric:24s}{label or 'all':22s}{bootstrap(gains).text(form='+.3f')}")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--families", nargs="+", default=[n for n, f in FAMILIES.items() if f.split == "dev"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--examples", type=int, default=24)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    known = {tuple(json.loads(line)["key"]) for line in lines}
    for seed in range(asked.seeds):
        for name in asked.families:
            measured(FAMILIES[name].problem(seed, asked.examples), asked.trials, asked.out, known)
    print(summary([json.loads(line) for line in asked.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
