"""How far each metric is to be trusted: does it stay when nothing changes, and move when all is destroyed?

    python benchmarks/meta_evaluation.py [--device cuda] [--quick] [--only PATTERN] [--seeds 6] [--write FILE]

Meta-evaluation as in Hedström et al., 2023 (arXiv:2302.07265, "MetaQuantus"). Digits lie at random places in noise, a
small network is trained on them, and four explainers are judged, once as they are and again after a perturbation of the
inputs or of the network's parameters. A perturbation is minor (noise resilience, NR: uniform noise up to 0.001 is added
to inputs from 0 to 1, parameters are multiplied by normal numbers of mean 1 and deviation 0.001; examples whose class
stays count) or disruptive (adversary reactivity, AR: up to 1, deviation 2; examples whose class changes count). Inputs
are kept from 0 to 1. Then

    IAC  intra-consistency: p-value of Wilcoxon's test that an explainer's values are as before (for AR, one minus it),
    IEC  inter-consistency: for NR, how often an explainer keeps its rank for an example; for AR, how often its value
         gets worse,
    MC   the mean of the four, from 0 to 1.

A metric that gives every map the same number gets an MC of 0.5, one that gives random numbers about 0.44.

What differs from MetaQuantus: disturbed inputs are explained anew (there, maps of the inputs as they were are judged on
the disturbed ones), ties share their rank, values that are undefined do not count, and one seed fixes a network, its
data and its perturbations (there, one network is perturbed several times). Means and their 95 % intervals (Student's t)
are over seeds. The paper has no threshold. Here, a metric fails in resilience (NR) where explainers keep less than half
of their ranks (IEC), and in reactivity (AR) where what is destroyed gets worse less than half of the time (IEC): its
values then cannot be compared across inputs or models. It fails only if the whole interval lies below a half, and where
the interval holds a half, that is left open.

``--write docs/meta_evaluation.json`` renews what the docs show.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata, t, wilcoxon
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.base import Metric
from pnpxai.metrics.shared_runs import SharedRuns

SIDE, SMALL = 24, 8
MINOR, DISRUPTIVE = {"inputs": 0.001, "model": 0.001}, {"inputs": 1.0, "model": 2.0}
MEASURES = ("IAC NR", "IAC AR", "IEC NR", "IEC AR", "MC")


@dataclass(frozen=True)
class Problem:
    """A model with pictures of known classes and places."""

    model: nn.Module
    x: Tensor
    y: Tensor
    masks: Tensor
    shared: SharedRuns = field(default_factory=SharedRuns)

    @functools.cached_property
    def explained(self) -> list[tuple[Explainer, Any]]:
        """What is judged, with its maps."""
        kinds = Gradient, GradientXInput, IntegratedGradients, Occlusion
        return [(made, made.attribute(self.x, self.y)) for made in (kind(self.model) for kind in kinds)]

    def perturbed(self, kind: str, size: float, seed: int) -> Problem:
        """Return the problem with other inputs or another model."""
        generator = torch.Generator().manual_seed(seed)
        if kind == "inputs":
            x = self.x + size * (2 * _like(torch.rand, self.x, generator) - 1)
            return Problem(self.model, x.clamp(0, 1), self.y, self.masks)
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + size * _like(torch.randn, p, generator))
        return Problem(model, self.x, self.y, self.masks)

    def classes(self) -> Tensor:
        """Return what the model says."""
        with torch.no_grad():
            return self.model(self.x).argmax(1)


def _like(draw: Callable[..., Tensor], tensor: Tensor, generator: torch.Generator) -> Tensor:
    return draw(tensor.shape, generator=generator).to(tensor)


def pictures(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return digits at random places in noise, their classes, and where they are."""
    data, draw = load_digits(), np.random.default_rng(seed)
    x = 0.3 * draw.random((len(data.images), SIDE, SIDE))
    masks = np.zeros_like(x, dtype=bool)
    for k, picture in enumerate(data.images / 16):
        top, left = draw.integers(0, SIDE - SMALL, 2)
        place = slice(top, top + SMALL), slice(left, left + SMALL)
        x[k][place] = np.maximum(x[k][place], picture)
        masks[k][place] = picture > 0.25
    return torch.tensor(x, dtype=torch.float32)[:, None], torch.tensor(data.target), torch.tensor(masks)


def problem(device: torch.device, examples: int, seed: int) -> Problem:
    """Train a network, and return examples that it gets right."""
    torch.manual_seed(seed)
    x, y, masks = pictures(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.Conv2d(16, 32, 4), nn.ReLU(), nn.AdaptiveMaxPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for part in [p for _ in range(15) for p in torch.randperm(len(x) - 300).split(32)]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[300:][part]), y[300:][part]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = model(x[:300]).argmax(1) == y[:300]
    print(f"the network is right about {right.float().mean():.1%} of 300 pictures that it was not trained on")
    rows = right.nonzero()[:examples, 0]
    return Problem(model.to(device), *(t[rows].to(device) for t in (x, y, masks)))


def judged(metric: type[Metric], at: Problem) -> np.ndarray:
    """Return (explainers, examples) values, turned so that higher is better."""
    rows = []
    for explainer, maps in at.explained:
        found = metric(at.model, explainer).measure(at.x, at.y, maps, masks=at.masks, shared=at.shared)
        rows.append(found.values.cpu().double().numpy())
    return np.stack(rows) * (1 if metric.higher_is_better else -1)


