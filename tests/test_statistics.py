"""Intervals that cover, ranks as scipy's, and a rule that says who cannot be told apart."""

import numpy as np
import pytest

from pnpxai.errors import ArgumentError
from pnpxai.statistics import DecisionRule, MeanRank, bootstrap, ranks

RNG = np.random.default_rng(0)
DIRECTIONS = {"AbPC": True}


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    inside = [(i := bootstrap(rng.normal(size=40), n_draws=400)).low <= 0 <= i.high for _ in range(300)]
    assert 0.90 <= np.mean(inside) <= 0.98


def test_bootstrap_leaves_out_nan_and_is_repeatable() -> None:
    values = [1.0, float("nan"), 3.0]
    interval = bootstrap(values)
    assert (interval.mean, interval.n) == (2.0, 2)
    assert bootstrap(values) == interval
    assert bootstrap([float("nan")]).n == 0


def test_ranks_follow_the_direction_and_put_nan_last() -> None:
    row = [3.0, float("nan"), 1.0, 3.0]
    assert ranks(row, higher_is_better=True).tolist() == [1.5, 4.0, 3.0, 1.5]
    assert ranks(row, higher_is_better=False).tolist() == [2.5, 4.0, 1.0, 2.5]


def _decide(columns: dict[str, np.ndarray], controls: tuple[str, ...] = ()):  # noqa: ANN202
    return MeanRank().decide({"AbPC": {k: list(v) for k, v in columns.items()}}, DIRECTIONS, controls)


def test_a_clear_winner_stands_alone() -> None:
    base = RNG.normal(size=50)
    decision = _decide({"good": base + 2, "fair": base + 1, "poor": base})
    assert (decision.best, decision.set) == ("good", ("good",))
    assert decision.sentence() == "good explains best. This holds for this model and these 50 examples."


def test_what_cannot_be_told_apart_is_reported_as_a_set() -> None:
    a, b = RNG.normal(size=(2, 30))
    decision = _decide({"a": a + 5, "b": b + 5, "poor": a - 5})
    assert set(decision.set) == {"a", "b"}
    assert "cannot be told apart from" in decision.sentence()


def test_candidates_must_beat_every_control() -> None:
    noise = RNG.normal(size=(4, 60))
    decision = _decide({"good": noise[0] + 3, "idle": noise[1], "RandomMap": noise[2]}, ("RandomMap",))
    assert decision.best == "good"
    assert decision.dropped == {"idle": "does not beat RandomMap", "RandomMap": "a control"}
    nothing = _decide({"idle": noise[1], "RandomMap": noise[2]}, ("RandomMap",))
    assert nothing.best is None
    assert "No explainer does better than maps that ignore the model" in nothing.sentence()


def test_direction_and_several_metrics_count() -> None:
    values = {"AbPC": {"a": [1.0] * 20, "b": [0.0] * 20}, "Loss": {"a": [5.0] * 20, "b": [9.0] * 20}}
    decision = MeanRank(metrics=("AbPC", "Loss")).decide(values, {"AbPC": True, "Loss": False})
    assert decision.best == "a"
    assert decision.mean_rank["a"].mean == 1.0


def test_metrics_that_were_not_measured_do_not_decide() -> None:
    with pytest.raises(ArgumentError, match="expected at least one that was measured"):
        MeanRank().decide({}, {})
    assert MeanRank().decide({"Other": {"a": [1.0, 2.0]}}, {"Other": True}).best == "a"


def test_the_rule_can_be_replaced() -> None:
    class First(DecisionRule):
        def decide(self, values, directions, controls=()):  # noqa: ANN001, ANN202
            rule = MeanRank()
            found = rule.decide(values, directions, controls)
            return type(found)("first", ("first",), found.mean_rank, {}, found.n)

    assert First().decide({"AbPC": {"x": [1.0]}}, DIRECTIONS).best == "first"


def test_who_has_no_value_is_dropped_for_that() -> None:
    values = {"AbPC": {"a": [0.5, 0.6], "b": [float("nan")] * 2, "random": [0.1, 0.2]}}
    for controls in ([], ["random"]):
        found = MeanRank(metrics=("AbPC",)).decide(values, {"AbPC": True}, controls)
        assert found.dropped["b"] == "has no value in AbPC"
        assert found.best == "a"
