"""Limits rule settings out, and what explaining costs is searched for like a metric."""

import json
import time
from pathlib import Path

import pytest
import torch

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.traits import Traits
from pnpxai.tuning import Shared, TuningResult, tune
from tests.small import Bright, examples

IMAGE = Traits.image()


def _tuned(explainers: object, metric: object = "AbPC", n: int = 16, **options: object) -> TuningResult:
    given = {"traits": IMAGE, "n_trials": 20, "n_seeds": 0, "sampler": "random", "show_progress": False} | options
    return tune(explainers, examples(Bright(), n), metric, **given)  # type: ignore[arg-type]


def _mean(result: TuningResult, metric: object, n: int = 16) -> float:
    part, _ = examples(Bright(), n).split(0.5, 0)
    return float(evaluate(result.best, metric, part).array().mean())  # type: ignore[arg-type]


@pytest.mark.parametrize("prune", [True, False])
def test_the_best_is_the_best_of_those_within_the_limit(prune: bool) -> None:
    net = Bright()
    free = _tuned(Occlusion(net), n=32, prune=False)
    trials = [t for t in free.study.trials if t.values]
    bound = 3.3
    entropy = {t.number: _entropy(free, t, 32) for t in trials}
    within = [t for t in trials if entropy[t.number] <= bound]
    assert 2 < len(within) < len(trials)
    assert entropy[max(trials, key=lambda t: t.values[0]).number] > bound, "the limit is felt"
    found = _tuned(Occlusion(net), n=32, limits={"Complexity": bound}, prune=prune)
    (check,) = found.limits
    assert check.limit == "Complexity at most 3.3"
    assert check.value == pytest.approx(_mean(found, Complexity(net), 32), abs=1e-6)
    assert check.value is not None
    assert check.value <= bound
    assert sum(check.ruled_out.values()) == sum(t.constraints[check.limit] > 0 for t in found.study.trials if t.values)
    if not prune:
        assert check.ruled_out == {"Occlusion": len(trials) - len(within)}
        assert found.value in [pytest.approx(t.values[0]) for t in within]
        assert f"Complexity at most 3.3: {check.value:.4g}; ruled out Occlusion" in str(found)


def _entropy(result: TuningResult, trial: object, n: int) -> float:
    from optuna.trial import FixedTrial

    from pnpxai.tuning.space.space import Space

    candidate = Space((result.default,), IMAGE).suggest(FixedTrial(trial.params))  # type: ignore[arg-type,attr-defined]
    part, _ = examples(Bright(), n).split(0.5, 0)
    return float(evaluate(candidate, Complexity(Bright()), part).array().mean())


def test_a_default_outside_the_limits_is_no_winner() -> None:
    net = Bright()
    found = _tuned(SmoothGrad(net), limits={"rows": 10.0}, n_trials=30, sampler="random")
    assert SmoothGrad(net).n_iter == 20
    assert found.explainer.n_iter == 10
    assert found.default.explainer == SmoothGrad(net)
    outside = Occlusion(net, window=3, stride=1)  # not in what is searched, so that it is no trial
    assert _tuned(outside, limits={"rows": 30.0}).explainer.cost(torch.rand(1, 1, 8, 8)) <= 30


def test_limits_that_nothing_keeps_within_are_named_with_the_nearest() -> None:
    with pytest.raises(
        ArgumentError, match=r"none of 5 settings of SmoothGrad keeps within the limits: rows at most 5"
    ):
        _tuned(SmoothGrad(Bright()), limits={"rows": 5}, n_trials=5)
    with pytest.raises(ArgumentError, match=r"AbPC at least 3 \(the nearest had -?0\.\d+; 20 trials did not\)"):
        _tuned(SmoothGrad(Bright()), limits={"AbPC": 3, "rows": 200}, prune=False)


def test_a_limit_is_kept_by_every_member_of_the_front() -> None:
    net = Bright()
    free = _tuned(SmoothGrad(net), ["AbPC", "rows"], n_trials=30)
    bound = max(values["rows"] for _, values in free.front) - 1
    assert bound > 10
    limited = _tuned(SmoothGrad(net), ["AbPC", "rows"], limits={"rows": bound}, n_trials=30)
    assert all(values["rows"] <= bound for _, values in limited.front)
    assert limited.best.settings() in [candidate.settings() for candidate, _ in limited.front]
    assert limited.value == max(values["AbPC"] for _, values in limited.front)
    assert limited.limits[0].value == limited.explainer.n_iter


