"""Ranks as scipy's, and a rule that says which explainers cannot be told from the best, and no more than it knows."""

import numpy as np
import pytest

from pnpxai.errors import ArgumentError
from pnpxai.statistics import DecisionRule, MeanRank, ranks

RNG = np.random.default_rng(0)
DIRECTIONS = {"AbPC": True}


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
    assert decision.sentence() == (
        "good ranks first by AbPC, ahead of all others, 95 % sure. This holds for this model and these 50 examples."
    )


def test_what_cannot_be_told_apart_is_reported_as_a_set() -> None:
    a, b = RNG.normal(size=(2, 30))
    decision = _decide({"a": a + 5, "b": b + 5, "poor": a - 5})
    assert set(decision.set) == {"a", "b"}
    assert "cannot be told apart from" in decision.sentence()


def test_candidates_must_beat_every_control() -> None:
    noise = RNG.normal(size=(4, 60))
    decision = _decide({"good": noise[0] + 3, "idle": noise[1], "RandomMap": noise[2]}, ("RandomMap",))
    assert decision.best == "good"
    assert decision.dropped == {"idle": "may not beat RandomMap", "RandomMap": "a control"}
    nothing = _decide({"idle": noise[1], "RandomMap": noise[2]}, ("RandomMap",))
    assert nothing.best is None
    assert nothing.sentence().startswith("No explainer is shown by AbPC to do better than maps that ignore the model.")


def test_direction_and_several_metrics_count() -> None:
    values = {"AbPC": {"a": [1.0] * 20, "b": [0.0] * 20}, "Loss": {"a": [5.0] * 20, "b": [9.0] * 20}}
    decision = MeanRank(metrics=("AbPC", "Loss")).decide(values, {"AbPC": True, "Loss": False})
    assert decision.best == "a"
    assert decision.mean_rank["a"].mean == 1.0


def test_metrics_that_were_not_measured_do_not_decide() -> None:
    with pytest.raises(ArgumentError, match="expected at least one that was measured"):
        MeanRank().decide({}, {})
    assert MeanRank().decide({"Other": {"a": [1.0, 2.0] * 4}}, {"Other": True}).best == "a"


def test_the_rule_can_be_replaced() -> None:
    class First(DecisionRule):
        def decide(self, values, directions, controls=()):  # noqa: ANN001, ANN202
            rule = MeanRank()
            found = rule.decide(values, directions, controls)
            return type(found)("first", ("first",), found.mean_rank, {}, found.n)

    assert First().decide({"AbPC": {"x": [1.0]}}, DIRECTIONS).best == "first"


def test_who_has_no_value_is_dropped_for_that() -> None:
    values = {"AbPC": {"a": [0.5, 0.6] * 4, "b": [float("nan")] * 8, "random": [0.1, 0.2] * 4}}
    for controls in ([], ["random"]):
        found = MeanRank(metrics=("AbPC",)).decide(values, {"AbPC": True}, controls)
        assert found.dropped["b"] == "has no value in AbPC"
        assert found.best == "a"


def test_too_few_examples_decide_nothing_and_the_verdict_says_how_many_would() -> None:
    decision = _decide({"a": np.array([3.0, 4.0]), "b": np.array([1.0, 2.0])})
    assert (decision.best, decision.set, decision.first) == (None, (), "a")
    assert decision.sentence() == "Too few examples to tell: 2 examples. About 6 examples would do."
    one = _decide({"a": np.array([3.0]), "RandomMap": np.array([1.0])}, ("RandomMap",))
    assert one.best is None
    assert one.sentence().startswith("Too few examples to tell: 1 example.")


def test_noise_names_no_best() -> None:
    rng, named = np.random.default_rng(4), 0
    for n in (4, 12):
        for _ in range(150):
            columns = {f"e{k}": rng.normal(size=n) for k in range(20)} | {"RandomMap": rng.normal(size=n)}
            named += _decide(columns, ("RandomMap",)).best is not None
    assert named / 300 <= 0.05


def test_an_equal_one_that_is_not_shown_to_beat_the_controls_stays_in_the_set() -> None:
    rng = np.random.default_rng(7)
    strong, control = rng.normal(size=(2, 40))
    decision = _decide({"a": strong + 1.2, "b": rng.normal(size=40) * 4 + 0.9, "RandomMap": control}, ("RandomMap",))
    assert decision.best == "a"
    assert set(decision.set) == {"a", "b"}
    assert "b" not in decision.dropped


def test_a_verdict_names_only_the_metrics_that_decided() -> None:
    decision = _decide({"a": RNG.normal(size=30) + 1, "b": RNG.normal(size=30)})
    assert decision.metrics == ("AbPC",)
    assert "FaithfulnessCorrelation" not in decision.sentence()


def test_a_verdict_says_how_many_examples_would_tell_two_apart() -> None:
    rng = np.random.default_rng(11)
    a = rng.normal(size=30)
    decision = _decide({"a": a + 0.4, "b": rng.normal(size=30), "poor": a - 9})
    assert len(decision.set) == 2
    assert decision.enough is not None
    assert (
        f"About {decision.enough} examples would tell {decision.set[0]} from {decision.set[1]}." in decision.sentence()
    )
