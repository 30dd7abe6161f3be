"""Several explainers under one budget: percentiles that do not move, the weak dropped, the budget kept."""

import numpy as np
import pytest

from pnpxai.attributors.base import Attributor
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.controls import RandomMap
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.metrics.selection import as_candidates
from pnpxai.traits import Traits
from pnpxai.tuning import Budget, Judge, Judges, Race, Shared, panel, race
from tests.small import Bright, examples

IMAGE = Traits.image()
SEVEN = ["Gradient", "GradientXInput", "Occlusion", "VarGrad", "SmoothGrad", "GuidedBackprop", "DeepLift"]


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("5min", "seconds", 300), ("90s", "seconds", 90), ("1.5 h", "seconds", 5400), ("2 minutes", "seconds", 120),
        ("20_000 rows", "rows", 20000), ("1 row", "rows", 1), ("300 trials", "trials", 300), (40, "trials", 40),
        ("30 secs", "seconds", 30),
    ],
)  # fmt: skip
def test_budgets_are_read(text: str | int, kind: str, amount: float) -> None:
    assert (Budget.of(text).kind, Budget.of(text).amount) == (kind, amount)
    assert Budget.of(Budget.of(text)) == Budget.of(text)


@pytest.mark.parametrize("text", ["", "5", "five minutes", "0s", "-3 trials", "2.5 trials", True, None, 0, "5 miles"])
def test_what_is_no_budget_is_refused(text: object) -> None:
    with pytest.raises(ArgumentError, match="budget: expected a time such as '5min'"):
        Budget.of(text)  # type: ignore[arg-type]


def test_percentiles_are_places_among_fixed_candidates_in_the_direction_of_the_metric() -> None:
    net, data = Bright(), examples(Bright(), 8)
    fixed = as_candidates(["Gradient", "GradientXInput", "Occlusion", RandomMap], net, IMAGE)
    metrics = [AbPC(net), Complexity(net)]
    judge = panel(metrics, [(c, 0) for c in fixed], data, 0, Shared())
    assert judge.higher_is_better
    (cell,) = Judges([judge], 0, Shared()).on(fixed[1], data)
    expected = []
    for metric in metrics:
        sign = 1 if metric.higher_is_better else -1
        table = np.stack([sign * evaluate(c, metric, data).array() for c in fixed])
        own = table[1]
        expected.append(((table < own).sum(0) + (table <= own).sum(0)) / 8)
    np.testing.assert_allclose(cell.values, np.mean(expected, 0))


def test_a_map_without_a_value_is_the_worst() -> None:
    net, data = Bright(), examples(Bright(), 8)
    (candidate,) = as_candidates(["Gradient"], net, IMAGE)
    judge = panel([FaithfulnessCorrelation(net)], [(candidate, 0)], data, 0, Shared())
    assert judge.percentile(judge.metrics[0], data.keys[0], -2.0) == 0.0
    assert judge.percentile(judge.metrics[0], data.keys[0], 2.0) == 1.0


def _raced(names: list, n: int = 32, **options: object) -> Race:
    net = Bright()
    given = {"budget": Budget.of("60 trials"), "shared": Shared(), "traits": IMAGE, "show_progress": False}
    given |= {"tuning_fraction": 0.5, "seed": 0} | options
    candidates = as_candidates(names, net, IMAGE)
    return race(candidates, Judge.of(AbPC(net)), examples(net, n), **given)  # type: ignore[arg-type]


def test_those_that_are_clearly_worse_are_dropped_and_the_others_get_their_trials() -> None:
    found = _raced([*SEVEN, RandomMap], n=16, budget=Budget.of("90 trials"))
    assert "RandomMap" in found.dropped
    assert "worse than" in found.dropped["RandomMap"]
    assert len(found.tuned) >= 5
    assert {*found.tuned, *found.dropped} == {*SEVEN, "RandomMap"}
    assert max(result.trials for result in found.tuned.values()) > 90 / 8
    assert found.trials == 90


def test_a_few_are_never_dropped() -> None:
    assert not _raced(["Gradient", RandomMap, "Occlusion"]).dropped


def test_the_budget_is_kept() -> None:
    assert _raced(SEVEN[:3], budget=Budget.of("30 trials")).trials == 30
    shared = Shared()
    _raced(SEVEN[:3], budget=Budget.of("3000 rows"), shared=shared)
    assert 3000 <= shared.count.used < 3000 + 32 * 200


def test_what_never_works_fails_with_its_reason() -> None:
    class Stuck(Explainer):
        def attributor(self) -> Attributor:
            raise UnsuitableError("Stuck: never works")

    found = _raced(["Gradient", Stuck])
    assert "Stuck: never works" in found.failed["Stuck"]
    assert set(found.tuned) == {"Gradient"}


def test_small_spaces_end_the_race_before_the_budget_does() -> None:
    found = _raced(["Gradient"], n=8, budget=Budget.of("500 trials"))
    assert found.trials <= 11 * 5


def test_a_race_goes_on_where_it_stopped(tmp_path) -> None:  # noqa: ANN001
    whole = _raced(SEVEN[:2], budget=Budget.of("16 trials"))
    _raced(SEVEN[:2], budget=Budget.of("9 trials"), storage=tmp_path)
    resumed = _raced(SEVEN[:2], budget=Budget.of("7 trials"), storage=tmp_path)
    assert resumed.trials == whole.trials
    assert {k: r.best for k, r in resumed.tuned.items()} == {k: r.best for k, r in whole.tuned.items()}