def same(before: np.ndarray, after: np.ndarray) -> float:
    """Return the p-value that paired values are alike; NaN where too few are defined."""
    kept = np.isfinite(before) & np.isfinite(after)
    a, b = before[kept], after[kept]
    if len(a) < 5:
        return float("nan")
    if np.array_equal(a, b):
        return 1.0
    return float(wilcoxon(a, b, zero_method="zsplit", method="approx").pvalue)


def consistency(before: np.ndarray, after: np.ndarray, *, minor: bool) -> tuple[float, float]:
    """Return intra- and inter-consistency of (explainers, examples) values."""
    alike = float(np.nanmean([same(a, b) for a, b in zip(before, after, strict=True)]))
    if minor:
        kept = np.isfinite(before).all(0) & np.isfinite(after).all(0)
        return alike, float(np.mean(rankdata(before[:, kept], axis=0) == rankdata(after[:, kept], axis=0)))
    both = np.isfinite(before) & np.isfinite(after)
    return 1 - alike, float(np.mean(after[both] < before[both]))


Perturbed = dict[tuple[str, bool], list[tuple[Problem, np.ndarray]]]
"""What a problem becomes, by what is perturbed and whether that is minor, and which examples count."""


def perturbed(clean: Problem, draws: int) -> Perturbed:
    """Perturb a problem in every way; where less than five examples count, a draw is left out."""
    found: Perturbed = {}
    for minor, sizes in ((True, MINOR), (False, DISRUPTIVE)):
        for kind, size in sizes.items():
            others = [clean.perturbed(kind, size, seed) for seed in range(draws)]
            pairs = [(other, ((other.classes() == clean.y) == minor).cpu().numpy()) for other in others]
            found[kind, minor] = [(other, counted) for other, counted in pairs if counted.sum() >= 5]
    return found


def meta(metric: type[Metric], clean: Problem, others: Perturbed) -> dict[str, list[float]]:
    """Return the five measures for perturbed inputs and models."""
    before = judged(metric, clean)
    found = {}
    for kind in MINOR:
        means = []
        for minor in (True, False):
            pairs = [(judged(metric, other), counted) for other, counted in others[kind, minor]]
            parts = [consistency(before[:, c], after[:, c], minor=minor) for after, c in pairs]
            means.append(np.nanmean(parts, axis=0))
        (a, c), (b, d) = means
        found[kind] = [float(v) for v in (a, b, c, d, np.mean([a, b, c, d]))]
    return found


def interval(values: list[float]) -> list[float]:
    """Return the mean over seeds, and the ends of its 95 % interval (of a single seed: everything)."""
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < 2:
        return [float(known.mean()) if len(known) else float("nan"), 0.0, 1.0]
    reach = float(t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5)
    middle = float(known.mean())
    return [round(v, 4) for v in (middle, max(0.0, middle - reach), min(1.0, middle + reach))]


def summary(rows: list[dict[str, list[float]]]) -> dict[str, Any]:
    """Return what the seeds' measures come to: (mean, low, high) of each, where a metric fails, and what is open."""
    measured = {
        kind: {name: interval([row[kind][k] for row in rows]) for k, name in enumerate(MEASURES)} for kind in rows[0]
    }
    fails, undecided = [], []
    for kind, found in measured.items():
        for name in ("NR", "AR"):
            _, low, high = found[f"IEC {name}"]
            if high < 0.5:
                fails.append(f"{name} ({kind})")
            elif low < 0.5:
                undecided.append(f"{name} ({kind})")
    return {"measured": measured, "fails": fails, "open": undecided}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="few examples, one perturbation of each kind, two seeds")
    parser.add_argument("--only", default="", help="only metrics whose name this pattern finds")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--write", type=Path, help="where to keep the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    examples, draws, seeds = (12, 1, 2) if given.quick else (24, 2, given.seeds)
    metrics = [m for m in every(Metric, within="pnpxai.") if re.search(given.only, m.__name__)]
    rows: dict[str, list[dict[str, list[float]]]] = {m.__name__: [] for m in metrics}
    for seed in range(seeds):
        clean = problem(torch.device(given.device), examples, seed)
        others = perturbed(clean, draws)
        for metric in metrics:
            rows[metric.__name__].append(meta(metric, clean, others))
        if given.write:  # after every seed: what was measured is not lost
            size = f"{seed + 1} seeds, {examples} examples, {draws} perturbations of each kind"
            keep(given.write, f"{size}, torch {torch.__version__}", rows)
    print(f"{'':<24}{'inputs perturbed':^60}{'model perturbed':^60}")
    print(f"{'metric':<24}" + "".join(f"{name:>12}" for name in MEASURES * 2))
    for name, parts in rows.items():
        print(line(name, summary(parts)))


def keep(path: Path, made: str, rows: dict[str, list[dict[str, list[float]]]]) -> None:
    """Write the figures, beside what is there of other metrics."""
    known = json.loads(path.read_text())["metrics"] if path.exists() else {}
    found = known | {name: summary(parts) for name, parts in rows.items()}
    path.write_text(json.dumps({"made": made, "metrics": dict(sorted(found.items()))}, indent=1) + "\n")


def line(name: str, found: dict[str, Any]) -> str:
    """Return a metric's line: mean and half of the interval of each measure, and the verdict."""
    cells = [
        f"{mean:5.2f} ±{max(high - mean, mean - low):4.2f}"
        for kind in found["measured"].values()
        for mean, low, high in kind.values()
    ]
    verdict = [f"{what}: {', '.join(found[what])}" for what in ("fails", "open") if found[what]]
    return f"{name:<24}" + "".join(f"{cell:>12}" for cell in cells) + "  " + "; ".join(verdict)


if __name__ == "__main__":
    main()
