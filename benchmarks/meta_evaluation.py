"""How far each metric is to be trusted: does it stay when nothing changes, and move when all is destroyed?

    python benchmarks/meta_evaluation.py [--device cuda] [--quick] [--only NAME] [--seed 0]

Meta-evaluation as in Hedström et al., 2023 (arXiv:2302.07265, "MetaQuantus"). Digits lie at random places in noise, a
small network is trained on them, and four explainers are judged, once as they are and again after a perturbation of the
inputs or of the network's parameters. A perturbation is minor (noise resilience, NR: uniform from 0 to 0.001 is added
to inputs from 0 to 1, parameters are multiplied by normal numbers of mean 1 and deviation 0.001; examples whose class
stays count) or disruptive (adversary reactivity, AR: up to 1, deviation 2; examples whose class changes count). Then

    IAC  intra-consistency: p-value of Wilcoxon's test that an explainer's values are as before (for AR, one minus it),
    IEC  inter-consistency: for NR, how often an explainer keeps its rank for an example; for AR, how often its value
         gets worse,
    MC   the mean of the four, from 0 to 1.

A metric that gives every map the same number gets an MC of 0.5, one that gives random numbers about 0.44. One fails
in noise resilience where explainers keep less than half of their ranks (IEC NR), and in reactivity where what is
destroyed gets worse less than half of the time (IEC AR): its values then cannot be compared across inputs or models.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata, wilcoxon
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient import Gradient, GradientXInput
from pnpxai.explainers.integrated_gradients import IntegratedGradients
from pnpxai.explainers.occlusion import Occlusion
from pnpxai.metrics.base import Metric
from pnpxai.metrics.sharing import SharedRuns
from pnpxai.registry import every

SIDE, SMALL = 24, 8
MINOR, DISRUPTIVE = {"input": 0.001, "model": 0.001}, {"input": 1.0, "model": 2.0}


@dataclass(frozen=True)
class Problem:
    """A model with pictures of known classes and places."""

    model: nn.Module
    x: Tensor
    y: Tensor
    masks: Tensor

    def perturbed(self, kind: str, size: float, seed: int) -> Problem:
        """Return the problem with other inputs or another model."""
        generator = torch.Generator().manual_seed(seed)
        if kind == "input":
            return Problem(self.model, self.x + size * _like(torch.rand, self.x, generator), self.y, self.masks)
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + size * _like(torch.randn, p, generator))
        return Problem(model, self.x, self.y, self.masks)

    def classes(self) -> Tensor:
        """Return what the model says."""
        with torch.no_grad():
            return self.model(self.x).argmax(1)


def _like(draw: object, tensor: Tensor, generator: torch.Generator) -> Tensor:
    return draw(tensor.shape, generator=generator).to(tensor)  # type: ignore[operator]


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


def explainers(model: nn.Module) -> list[Explainer]:
    """Return what is judged."""
    return [Gradient(model), GradientXInput(model), IntegratedGradients(model), Occlusion(model)]


def judged(metric: type[Metric], at: Problem, shared: SharedRuns) -> np.ndarray:
    """Return (explainers, examples) values, turned so that higher is better."""
    rows = []
    for explainer in explainers(at.model):
        maps = explainer.attribute(at.x, at.y)
        found = metric(at.model, explainer).measure(at.x, at.y, maps, masks=at.masks, shared=shared)
        rows.append(found.values.cpu().double().numpy())
    return np.stack(rows) * (1 if metric.higher_is_better else -1)


def same(before: np.ndarray, after: np.ndarray) -> float:
    """Return the p-value that paired values are alike; NaN where too few are defined."""
    kept = np.isfinite(before) & np.isfinite(after)
    a, b = before[kept], after[kept]
    if len(a) < 5:
        return float("nan")
    return 1.0 if np.array_equal(a, b) else float(wilcoxon(a, b, method="approx").pvalue)


def consistency(before: np.ndarray, after: np.ndarray, *, minor: bool) -> tuple[float, float]:
    """Return intra- and inter-consistency of (explainers, examples) values."""
    alike = float(np.nanmean([same(a, b) for a, b in zip(before, after, strict=True)]))
    if minor:
        kept = np.isfinite(before).all(0) & np.isfinite(after).all(0)
        return alike, float(np.mean(rankdata(before[:, kept], axis=0) == rankdata(after[:, kept], axis=0)))
    both = np.isfinite(before) & np.isfinite(after)
    return 1 - alike, float(np.mean(after[both] < before[both]))


def meta(metric: type[Metric], clean: Problem, draws: int, stores: dict[object, SharedRuns]) -> dict[str, list[float]]:
    """Return (IAC NR, IAC AR, IEC NR, IEC AR, MC) for perturbed inputs and models."""
    before = judged(metric, clean, stores.setdefault("clean", SharedRuns()))
    found = {}
    for kind in ("input", "model"):
        parts: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for minor, sizes in ((True, MINOR), (False, DISRUPTIVE)):
            for seed in range(draws):
                other = clean.perturbed(kind, sizes[kind], seed)
                counted = ((other.classes() == clean.y) == minor).cpu().numpy()
                if counted.sum() < 5:
                    continue
                store = stores.setdefault((kind, minor, seed), SharedRuns())
                after = judged(metric, other, store)
                parts[minor].append(consistency(before[:, counted], after[:, counted], minor=minor))
        (a, c), (b, d) = (np.nanmean(parts[minor], axis=0) for minor in (True, False))
        found[kind] = [float(v) for v in (a, b, c, d, np.mean([a, b, c, d]))]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="few examples, one perturbation of each kind")
    parser.add_argument("--only", default="", help="only metrics whose name holds this")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    clean = problem(torch.device(given.device), 12 if given.quick else 32, given.seed)
    stores: dict[object, SharedRuns] = {}
    print(f"{'':<24}{'inputs perturbed':^36}{'model perturbed':^36}")
    names = ("IAC NR", "IAC AR", "IEC NR", "IEC AR", "MC")
    print(f"{'metric':<24}" + "".join(f"{name:>7}" for name in names * 2))
    for metric in every(Metric, within="pnpxai."):
        if given.only not in metric.__name__:
            continue
        found = meta(metric, clean, 1 if given.quick else 4, stores)
        numbers = "".join(f"{v:7.2f}" for values in found.values() for v in values)
        print(f"{metric.__name__:<24}{numbers}  {verdict(found)}", flush=True)


def verdict(found: dict[str, list[float]]) -> str:
    """Say where a metric fails."""
    failed = [
        f"{name} ({kind})"
        for kind, (_, _, kept, worse, _) in found.items()
        for name, share in (("NR", kept), ("AR", worse))
        if share < 0.5
    ]
    return f"fails: {', '.join(failed)}" if failed else ""


if __name__ == "__main__":
    main()