def test_rows_are_an_objective() -> None:
    found = _tuned(SmoothGrad(Bright()), ["AbPC", "rows"], n_trials=15)
    for candidate, values in found.front:
        assert values["rows"] == candidate.explainer.n_iter
    assert _tuned(SmoothGrad(Bright()), "rows", n_trials=15).explainer.n_iter == 10


def test_seconds_are_those_of_explaining_with_nothing_shared() -> None:
    class Slow(Bright):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.002)
            return super().forward(x)

    net, shared, rows = Slow(), Shared(), []
    net.register_forward_hook(lambda module, args, output: None if is_probe() else rows.append(len(output)))
    found = tune(
        [Gradient(net), Occlusion(net)], examples(Bright(), 8), ["AbPC", "seconds"], traits=IMAGE, n_trials=6,
        n_seeds=0, shared=shared, limits={"seconds": 3.0}, show_progress=False,
    )  # fmt: skip
    quickest_first = sorted((values["seconds"], values["AbPC"]) for _, values in found.front)
    assert [value for _, value in quickest_first] == sorted({value for _, value in quickest_first})
    assert all(0.002 / 4 <= values["seconds"] < 3.0 for _, values in found.front)
    assert found.limits[0].value is not None
    assert shared.count.used == sum(rows)


def test_explainers_in_one_study_are_ruled_out_one_by_one() -> None:
    net = Bright()
    found = _tuned([SmoothGrad(net), Gradient(net)], limits={"rows": 1}, n_trials=12)
    assert found.best.label == "Gradient"
    count = sum(t.params["explainer.method"] == "SmoothGrad" for t in found.study.trials)
    assert found.limits[0].ruled_out == {"SmoothGrad": count}


def test_what_is_limited_is_kept_and_comes_back(tmp_path: Path) -> None:
    net = Bright()
    options = {"limits": {Complexity(net): 3.5}, "n": 32, "storage": tmp_path}
    first = _tuned(Occlusion(net), n_trials=8, **options)
    resumed = _tuned(Occlusion(net), **options)
    assert resumed.trials == 20
    whole = _tuned(Occlusion(net), **(options | {"storage": None}))
    assert resumed.limits[0].ruled_out == whole.limits[0].ruled_out
    for one, other in zip(resumed.study.trials, whole.study.trials, strict=True):
        assert one.params == other.params
        assert one.constraints == pytest.approx(other.constraints, abs=1e-5)
    again = TuningResult.from_dict(json.loads(json.dumps(first.to_dict())), net)
    assert again == first
    with pytest.raises(ArgumentError, match=r"holds another run called .* \(it differs in limits\)"):
        _tuned(Occlusion(net), **(options | {"limits": {"Complexity": 3.6}}))


def test_wrong_limits_are_refused() -> None:
    net = Bright()
    for metric, limits, message in (
        ("AbPC", {"Sensitivty": 1.0}, "no metric 'Sensitivty'; did you mean 'Sensitivity'"),
        ("AbPC", {"second": 1.0}, "no metric or cost 'second'; did you mean 'seconds'"),
        ("rowz", {}, "no metric or cost 'rowz'; did you mean 'rows'"),
        ("AbPC", {"seconds": "1s"}, "limits: seconds: expected a number, got '1s'"),
        ("AbPC", {"seconds": float("nan")}, "limits: seconds: expected a number, got nan"),
        ("AbPC", ["seconds"], "limits: expected a mapping such as"),
        ("AbPC", {"PointingGame": 1}, "limits: PointingGame compares with what is known to matter"),
        (AbPC(net, n_steps=5), {AbPC(net): 0.1}, "AbPC is searched for with other settings; limit it by its name"),
    ):
        with pytest.raises(ArgumentError, match=message):
            _tuned(Gradient(net), metric, limits=limits)
