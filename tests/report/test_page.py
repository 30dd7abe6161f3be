"""Words and tables of the page."""

from dataclasses import replace

import pytest

from pnpxai.report.page import compared, descriptions, learned, ranking, settings, undefined, unfit
from tests.report.results_by_hand import made


def test_places_in_the_ranking():
    results = made(("First", "Second", "Third", "Last"))
    decision = replace(results.decision, set=("First", "Second"), dropped={"Last": "lost", "RandomMap": "a control"})
    rows = ranking(replace(results, decision=decision))
    assert [(row.label, row.place, row.why) for row in rows] == [
        ("First", "best", ""),
        ("Second", "ties", ""),
        ("Third", "behind", ""),
        ("Last", "dropped", "lost"),
        ("RandomMap", "control", ""),
    ]
    assert [row.order for row in rows] == sorted(row.order for row in rows)
    spans = [row.span for row in rows]
    assert spans[0] is not None
    assert (spans[0].low, spans[0].mean, spans[0].high) == (0, 0, 0)
    assert [row.seconds for row in rows] == [0.5, 1, 1.5, 2, 2.5]
    assert rows[0].means["AbPC"] == results.interval("AbPC", "First")


def test_compared_names_further_facts():
    results = made()
    pairs = dict(compared(replace(results, facts=results.facts | {"data_set": "digits"})))
    assert pairs["Data set"] == "digits"
    assert pairs["Examples"] == "8"
    assert dict(compared(replace(results, facts={})))["Seed"] == "not recorded"


def test_undefined_values_are_counted_by_reason():
    results = made(undefined={("Occlusion", "AbPC"): "flat", ("GradCam", "Sensitivity"): "noisy"})
    assert undefined(results) == [
        {"explainer": "Occlusion", "metric": "AbPC", "reason": "flat", "count": 1},
        {"explainer": "GradCam", "metric": "Sensitivity", "reason": "noisy", "count": 1},
    ]
    assert undefined(made()) == []


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "better than the default"),
        (-0.2, -0.1, "worse than the default"),
        (-0.1, 0.2, "not told apart from the default"),
        (0.0, 0.0, "not told apart from the default"),
        (float("nan"), float("nan"), "not measured"),
    ],
)
def test_a_gain_is_put_in_words(low, high, verdict):
    results = made()
    gain = {"mean": (low + high) / 2, "low": low, "high": high, "n": 4}
    (row,) = learned(replace(results, tuned=(results.tuned[0] | {"held_out_gain": gain},)))
    assert row["verdict"] == verdict
    # which axis holds channels comes from the data: it was not tuned
    assert row["settings"] == "Occlusion(window=0.25)"
    assert row["postprocessor"] == "PostProcessor(pooling_fn=Sum)"
    made_elsewhere = results.tuned[0] | {"explainer": {"type": "theirs:Own", "channel_dim": 1}}
    (row,) = learned(replace(results, tuned=(made_elsewhere,)))
    assert row["settings"] == "theirs:Own(channel_dim=1)"


def test_settings_of_everything_are_there():
    found = settings(made())
    assert [(of["label"], of["kind"]) for of in found] == [
        ("Occlusion", "explainer"), ("SmoothGrad", "explainer"), ("GradCam", "explainer"), ("RandomMap", "control"),
        ("AbPC", "metric"), ("FaithfulnessCorrelation", "metric"), ("Sensitivity", "metric"), ("Complexity", "metric"),
    ]  # fmt: skip
    assert ("baseline_fn", "Zeros") in found[0]["parts"]["explainer"]
    assert "channel_dim" not in dict(found[0]["parts"]["explainer"])
    given = [("channel_dim", "1"), ("channel_dim (post-processing)", "1")]
    assert found[0]["parts"]["not searched"] == given
    assert ("n_steps", "10") in found[4]["parts"]["metric"]


def test_metrics_describe_themselves():
    abpc = descriptions(made())[0]
    assert abpc["name"] == "AbPC"
    assert abpc["higher"]
    assert abpc["prose"][0].startswith("Area between the curves")


def test_those_that_do_not_fit_are_sorted():
    assert unfit(made(rejected={"B": "b", "A": "a"})) == [("A", "a"), ("B", "b")]
