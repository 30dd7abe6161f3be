"""Views of results whose numbers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment.results import InputMaps, Results
from tests.report.results_by_hand import made


def test_statistics_are_of_the_defined_values() -> None:
    results = made(undefined={("SmoothGrad", "AbPC"): "why not"})
    rows: Any = results.statistics().set_index(["explainer", "metric"])
    values = results.values("AbPC", "SmoothGrad")
    assert np.isnan(values).sum() == 1
    row = rows.loc[("SmoothGrad", "AbPC")]
    assert (row["defined"], row["undefined"]) == (7, 1)
    assert row["mean"] == pytest.approx(np.nanmean(values))
    assert row["median"] == pytest.approx(np.nanmedian(values))
    assert row["low"] < row["mean"] < row["high"]
    assert len(rows) == 4 * 4


def test_a_class_has_its_own_means() -> None:
    results = made()
    found: Any = results.by_class("AbPC")
    assert list(found.index) == results.explainers
    assert list(found.columns) == [0, 1, 2]
    assert found.loc["GradCam", 1] == pytest.approx(results.values("AbPC", "GradCam")[[1, 4, 7]].mean())


def test_pairs_differences_and_fronts_come_from_the_table() -> None:
    results = made()
    pairs = {(p.first, p.second): p for p in results.pairs("Sensitivity")}
    first, last = results.explainers[0], results.explainers[-1]
    expected = results.values("Sensitivity", last) - results.values("Sensitivity", first)
    assert pairs[first, last].difference == pytest.approx(expected.mean())
    assert pairs[first, last].p == pytest.approx(2 / 2**8)  # all eight differences have one sign
    assert list(results.critical_difference("AbPC").mean_ranks) == results.explainers
    assert results.pareto() == ("Occlusion",)  # the best is the fastest here
    agreement: Any = results.agreement()
    assert np.allclose(np.diag(agreement), 1)
    assert abs(agreement.loc["Occlusion", "GradCam"]) < 0.3
    with pytest.raises(ArgumentError, match="metric: no 'Abpc' in this run; did you mean 'AbPC'"):
        results.pairs("Abpc")


def test_every_input_keeps_its_maps(tmp_path: Path) -> None:
    results = made(("A", "B"), ("RandomMap",))
    words = {label: torch.randn(6, 5) for label in ("A", "RandomMap")}  # B maps the first input alone
    of_question = InputMaps(torch.arange(30).reshape(6, 5), words)
    results = replace(results, further=(of_question,))
    read = Results.load(results.save(tmp_path))
    assert [kept.inputs.dtype for kept in read.of_inputs] == [torch.float32, torch.long]
    for before, after in zip(results.of_inputs, read.of_inputs, strict=True):
        assert torch.equal(before.inputs, after.inputs)
        assert before.maps.keys() == after.maps.keys()
        assert all(torch.equal(after.maps[label], values) for label, values in before.maps.items())


def test_agreement_is_the_mean_over_the_inputs_that_both_map() -> None:
    results = made(("A", "B"), ())
    same, alone = results.maps["A"], torch.randn(6, 5)
    question = InputMaps(torch.ones(6, 5), {"A": alone, "B": -alone})
    both: Any = replace(results, maps={"A": same, "B": 2 * same}, further=(question,)).agreement()
    assert both.loc["A", "B"] == pytest.approx(0, abs=1e-12)  # 1 and -1
    one: Any = replace(results, maps={"A": same, "B": 2 * same}, further=(InputMaps(question.inputs, {"A": alone}),))
    assert one.agreement().loc["A", "B"] == pytest.approx(1)
    odd: Any = made(("A", "B", "C"), ())
    odd.maps["C"] = torch.randn(6, 3, 3)
    assert np.isfinite(odd.agreement().loc["A", "B"])
    assert np.isnan(odd.agreement().loc["A", "C"])


def test_an_example_is_drawn_by_the_explainers_that_map_it_best_first() -> None:
    results = made()
    results.maps[results.explainers[1]][2] = torch.nan  # it has no map of this example
    figure = results.plot(2, limit=2)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title() != "input"]
    assert titles == [results.explainers[0], results.explainers[2]]
    assert "<img" in results._repr_html_()
    with pytest.raises(ArgumentError, match="number: expected an example whose maps were kept, 0 to"):
        results.plot(99)
