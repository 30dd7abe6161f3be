"""Regret is what a choice lost, rules choose among what was compared, and looks at held problems are written down."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers import Gradient
from pnpxai.statistics import MeanRank
from pnpxai.traits import Traits
from pnpxai.truth import benchmark, packages
from pnpxai.truth.benchmark import Cell, run, truth
from pnpxai.truth.candidates import HABITS, averaged
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.problem import Drawn, Problem, Proof
from pnpxai.truth.regrets import RULES, by_family, calibration, difference, regret
from pnpxai.truth.tables import regrets, truths, worth

PROOF = {"accuracy": 1.0, "emptied": 0.5, "replaced": 1.0, "chance": 0.5}
BY_ABPC = RULES["AbPC"]


def _cell(family: str, best: str, seed: int = 0) -> Cell:
    """A is best by AbPC, B by MultiScaleCorrelation."""
    known = {"A": 0.5, "B": 0.5, "RandomMap": 0.1, "InputOnly": 0.2} | {best: 0.9}
    low = {"RandomMap": [-0.5] * 12, "InputOnly": [-0.4] * 12}
    values = {
        "AbPC": {"A": [1.0, 0.9] * 6, "B": [0.2, 0.1] * 6} | low,
        "MultiScaleCorrelation": {"A": [0.1, 0.2] * 6, "B": [0.8, 0.9] * 6} | low,
    }
    return Cell(family, seed, "table", False, PROOF, known, values, ["A", "B"])


def test_regret_is_the_share_that_a_choice_lost_clustered_by_family() -> None:
    cells = [_cell("one", "A"), _cell("one", "A", 1), _cell("two", "B")]
    always = regret(cells, "A")
    assert (always.mean, always.worst, always.worst_mean) == pytest.approx((0.25, "two", 0.5))
    assert regret(cells, BY_ABPC) == always
    assert (always.low, always.high) == pytest.approx((0.0, 0.5))
    assert by_family(cells, RULES["the default of compare and rank"]) == pytest.approx({"one": 0.5, "two": 0.0})
    less = difference(cells, BY_ABPC, "B")
    assert (less.mean, less.low, less.high) == pytest.approx((0.0, -0.5, 0.5))


def test_confidence_is_held_against_what_came_out() -> None:
    cells = [_cell("one", "A"), _cell("two", "B")]
    of = calibration(cells, RULES["the default of compare and rank"], 0.05)
    assert of.count == 10
    assert of.right == 0.5
    stated = cells[0].verdict(RULES["the default of compare and rank"]("table")).reliability
    assert stated is not None
    assert of.error == pytest.approx(abs(stated - 0.5), abs=0.02)
    assert of.brier == pytest.approx(0.25 + (stated - 0.5) ** 2, abs=0.02)
    assert of.brier_of_rate == 0.25
    assert of.alone == 1.0
    assert of.regret_alone == pytest.approx(0.25)


def test_a_rule_may_see_some_of_the_examples() -> None:
    values = {"AbPC": {"A": [1.0, 0.0], "B": [0.0, 1.0], "RandomMap": [0.0, 0.0], "InputOnly": [0.0, 0.0]}}
    one = replace(_cell("one", "A"), values=values)
    assert one.verdict(MeanRank(), [0]).first == "A"
    assert one.verdict(MeanRank(), [1]).first == "B"


def test_the_ensemble_of_all_is_the_mean_of_maps_of_one_scale() -> None:
    maps = {"RISE": torch.tensor([[1.0, -1.0, 0.0]]), "Occlusion": torch.tensor([[10.0, 0.0, -10.0]])}
    found = averaged(maps)
    assert found["small Occlusion"] is maps["Occlusion"]
    torch.testing.assert_close(found["ensemble of all"], torch.tensor([[1.0, -0.5, -0.5]]))
    assert len(HABITS) == 10


def _problem(model: nn.Module) -> Problem:
    x = torch.ones(6, 6)
    known = torch.zeros(6, 6, dtype=torch.bool)
    known[:, :2] = True
    examples = Drawn(x, torch.zeros(6, dtype=torch.long), known, 0 * x, x)
    return Problem(FAMILIES["additive"], 0, model, examples, torch.zeros(8, 6), Traits.table(), Proof(1, 0, 1, 0.5))


def test_truth_is_the_share_of_the_evidence_among_the_highest() -> None:
    problem = _problem(nn.Linear(6, 2))
    right, wrong = torch.zeros(6, 6), torch.zeros(6, 6)
    right[:, :2], wrong[:, 3:] = -1.0, 1.0
    assert truth(problem, right) == 1.0
    assert truth(problem, wrong) == 0.0


def test_measured_cells_are_kept_and_held_problems_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(family: str, seed: int, *_: object) -> Cell:
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


def test_a_family_without_its_package_is_left_out_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "CACHE", tmp_path)
    with pytest.warns(UserWarning, match=r"faces is left out: onnx 1.23.2 is not in .*download"):
        assert run("dev", [0], tmp_path / "out.json", families=["faces"]) == []


def test_what_is_no_split_or_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="split: expected 'dev' or 'held'"):
        run("test", [0], tmp_path / "out.json")
    with pytest.raises(ArgumentError, match="family: expected one of glyph"):
        benchmark.cell("nothing", 0)


class Mine(Gradient):
    """One's own explainer, which is measured with the others."""

    def attribute(self, inputs: Tensor, targets: object = None, *, seed: object = 0) -> Tensor:  # type: ignore[override]
        return torch.zeros_like(inputs)


def test_a_whole_cell_is_what_a_user_gets_with_ones_own_explainer_among_them(tmp_path: Path) -> None:
    cells = run("dev", [0], tmp_path / "out.json", 9, ["additive"], [Mine])
    (one,) = cells
    assert one.truth["small Occlusion"] > one.truth["RandomMap"]
    assert {"Mine", "Occlusion", "Ensemble"} <= set(one.compared)
    assert one.truth["Mine"] == pytest.approx(0.25, abs=0.05)  # three of twelve columns, all alike
    assert not {"IG-50", "ensemble of all"} & set(one.compared)
    assert {"IG-50", "ensemble of all"} <= set(one.truth)
    found = one.verdict(RULES["the default of compare and rank"]("table"))
    assert found.first in one.compared
    table = regrets(cells)
    assert "the default of compare and rank | " in table
    assert "RISE | " in table
    assert "5 verdicts: " in worth(cells)
