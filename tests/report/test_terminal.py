"""What a terminal shows of results."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from pnpxai import AutoExplanation
from pnpxai.recommender import recommend
from pnpxai.report.terminal import comparison, fit, ranking


def _drawn(table: Any, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def auto() -> AutoExplanation:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    return AutoExplanation(model, torch.randn(12, 6, dtype=torch.float64))


def test_fit_names_every_explainer_once_with_one_line_for_each_reason() -> None:
    found = recommend(nn.Sequential(nn.Linear(3, 2)))
    text = fit(found, 60)
    assert max(map(len, text.splitlines())) <= 60
    words = text.replace(",", " ").replace(":", " ").split()
    for name in [cls.__name__ for cls in found.explainers] + list(found.reasons):
        assert words.count(name) == 1
    assert text.count(" not: ") == len(set(found.reasons.values()))
    assert f"{len(found)} explainers fit, the rest:" in text
    assert text.index("start with these three:") < text.index("explainers fit") < text.index(" not: ")


def test_a_comparison_fits_80_columns_and_shows_its_means(auto: AutoExplanation) -> None:
    results = auto.compare(["Gradient", "IntegratedGradients"], show_progress=False)
    lines = _drawn(comparison(results))
    assert max(map(len, lines)) <= 80
    means = {label: results.interval("MultiScaleCorrelation", label).mean for label in results.explainers}
    rows = _rows(lines)
    for label, mean in means.items():
        assert float(rows[label][1]) == pytest.approx(results.decision.mean_rank[label].mean, abs=0.006)
        assert float(rows[label][2]) == pytest.approx(mean, abs=0.006 * max(map(abs, means.values())))
        assert ("control" in rows[label]) == bool(results.settings[label]["control"])
    assert len({len(rows[label][2].partition(".")[2]) for label in means}) == 1  # as many decimals in all rows


def test_a_ranking_shows_what_tuning_gained(auto: AutoExplanation) -> None:
    found = auto.rank(["SmoothGrad", "IntegratedGradients"], n_trials=3, show_progress=False)
    lines = _drawn(ranking(found))
    assert max(map(len, lines)) <= 80
    rows = _rows(lines)
    for label, result in found.tuned.items():
        assert f"{result.gain.mean:+.2f}" in rows[label]
    ranks = found.decision.mean_rank
    assert [label for label in rows if label in ranks] == sorted(ranks, key=lambda label: ranks[label].mean)


def _rows(lines: list[str]) -> dict[str, list[str]]:
    """Return each line's cells by its first one; of a cell on several lines, the first."""
    rows: dict[str, list[str]] = {}
    for cells in map(str.split, lines):
        if len(cells) > 2:
            rows.setdefault(cells[0], cells)
    return rows
