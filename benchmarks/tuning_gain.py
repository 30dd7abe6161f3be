"""What tuning gains where nothing was tuned: every explainer that fits, tuned minus default on held-out examples.

    python benchmarks/tuning_gain.py [--trials 100] [--only NAME ...] [--model cnn|transformer] [--examples 96]
                                     [--metric AbPC] [--seconds S] [--out FILE]

The models: a small convolutional network on scans of digits, and a transformer encoder that reads the rows of the same
scans as a series of eight steps; both are trained here, in seconds. Half of the examples are searched on, the gain is
measured on the other half, with a paired 95 % interval. --seconds ends each search after so long; --out keeps every
result as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pnpxai import Examples, Traits, recommend, tune
from pnpxai.demo import digits, train
from pnpxai.errors import ArgumentError
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import as_candidates
from pnpxai.tuning import Shared, TuningResult


class Encoder(nn.Module):
    """A transformer encoder of a series of 8 steps with 8 channels, (examples, channels, time), into 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 32)
        self.place = nn.Parameter(torch.randn(8, 32) / 10)
        layers = [nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True) for _ in range(2)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.embed(x.transpose(1, 2)) + self.place
        for layer in self.layers:
            hidden = layer(hidden)
        return self.head(hidden.mean(1))


def fitted(rows: Tensor, classes: Tensor, n_epochs: int = 25) -> nn.Module:
    """Return a trained encoder."""
    torch.manual_seed(0)
    model = Encoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(n_epochs):
        for part in torch.randperm(len(rows)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[part]), classes[part]).backward()
            optimizer.step()
    return model.eval()


def given(name: str, count: int) -> tuple[nn.Module, Traits, Examples]:
    """Return a trained model, what its data is, and examples that it was not trained on."""
    (x, y), (held_x, held_y) = digits(0)
    if name == "cnn":
        model, traits = train(x, y, 0, show_progress=False), Traits.image()
    else:
        model, traits, held_x = fitted(x[:, 0], y), Traits.series(), held_x[:, 0]
    with torch.no_grad():
        predicted = model(held_x).argmax(1)
    right = (predicted == held_y).float().mean()
    print(f"\n{name}: right on {right:.1%} of {len(held_x)} held-out scans, {count} of which are explained")
    return model, traits, Examples.of([(held_x[:count], predicted[:count], None)])


def line(candidate: Candidate, result: TuningResult, seconds: float) -> str:
    """Return a row of the table."""
    assert result.held_out is not None
    default, share = result.held_out.mean - result.gain.mean, 100 * result.rows.used / max(result.rows.separate, 1)
    sure = "above zero" if result.gain.low > 0 else "below zero" if result.gain.high < 0 else ""
    return (
        f"{candidate.label:24s}{result.trials:7d}{default:9.3f}  {result.gain.mean:+.3f} "
        f"[{result.gain.low:+.3f}, {result.gain.high:+.3f}]  {sure:10s}{share:5.0f} %{seconds:7.0f} s"
    )


def measured(name: str, asked: argparse.Namespace) -> None:
    """Tune every explainer that fits, print the table and the counts."""
    model, traits, examples = given(name, asked.examples)
    first = next(iter(examples)).inputs[:4]
    classes = [cls for cls in recommend(model, traits, inputs=first) if not asked.only or cls.__name__ in asked.only]
    print(f"{'explainer':24s} trials  default  gain in {asked.metric} [95 %]{'rows run':>28s}   time")
    shared, gains = Shared(2**28), []
    for candidate in as_candidates(classes, model, traits):
        start = time.monotonic()
        try:
            result = tune(
                candidate, examples, asked.metric, traits=traits, n_trials=asked.trials, timeout=asked.seconds,
                sampler="tpe", n_seeds=0, shared=shared, show_progress=False,
            )  # fmt: skip
        except ArgumentError as refusal:
            print(f"{candidate.label:24s} {refusal}", flush=True)
            continue
        seconds = time.monotonic() - start
        gains.append(result.gain)
        print(line(candidate, result, seconds), flush=True)
        if asked.out is not None:
            with asked.out.open("a") as file:
                file.write(json.dumps(result.to_dict() | {"model": name, "seconds": seconds}) + "\n")
    above, below = sum(gain.low > 0 for gain in gains), sum(gain.high < 0 for gain in gains)
    print(f"{name}: {above} of {len(gains)} gain with an interval above zero, {below} lose with one below")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--only", nargs="+", default=(), help="names of explainers")
    parser.add_argument("--model", choices=("cnn", "transformer"))
    parser.add_argument("--examples", type=int, default=96)
    parser.add_argument("--metric", default="AbPC")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("cnn", "transformer"):
        if asked.model in (None, name):
            measured(name, asked)


if __name__ == "__main__":
    main()
