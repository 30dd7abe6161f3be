"""A model with several inputs on the command line: a picture file of each, and a page with all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from pnpxai.experiment import Results
from pnpxai.explainers.results.explanation import Explanation

Run = Callable[..., Result]

BOTH = """
import torch
from torch import nn

torch.manual_seed(0)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.weigh = nn.Linear(5, 4)
        self.answer = nn.Linear(4, 3)

    def forward(self, picture, columns):
        return self.answer(self.see(picture) * self.weigh(columns).relu())


def made():
    return [((torch.rand(n, 3, 8, 8), torch.randn(n, 5)), torch.zeros(n).long()) for n in (4, 2)]
"""


def test_every_input_has_its_picture_and_its_row_on_the_page(run: Run, place: Path) -> None:
    Path("both.py").write_text(BOTH)
    given = ("both.py:Both", "both.py:made")
    ran = run("explain", *given, "-e", "GradientXInput", "--count", 2, "--out", "out")
    assert ran.exit_code == 0, ran.stderr
    assert [a.shape[1:] for a in Explanation.load("out/GradientXInput").attributions] == [(3, 8, 8), (5,)]
    pictures = sorted(path.name for path in Path("out/GradientXInput").glob("*.png"))
    assert pictures == ["picture.png", "picture_1.png"]
    ran = run("compare", *given, "-e", "GradientXInput", "-m", "AbPC", "--out", "run", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert [kept.inputs.shape[1:] for kept in Results.load("run").of_inputs] == [(3, 8, 8), (5,)]
    ran = run("report", "run")
    assert ran.exit_code == 0, ran.stderr
    page = next(Path("run").glob("*.html")).read_text()
    assert page.count('<tr class="image"') == page.count('<tr class="table"') == 6
