"""Regret is what a choice lost; measures tell right maps from wrong ones; looks at held problems are written down."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.traits import Traits
from pnpxai.truth import benchmark
from pnpxai.truth.benchmark import Cell, regret, run, truth
from pnpxai.truth.choosing import Evidence, by_losses, by_metrics, by_prior_and_losses
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.losses import Design, redundancy
from pnpxai.truth.problem import Drawn, Problem, Proof
from pnpxai.truth.tables import regrets, truths

PROOF = {"accuracy": 1.0, "emptied": 0.5, "replaced": 1.0, "chance": 0.5}


def _cell(family: str, best: str, seed: int = 0, index: float = 0.0) -> Cell:
    known = {"A": 0.5, "B": 0.5, "RandomMap": 0.1, "InputOnly": 0.2} | {best: 0.9}
    measures = {
        "AbPC": {"A": 1.0, "B": 0.0},
        "losses 1 zeros 0.1": {"A": 0.9, "B": 0.5},
        "losses 1 zeros 0.6": {"A": 0.3, "B": 0.6},
    }
    return Cell(family, seed, "table", False, PROOF, known, measures, index)


def test_regret_is_the_share_that_a_choice_lost_clustered_by_family() -> None:
    cells = [_cell("one", "A"), _cell("one", "A", 1), _cell("two", "B")]
    always = regret(cells, "A")
    assert (always.mean, always.worst, always.worst_mean) == pytest.approx((0.25, "two", 0.5))
    assert regret(cells, by_metrics("AbPC")) == always
    assert always.low == 0.0
    assert always.high == pytest.approx(0.5)


def test_subset_losses_decide_by_the_sizes_that_are_asked_for() -> None:
    assert regret([_cell("one", "A")], by_losses(shares=(0.1,))).mean == 0.0
    assert regret([_cell("one", "B")], by_losses(shares=(0.6,))).mean == 0.0
    assert regret([_cell("one", "B")], by_losses(shares=(0.1, 0.6))).mean == pytest.approx(0.5)


def test_a_prior_is_added_to_what_losses_say_and_redundant_evidence_takes_the_ensemble() -> None:
    names = ["IG-50", "multi-scale Occlusion", "ensemble of all"]
    losses = {"losses 1 marginal 0.3": dict(zip(names, (0.5, 0.5, 0.5), strict=True))}
    assert by_prior_and_losses()(Evidence("text", names, losses, 0.0)) == "multi-scale Occlusion"
    assert by_prior_and_losses()(Evidence("text", names, losses, 0.4)) == "ensemble of all"
    clear = {"losses 1 marginal 0.3": dict(zip(names, (0.9, 0.1, 0.1), strict=True))}
    assert by_prior_and_losses(weight=0.2)(Evidence("text", names, clear, 0.0)) == "IG-50"


class Added(nn.Module):
    """The margin is the sum of columns 0 and 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = x[:, 0] + x[:, 1]
        return torch.stack([score, torch.zeros_like(score)], 1)


class Either(nn.Module):
    """The larger of columns 0 and 1 decides: one alone is not missed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = x[:, :2].amax(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def _problem(model: nn.Module) -> Problem:
    x = torch.ones(6, 6)
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:, :2] = True
    examples = Drawn(x, torch.zeros(6, dtype=torch.long), known, 0 * x, x)
    return Problem(FAMILIES["additive"], 0, model, examples, torch.zeros(8, 6), Traits.table(), Proof(1, 0, 1, 0.5))


def test_losses_add_up_or_are_redundant() -> None:
    assert abs(redundancy(_problem(Added())).index) < 0.2
    assert redundancy(_problem(Either())).index > 0.9


def test_right_maps_follow_subset_losses_and_find_the_evidence() -> None:
    problem = _problem(Added())
    right, wrong = torch.zeros(6, 6), torch.zeros(6, 6)
    right[:, :2], wrong[:, 3:] = 1.0, 1.0
    assert truth(problem, right) == 1.0
    assert truth(problem, wrong) == 0.0
    design = Design.of(problem, 40)
    assert len(design.losses) == 6
    for key, value in design.correlations(right).items():
        assert value > 0.99, key
        assert design.correlations(wrong)[key] < 0.1


def test_measured_cells_are_kept_and_held_problems_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(family: str, seed: int, n_examples: int) -> Cell:
        asked.append((family, seed))
        return replace(_cell(family, "A"), seed=seed)

    monkeypatch.setattr(benchmark, "cell", measured)
    log = tmp_path / "openings.jsonl"
    log.touch()
    monkeypatch.setattr(benchmark, "OPENINGS", log)
    out = tmp_path / "cells.json"
    run("dev", [0], out, families=["glyph", "bump"])
    cells = run("dev", [0, 1], out, families=["glyph", "bump"])
    assert asked == [("glyph", 0), ("bump", 0), ("glyph", 1), ("bump", 1)]
    assert len(cells) == 4
    assert log.read_text() == ""
    run("held", [0], tmp_path / "held.json", families=["gate"])
    (opening,) = map(json.loads, log.read_text().splitlines())
    assert opening["families"] == ["gate"]
    assert "glyph | bump" in truths(cells)
    assert "A" in truths(cells)


def test_what_is_no_split_or_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="split: expected 'dev' or 'held'"):
        run("test", [0], tmp_path / "out.json")
    with pytest.raises(ArgumentError, match="family: expected one of glyph"):
        benchmark.cell("nothing", 0)


def test_a_whole_cell_prints_its_regrets(tmp_path: Path) -> None:
    cells = run("dev", [0], tmp_path / "out.json", 4, ["additive"])
    assert cells[0].truth["small Occlusion"] > cells[0].truth["RandomMap"]
    table = regrets(cells)
    assert "mean rank of AbPC and FaithfulnessCorrelation | " in table
    assert "RISE | " in table
