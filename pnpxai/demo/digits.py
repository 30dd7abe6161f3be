"""The main job on real scans: train a digit classifier in seconds, explain, tune, compare, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from tqdm.auto import tqdm

from pnpxai.auto import AutoExplanationForImageClassification
from pnpxai.engine.running.seeds import draws, seed_of
from pnpxai.experiment import Results
from pnpxai.files import write_json
from pnpxai.report import write_report
from pnpxai.report.terminal import comparison, fit
from pnpxai.tuning import TuningResult

__all__ = ["digits", "run", "train"]

TUNED = ("SmoothGrad", "IntegratedGradients", "Occlusion")
_N_TRAIN = 1300
_ROWS = 100
"""Explainers that run more rows than this for each picture, by their declared cost, are left out, to be quick."""


def digits(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return (pictures, classes) to train on and held out: scans of handwritten digits, (n, 1, 8, 8) in 0 ... 1."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    pictures = torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    classes = torch.as_tensor(labels)
    order = draws(seed, "digits").permutation(len(pictures))
    pictures, classes = pictures[order], classes[order]
    return (pictures[:_N_TRAIN], classes[:_N_TRAIN]), (pictures[_N_TRAIN:], classes[_N_TRAIN:])


def train(pictures: Tensor, classes: Tensor, seed: int, n_epochs: int = 8, show_progress: bool = True) -> nn.Module:
    """Return a small convolutional network, trained; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "weights"))
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10),
        )  # fmt: skip
        step, moments = 0, [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
        for epoch in tqdm(range(n_epochs), desc="training", unit="epoch", disable=not show_progress):
            order = draws(seed, "epoch", epoch).permutation(len(pictures))
            for rows in order.split(64):
                loss = nn.functional.cross_entropy(model(pictures[rows]), classes[rows])
                gradients, step = torch.autograd.grad(loss, tuple(model.parameters())), step + 1
                _adam_step(model, gradients, moments, step)
    return model.eval()


def _adam_step(
    model: nn.Module, gradients: Sequence[Tensor], moments: list[tuple[Tensor, Tensor]], step: int, rate: float = 4e-3
) -> None:
    """Move the parameters by a step of Adam; ``torch.optim`` would load torch's compiler first, which takes seconds."""
    with torch.no_grad():
        for parameter, gradient, (mean, square) in zip(model.parameters(), gradients, moments, strict=True):
            mean.lerp_(gradient, 1 - 0.9)
            square.lerp_(gradient.square(), 1 - 0.999)
            scale = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
            parameter.sub_(rate / (1 - 0.9**step) * mean / scale)


def run(
    out: Path,
    *,
    seed: int = 0,
    n_trials: int = 15,
    n_images: int = 64,
    show_progress: bool = True,
    console: Console | None = None,
) -> Results:
    """Run the demonstration and write ``report.html``, ``tuned.json`` and the run's values into ``out``.

    Args:
        out: a folder, made if missing.
        seed: fixes the data's order, the model's weights, every search and every draw.
        n_trials: trials for each tuned explainer.
        n_images: held-out digits to compare on; as many others to tune on.
        show_progress: show progress bars.
        console: where to say what was found; by default the terminal.
    """
    console = Console() if console is None else console
    out.mkdir(parents=True, exist_ok=True)
    training, (pictures, classes) = digits(seed)
    model = train(*training, seed, show_progress=show_progress)
    with torch.no_grad():
        accuracy = float((model(pictures).argmax(1) == classes).float().mean())
    console.print(f"A small convolutional network reads {accuracy:.1%} of {len(classes)} held-out digits.\n")

    tuning = AutoExplanationForImageClassification(model, (pictures[:n_images], classes[:n_images]), seed=seed)
    console.print(fit(tuning.recommended), highlight=False)
    console.print()
    results = [tuning.tune(name, n_trials=n_trials, show_progress=show_progress) for name in TUNED]
    console.print(_gains(results))

    part = slice(n_images, 2 * n_images)
    deciding = AutoExplanationForImageClassification(model, (pictures[part], classes[part]), seed=seed)
    better = [result for result in results if result.best != result.default]
    compared = deciding.compare([*deciding.affordable(_ROWS), *better], show_progress=show_progress)
    console.print(f"Compared on {n_images} held-out digits")
    console.print(comparison(compared))
    console.print(f"[bold]{compared.decision.sentence()}[/bold]")

    write_json(out / "tuned.json", [result.to_dict() for result in results])
    compared.save(out / "run")
    report = write_report(compared, out / "report.html", command=f"pnpxai demo --seed {seed} --n-trials {n_trials}")
    console.print(f"\nReport: {report}\nTuned settings: {out / 'tuned.json'}", soft_wrap=True, highlight=False)
    return compared


def _gains(results: list[TuningResult]) -> Table:
    table = Table(
        "explainer", "AbPC", "gain on held-out digits", "settings", title="Tuned", title_justify="left", box=SIMPLE_HEAD
    )
    for result in results:
        before = result.default.explainer.settings() | result.default.postprocessor.settings()
        after = result.explainer.settings() | result.postprocessor.settings()
        settings = ", ".join(f"{name}={value!r}" for name, value in after.items() if value != before.get(name))
        table.add_row(result.best.label, f"{result.value:.3f}", str(result.gain), settings or "the defaults")
    return table
