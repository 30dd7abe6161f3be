"""Metrics against Quantus and PnPXAI 0.1.4, side by side in one run: the same work, both times, and how far apart.

    python benchmarks/metrics.py [--device cuda] [--quick] [--only NAME] [--repeats 3]

Two models: a small convolutional network on sixteen digits of 32 x 32, and ResNet-18 on four pictures of 224 x 224
(64 x 64 with --quick). On a CPU, times are CPU seconds of one thread, on a GPU seconds; all take turns, and the best of
several runs counts. Where random numbers are drawn, the difference of results says only that both are estimates of the
same thing. What 0.1.4 does for its MuFidelity (all passes of 32 rows, noise on every row) is written out here, as two
packages of one name cannot be loaded together.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import captum.attr
import numpy as np
import quantus
import torch
import torchvision
from measuring import Run, timed
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation, MuFidelity
from pnpxai.metrics.faithfulness.flipping import AbPC, MoRF
from pnpxai.metrics.robustness.sensitivity import Sensitivity
from pnpxai.metrics.shared_runs import SharedRuns


@dataclass(frozen=True)
class Work:
    """One claim: the same work of this package and of another.

    Attributes:
        name: what it is called, also on the command line.
        goal: how many times faster it should be.
        ours: this package's way.
        theirs: the other's way.
        whose: whose that is.
        rows: forward rows of each, where they differ and times count per row.
        sampled: whether random numbers are drawn.
    """

    name: str
    goal: float
    ours: Run
    theirs: Run
    whose: str = "quantus"
    rows: tuple[int, int] = (1, 1)
    sampled: bool = False


@dataclass(frozen=True)
class Data:
    """A model with what it is asked about."""

    model: nn.Module
    x: Tensor
    y: Tensor

    def maps(self, count: int) -> list[Tensor]:
        """Return maps to judge: gradients with more and more noise, (examples, 1, y, x)."""
        plain = Gradient(self.model).attribute(self.x, self.y).sum(1, keepdim=True)
        noise = torch.Generator().manual_seed(0)
        size = plain.flatten(1).std(1).reshape(-1, 1, 1, 1)
        drawn = [torch.randn(plain.shape, generator=noise).to(plain.device) for _ in range(count)]
        return [plain + k * size * z for k, z in enumerate(drawn)]

    def arrays(self) -> dict[str, Any]:
        """Return the data as Quantus takes it."""
        return {"x_batch": self.x.cpu().numpy(), "y_batch": self.y.cpu().numpy(), "device": str(self.x.device)}


def digits(device: torch.device) -> Data:
    """Return sixteen digits, and a network trained a little on all of them."""
    torch.manual_seed(0)
    pictures = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(load_digits().target)
    x = nn.functional.interpolate(pictures, 32, mode="bilinear").clamp(0, 1)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for part in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[part]), labels[part]).backward()
        optimizer.step()
    return Data(model.eval().to(device), x[:16].to(device), labels[:16].to(device))


def resnet(device: torch.device, quick: bool) -> Data:
    """Return four random pictures, none below zero, and ResNet-18 without training."""
    torch.manual_seed(0)
    side = 64 if quick else 224
    model = torchvision.models.resnet18(weights=None).eval().to(device)
    return Data(model, torch.rand(4, 3, side, side, device=device), torch.arange(4, device=device))


def correlation(data: Data) -> Work:
    """Eight explainers, one hundred subsets of a fifth of the pixels."""
    maps, size = data.maps(8), round(0.2 * data.x[0, 0].numel())
    metric = FaithfulnessCorrelation(data.model)
    theirs = quantus.FaithfulnessCorrelation(
        nr_runs=100, subset_size=size, perturb_baseline=0.0, abs=False, normalise=False, disable_warnings=True,
        return_aggregate=False,
    )  # fmt: skip

    def ours() -> list[Tensor]:
        shared = SharedRuns()
        return [metric.measure(data.x, data.y, m, shared=shared).values for m in maps]

    def others() -> list[Any]:
        return [theirs(model=data.model, a_batch=m.cpu().numpy(), softmax=False, **data.arrays()) for m in maps]

    return Work("correlation-digits-8-explainers", 6, ours, others, sampled=True)


def flipping(name: str, goal: float, data: Data, steps: int) -> Work:
    """One curve of the most relevant first; Quantus' has no point for the whole input.

    Quantus removes channel by channel: of colours, only every third point has whole pixels removed, and is compared.
    """
    (first,) = data.maps(1)
    channels, pixels = data.x.shape[1], data.x[0, 0].numel()
    theirs = quantus.PixelFlipping(
        features_in_step=channels * pixels // steps, perturb_baseline=0.0, abs=False, normalise=False,
        disable_warnings=True, return_aggregate=False,
    )  # fmt: skip
    metric, spread = MoRF(data.model, n_steps=steps + 1), first.expand_as(data.x).cpu().numpy()
    return Work(
        name,
        goal,
        lambda: metric.measure(data.x, data.y, first).curves["morf"][:, channels::channels],
        lambda: [
            curve[channels - 1 :: channels]
            for curve in theirs(model=data.model, a_batch=spread, softmax=True, **data.arrays())
        ],
    )


def sensitivity(name: str, goal: float, data: Data) -> Work:
    """Ten noisy copies explained by gradients."""

    def explain(model: Any, inputs: Any, targets: Any, **more: Any) -> np.ndarray:
        x = torch.as_tensor(inputs, dtype=torch.float32, device=data.x.device)
        y = torch.as_tensor(targets, device=data.x.device)
        return captum.attr.Saliency(model).attribute(x, y, abs=False).cpu().numpy()

    explainer = Gradient(data.model)
    maps = explainer.attribute(data.x, data.y)
    metric = Sensitivity(data.model, explainer, n_iter=10, epsilon=0.2)
    theirs = quantus.MaxSensitivity(
        nr_samples=10, lower_bound=0.2, abs=False, normalise=False, disable_warnings=True, return_aggregate=False
    )
    return Work(
        name,
        goal,
        lambda: metric.measure(data.x, data.y, maps).values,
        lambda: theirs(
            model=data.model, a_batch=maps.cpu().numpy(), explain_func=explain, softmax=False, **data.arrays()
        ),
        sampled=True,
    )


def mu_fidelity(data: Data) -> Work:
    """One picture, 150 subsets of a grid."""
    one = Data(data.model, data.x[:1], data.y[:1])
    (first,) = one.maps(1)
    metric = MuFidelity(data.model)
    return Work(
        "mu-fidelity-resnet18",
        1,
        lambda: metric.measure(one.x, one.y, first).values,
        lambda: _mu_fidelity_of_old(one, first),
        whose="0.1.4's way",
        rows=(151, 151),
        sampled=True,
    )


def mu_fidelity_rows(data: Data) -> Work:
    """What a row of MuFidelity costs, and one of AbPC."""
    one = Data(data.model, data.x[:1], data.y[:1])
    (first,) = one.maps(1)
    return Work(
        "row-of-mu-fidelity-and-of-abpc",
        0.9,
        lambda: MuFidelity(data.model).measure(one.x, one.y, first).values,
        lambda: AbPC(data.model).measure(one.x, one.y, first).values,
        whose="our AbPC",
        rows=(151, 18),
        sampled=True,
    )


def _mu_fidelity_of_old(data: Data, maps: Tensor) -> Tensor:
    """Do the work of the older package: noise on every row, one grid mask each, passes of 32 rows, ranks."""
    x, target, count, cells = data.x, int(data.y[0]), 150, 9
    with torch.no_grad():
        score = data.model(x)[0, target]
        noisy = x + 0.2 * (torch.randn(count, *x.shape[1:], device=x.device) * x.std() + x.mean())
        noisy = noisy.minimum(x).maximum(x - 1)
        removed = torch.randn(count, cells * cells, device=x.device).argsort(1) <= int(0.2 * cells * cells)
        mask = removed.reshape(count, 1, cells, cells).float()
        mask = nn.functional.interpolate(mask, x.shape[2:], mode="nearest")
        rows = noisy * (1 - mask)
        after = torch.cat([data.model(part)[:, target] for part in rows.split(32)])
        mass = (maps * mask).flatten(1).sum(1)
    return torch.tensor([spearmanr((score - after).cpu().numpy(), mass.cpu().numpy()).statistic])


def works(device: torch.device, quick: bool) -> list[Work]:
    """Return all claims."""
    small, large = digits(device), resnet(device, quick)
    return [
        correlation(small),
        flipping("flipping-digits", 1.4, small, 32),
        flipping("flipping-resnet18", 1.25, large, 48),
        sensitivity("sensitivity-digits", 2, small),
        sensitivity("sensitivity-resnet18", 1.3, large),
        mu_fidelity(large),
        mu_fidelity_rows(large),
    ]


def table(result: Any) -> np.ndarray:
    """Return a result as an array."""
    members = result if isinstance(result, list) else [result]
    return np.stack([m.detach().cpu().double().numpy() if isinstance(m, Tensor) else np.asarray(m) for m in members])


def report(work: Work, device: torch.device, repeats: int) -> None:
    """Measure one claim and print it."""
    best = {"ours": float("inf"), "theirs": float("inf")}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, run in (("ours", work.ours), ("theirs", work.theirs)):
            seconds, results[name] = timed(run, device)
            best[name] = min(seconds, best[name])
    ours, theirs = (best[name] / rows for name, rows in zip(("ours", "theirs"), work.rows, strict=True))
    a, b = (table(results[name]).reshape(-1) for name in ("ours", "theirs"))
    apart = f"mean of ours {np.nanmean(a):.3f}, of theirs {np.nanmean(b):.3f}"
    if not work.sampled:
        apart = f"largest difference {np.abs(a - b).max():.1e}"
    per = " per row" if work.rows != (1, 1) else ""
    print(f"\n{work.name}: {theirs / ours:.2f} times as fast{per}; goal {work.goal}; {apart}")
    for who, name in (("pnpxai", "ours"), (work.whose, "theirs")):
        print(f"  {who:<20}{best[name]:9.3f} s", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="small pictures, few steps")
    parser.add_argument("--only", default="", help="only claims whose name holds this")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, quantus {quantus.__version__}, {device}, best of {given.repeats}")
    for work in works(device, given.quick):
        if given.only in work.name:
            report(work, device, given.repeats)


if __name__ == "__main__":
    main()
