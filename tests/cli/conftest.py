"""A folder as a person has it: a model in a file, data in several forms."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from pnpxai.cli.commands import app

MODEL = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)).eval()


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)


def made():
    return torch.rand(5, 1, 8, 8)


class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a model and data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"brightness{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(MODEL)
    Path("model").write_text(f"{name}.py")
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 1, 8, 8), np.float32), np.arange(6) % 2
    np.save("x.npy", x)
    np.savez("xy.npz", x=x, y=y)
    frame = pd.DataFrame(rng.random((6, 3)), columns=["age", "height", "weight"]).assign(sick=y)
    frame.to_csv("rows.csv", index=False)
    frame.to_parquet("rows.parquet")
    for k in range(4):
        folder = Path("pictures") / ("cats", "dogs")[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * x[k, 0]).astype(np.uint8)).save(folder / f"{k}.png")
    Path("empty").mkdir()
    return tmp_path


@pytest.fixture
def model(place: Path) -> str:
    return Path("model").read_text()


@pytest.fixture
def may_be_interrupted() -> Iterator[None]:
    """Let a command hear Ctrl-C where these tests run in a shell's background, which would have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run() -> Callable[..., Result]:
    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return call
