"""Places of values on a scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.report.strips import Scale, distributions, interval
from pnpxai.statistics import Interval
from tests.report.results_by_hand import made


def test_a_scale_goes_from_left_to_right():
    scale = Scale(-1, 3)
    assert [scale.at(v) for v in (-1, 0, 1, 3)] == [0, 25, 50, 100]
    assert (scale.at(-9), scale.at(9)) == (0, 100)
    assert scale.beyond(3.1)
    assert not scale.beyond(3)


def test_ticks_are_round_and_true():
    assert Scale(0, 1).ticks() == [(0, "0.0"), (20, "0.2"), (40, "0.4"), (60, "0.6"), (80, "0.8"), (100, "1.0")]
    assert Scale(-10, 90).ticks() == [(10, "0"), (30, "20"), (50, "40"), (70, "60"), (90, "80")]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_scale_always_has_a_few_ticks(low, width):
    ticks = Scale(low, low + width).ticks()
    assert 2 <= len(ticks) <= 8
    places = [place for place, _ in ticks]
    assert places == sorted(places)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3))
def test_a_scale_holds_few_values_with_room(values):
    scale = Scale.over(values)
    assert scale.low < min(values)
    assert max(values) < scale.high


def test_a_scale_leaves_out_what_lies_far_out():
    scale = Scale.over([*np.linspace(0, 1, 100), 1e9])
    assert scale.high < 10
    assert scale.beyond(1e9)
    assert Scale.over([]) == Scale.over([float("nan")]) == Scale(0, 1)


def test_an_interval_without_values_has_no_place():
    assert interval(Interval(float("nan"), float("nan"), float("nan"), 0), Scale(0, 1)) is None
    found = interval(Interval(0.5, 0.25, 1, 3), Scale(0, 1))
    assert found is not None
    assert (found.low, found.mean, found.high) == (25, 50, 100)


def test_a_distribution_holds_every_value_that_is_defined():
    results = made(undefined={("Occlusion", "AbPC"): "why"})
    abpc = distributions(results)[0]
    assert [strip.label for strip in abpc.strips] == results.explainers
    assert [len(strip.dots) for strip in abpc.strips] == [7, 8, 8, 8]
    assert [strip.control for strip in abpc.strips] == [False, False, False, True]
    assert abpc.strips[0].text.startswith("AbPC of Occlusion: mean ")
    ends = [np.mean([x for x, _, _ in strip.dots]) for strip in abpc.strips]
    assert ends == sorted(ends, reverse=True)
    assert not abpc.thinned


def test_many_values_become_quantiles():
    (abpc, *_) = distributions(made(examples=250))
    assert abpc.thinned
    assert {len(strip.dots) for strip in abpc.strips} == {100}


def test_a_strip_without_values_says_so():
    results = made()
    table = results.table
    table.loc[(table.metric == "AbPC") & (table.explainer == "Occlusion"), "value"] = float("nan")
    strip = next(s for s in distributions(results)[0].strips if s.label == "Occlusion")
    assert strip.span is None
    assert strip.text == "AbPC of Occlusion: undefined for every example"


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0])
def test_constant_values_are_drawn_in_the_middle(value):
    assert Scale.over([value] * 4).at(value) == 50
