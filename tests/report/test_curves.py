"""Curves whose places on the page are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pnpxai.report.curves import families, searches
from pnpxai.report.differences import agreement, by_class, front, pairs
from pnpxai.report.maps import gallery
from tests.report.results_by_hand import made


def test_curves_share_one_scale_and_hold_what_lies_between() -> None:
    (family,) = families(made())
    assert (family.metric, family.low, family.high) == ("AbPC", 0.0, 0.9)
    assert family.names == ["most relevant removed first", "least relevant removed first"]
    assert [panel.label for panel in family.panels] == made().explainers
    first = family.panels[0]
    assert first.lines[0].points == "0,0 50,77.78 100,88.89"
    assert first.lines[1].points == "0,0 50,11.11 100,88.89"
    assert first.between == "0,0 50,77.78 100,88.89 100,88.89 50,11.11 0,0"
    assert "most relevant removed first: from 0.900 over 0.200 to 0.100" in first.text
    assert [panel.control for panel in family.panels] == [False, False, False, True]
    assert families(made(curves={})) == []
    assert families(made(curves={"Sensitivity": {"GradCam": {"changes": [0.1, 0.2]}}})) == []
    assert families(made(curves={"AbPC": {"GradCam": {"morf": [float("nan")]}}})) == []


def test_the_best_so_far_never_falls_and_refused_trials_have_no_dot() -> None:
    (search,) = searches(made())
    assert search.dots == [(0.0, 100.0), (50.0, 20.0), (75.0, 60.0), (100.0, 0.0)]
    assert search.best == "0,100 25,100 50,20 75,20 100,0"
    assert "of the first trial 0.500, best of 5 trials 0.750" in search.text
    tuned = made().tuned[0]
    lower = searches(made(tuned=(tuned | {"metric": "Sensitivity"},)))[0]
    assert lower.best == "0,100 25,100 50,100 75,100 100,100"  # there less is better
    assert searches(made(tuned=(tuned | {"curve": []},))) == []


def test_tests_say_who_is_better() -> None:
    results = made(examples=30)
    of = {t.metric: t for t in pairs(results)}
    best, *_, worst = results.explainers
    rows = dict(of["AbPC"].rows)
    told = rows[best][-1]
    assert told is not None
    assert (told.direction, told.text) == ("better", "< 0.001")
    other = rows[worst][0]
    assert other is not None
    assert other.direction == "worse"
    assert rows[best][0] is None
    assert of["Sensitivity"].rows[0][0] == best
    assert pairs(made(("Occlusion",), ())) == []


def test_agreement_classes_and_front() -> None:
    results = made()
    rows = dict(agreement(results))
    assert rows["Occlusion"][results.explainers.index("Occlusion")].text == "1.00"
    classes, means = by_class(results, "AbPC")
    assert classes == [0, 1, 2]
    assert dict(means)["GradCam"][1].text == f"{results.values('AbPC', 'GradCam')[[1, 4, 7]].mean():.3f}"
    assert max(shade.depth for _, row in means for shade in row) == 30
    _, reversed_means = by_class(results, "Complexity")
    depths = {shade.text: shade.depth for _, row in reversed_means for shade in row}
    assert depths[min(depths)] == 30  # there less is better
    assert front(results) == ("Occlusion",)
    assert agreement(made(maps={})) == []
    table = results.table.assign(target=1)
    assert by_class(made(table=table), "AbPC") == ([], [])


@pytest.mark.parametrize("kept", [(), (1, 4, 5, 6, 7, 3)])
def test_maps_have_their_examples_numbers(kept: tuple[int, ...]) -> None:
    results = replace(made(), kept=kept)
    found = gallery(results)
    assert found is not None
    numbers = kept or tuple(range(6))
    assert tuple(shown.number for shown in found.shown) == numbers
    values = results.values("AbPC", results.explainers[0])
    assert [shown.values[0][0] for shown in found.shown] == [values[n] for n in numbers]
    assert f"example {numbers[1]}:" in found.shown[1].rows[0].tiles[0].alt
