"""One metric in several configurations is several metrics, called as in a comparison."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial, FrozenTrial

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.metrics.selection import as_metrics
from pnpxai.recommender import Ranking, rank
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from pnpxai.tuning.space.space import Space
from tests.small import Bright, examples

IMAGE = Traits.image()
NET = Bright()
COARSE, FINE = AbPC(NET, n_steps=3), AbPC(NET, n_steps=12)
NAMES = ["AbPC (n_steps=3)", "AbPC (n_steps=12)"]


def _with_values(found: TuningResult) -> list[FrozenTrial]:
    return [trial for trial in found.study.trials if trial.values]


def _tuned(metric: object, **options: object) -> TuningResult:
    given = {"traits": IMAGE, "n_trials": 12, "n_seeds": 0, "sampler": "random", "show_progress": False} | options
    return tune(Occlusion(NET), examples(NET), metric, **given)  # type: ignore[arg-type]


def test_each_is_an_objective_of_its_own(tmp_path: Path) -> None:
    found = _tuned([COARSE, FINE], storage=tmp_path)
    assert list(as_metrics([COARSE, FINE], NET)) == NAMES
    assert found.study.study_name == f"Occlusion, {', '.join(NAMES)}"
    assert found.metric == NAMES[0]
    part, _ = examples(NET).split(0.5, 0)
    space, differ = Space((found.default,), IMAGE), 0
    for trial in _with_values(found):
        candidate = space.suggest(FixedTrial(trial.params))  # type: ignore[arg-type]
        alone = [evaluate(candidate, metric, part).array().mean() for metric in (COARSE, FINE)]
        assert trial.values == pytest.approx(alone, abs=1e-5)
        differ += abs(alone[0] - alone[1]) > 1e-3
    assert differ
    values = [tuple(of[name] for name in NAMES) for _, of in found.front]
    assert all(list(of) == NAMES for _, of in found.front)
    tried = [tuple(trial.values) for trial in _with_values(found)]
    best = {v for v in tried if not any(o[0] >= v[0] and o[1] >= v[1] and o != v for o in tried)}
    assert set(values) == best
    assert found.value == pytest.approx(max(coarse for coarse, _ in tried))
    assert TuningResult.from_dict(json.loads(json.dumps(found.to_dict())), NET) == found
    assert _tuned([COARSE, FINE], storage=tmp_path).trials == 12


def test_each_can_be_limited_by_its_name() -> None:
    free = _tuned([COARSE, FINE])
    middle = float(np.median([trial.values[1] for trial in _with_values(free)]))
    found = _tuned([COARSE, FINE], limits={NAMES[1]: middle})
    (check,) = found.limits
    assert check.limit == f"{NAMES[1]} at least {middle:g}"
    assert sum(check.ruled_out.values()) == sum(trial.values[1] < middle for trial in _with_values(free)) > 0
    same = _tuned([COARSE, FINE], limits={AbPC(NET, n_steps=12): middle})
    assert [c.ruled_out for c in same.limits] == [check.ruled_out]
    with pytest.raises(ArgumentError, match=r"limits: AbPC is .* by its name, 'AbPC \(n_steps=3\)' or 'AbPC \(n_st"):
        _tuned([COARSE, FINE], limits={"AbPC": middle})


@pytest.mark.filterwarnings("ignore:metric. Complexity says nothing of truth")
def test_two_limits_on_one_metric_are_two() -> None:
    free = _tuned("Complexity", prune=False)
    part, _ = examples(NET).split(0.5, 0)
    tried = [Space((free.default,), IMAGE).suggest(FixedTrial(trial.params)) for trial in _with_values(free)]  # type: ignore[arg-type]
    means = [[evaluate(one, metric, part).array().mean() for one in tried] for metric in (COARSE, FINE)]
    bounds = float(min(means[0]) - 1), float(np.median(means[1]))
    found = _tuned("Complexity", limits=dict(zip((COARSE, FINE), bounds, strict=True)), prune=False)
    out = [sum(check.ruled_out.values()) for check in found.limits]
    assert out == [0, sum(mean < bounds[1] for mean in means[1])]
    assert out[1] > 0
    assert [check.limit.partition(" at")[0] for check in found.limits] == NAMES


def test_a_limit_on_one_cost_does_not_fall_on_another() -> None:
    found = _tuned("seconds", limits={"rows": 1000})
    assert found.limits[0].value == found.best.explainer.cost(torch.rand(1, 1, 8, 8))


def test_a_ranking_has_a_column_for_each(tmp_path: Path) -> None:
    data = examples(NET)
    found = rank(
        NET, data, IMAGE, explainers=["GradientXInput", "Occlusion"], deciding=[COARSE, "Complexity", FINE],
        n_trials=2, show_progress=False,
    )  # fmt: skip
    names = [NAMES[0], "Complexity", NAMES[1]]
    assert list(found.means) == names
    assert list(found.table().columns)[2:5] == names
    assert {of.metric for of in found.tuned.values()} == {f"percentile of {' and '.join(names)}"}
    _, held_out = data.split(0.5, 0)
    for label, of in found.tuned.items():
        for name, metric in zip(names, (COARSE, Complexity(NET), FINE), strict=True):
            alone = evaluate(of.best, metric, held_out).array().mean()
            assert found.means[name][label].mean == pytest.approx(alone, abs=1e-5)
    with pytest.raises(ArgumentError, match="limits: AbPC is searched for with other settings"):
        rank(NET, data, IMAGE, deciding=[COARSE, FINE], limits={"AbPC": 0.1}, show_progress=False)
    assert Ranking.load(found.save(tmp_path / "ranking.json"), NET).means == found.means


@pytest.mark.parametrize("again", [["AbPC", "AbPC"], [COARSE, AbPC(NET, n_steps=3)]], ids=["names", "settings"])
def test_the_same_settings_twice_are_refused(again: list) -> None:
    with pytest.raises(ArgumentError, match="metric: AbPC is given twice with the same settings"):
        _tuned(again)
    with pytest.raises(ArgumentError, match="deciding: AbPC is given twice with the same settings"):
        rank(NET, examples(NET), IMAGE, explainers=[SmoothGrad], deciding=again, show_progress=False)


def test_a_search_for_simplicity_alone_warns() -> None:
    with pytest.warns(UserWarning, match="Complexity says nothing of truth: a single wrong position is perfect"):
        _tuned("Complexity", prune=False)
