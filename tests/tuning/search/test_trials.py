"""Samplers, several explainers, several metrics, early ends, callbacks, time: how a search is run."""

import math
import time
import warnings

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import FixedTrial

from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.evaluation import Candidate, evaluate
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from pnpxai.tuning.search.samplers import SAMPLERS
from pnpxai.tuning.space.space import Space
from tests.small import Bright, examples

IMAGE = Traits.image()


def _tuned(explainers: object, metric: object = "AbPC", n: int = 16, **options: object) -> TuningResult:
    given = {"traits": IMAGE, "n_trials": 8, "n_seeds": 0, "show_progress": False} | options
    return tune(explainers, examples(Bright(), n), metric, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", sorted({*SAMPLERS} - {"brute_force"}))
def test_every_sampler_is_seeded_and_silent(sampler: str) -> None:
    if sampler == "cma-es":
        pytest.importorskip("cmaes")
    start, data = SmoothGrad(Bright()), examples(Bright())
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, again, other = (
            tune(
                start, data, "AbPC", traits=IMAGE, sampler=sampler, n_trials=13, seed=seed, n_seeds=0,
                show_progress=False,
            )
            for seed in (0, 0, 1)
        )  # fmt: skip
    histories = [[t.params for t in result.study.trials] for result in (first, again, other)]
    assert histories[0] == histories[1]
    assert histories[0][1:] != histories[2][1:]
    assert histories[0][0]["explainer.n_iter"] == 20
    assert len({str(params) for params in histories[0]}) > 8
    assert torch.equal(state, torch.get_rng_state())


def test_a_sampler_of_optuna_is_taken_as_it_is() -> None:
    result = _tuned(SmoothGrad(Bright()), sampler=optuna.samplers.RandomSampler(seed=5))
    assert result.trials == 8


def test_brute_force_and_grid_try_every_configuration_once() -> None:
    for sampler, count in (("brute_force", 11 * 5), ("grid", 11 * 5)):
        result = _tuned(Gradient(Bright()), sampler=sampler, n_trials=500)
        assert len({str(sorted(t.params.items())) for t in result.study.trials}) == result.trials == count


def test_configurations_are_numbered_without_gaps() -> None:
    start = Candidate("IntegratedGradients", IntegratedGradients(Bright()), PostProcessor.on(Traits.series()))
    gradient = Candidate("Gradient", Gradient(Bright()), PostProcessor.on(Traits.series()))
    space = Space((start, gradient), Traits.series())
    count = int(space.size(3))
    assert not math.isinf(count)
    numbers = [*range(0, count, 61), count - 1]
    found = {str(sorted(space.configuration(k, 3).items())) for k in numbers}
    assert len(found) == len(numbers)
    for k in numbers:
        parameters = space.configuration(k, 3)
        candidate = space.suggest(FixedTrial(parameters))  # type: ignore[arg-type]
        assert space.contains(candidate)
        assert space.parameters(candidate) == parameters


def test_several_explainers_are_searched_in_one_study() -> None:
    net = Bright()
    result = _tuned([SmoothGrad(net), Gradient(net), Occlusion(net)], n_trials=24, sampler="tpe")
    trials = result.study.trials
    assert [t.params["explainer.method"] for t in trials[:3]] == ["SmoothGrad", "Gradient", "Occlusion"]
    assert "explainer.SmoothGrad.noise_level" in trials[0].params
    assert "explainer.SmoothGrad.noise_level" not in trials[1].params
    assert result.default.label == result.best.label
    defaults = [t.values[0] for t in trials[:3]]
    assert result.value >= max(defaults) - 1e-9


def test_of_several_metrics_the_front_is_found() -> None:
    net = Bright()
    result = _tuned(Occlusion(net), [AbPC(net), Complexity(net)], n_trials=20)
    values = [tuple(v.values()) for _, v in result.front]
    assert len(values) > 1
    for area, entropy in values:
        assert not any(a >= area and e <= entropy and (a, e) != (area, entropy) for a, e in values)
    assert result.value == pytest.approx(max(area for area, _ in values))
    assert result.metric == "AbPC"


def test_trials_that_are_clearly_worse_end_early_and_do_not_win() -> None:
    net = Bright()
    result = _tuned(SmoothGrad(net), n=64, n_trials=20, sampler="random")
    early = [t for t in result.study.trials if "stopped after" in t.user_attrs]
    assert len(early) == result.stopped > 0
    full = [t for t in result.study.trials if t not in early]
    best = max(t.values[0] for t in full)
    for trial in early:
        assert trial.state.name == "COMPLETE"
        assert 8 <= len(trial.intermediate_values) == trial.user_attrs["stopped after"] < 32
        assert trial.values[0] <= best
    part, _ = examples(net, 64).split(0.5, 0)
    space = Space((result.default,), IMAGE)
    for trial in result.study.trials[:4]:
        alone = evaluate(space.suggest(FixedTrial(trial.params)), AbPC(net), part).array()  # type: ignore[arg-type]
        for step, value in trial.intermediate_values.items():
            assert value == pytest.approx(alone[step], abs=1e-4)
    assert all(len(t.intermediate_values) == 32 for t in _tuned(SmoothGrad(net), n=64, prune=False).study.trials)


def test_equal_settings_are_reported_again_without_a_run() -> None:
    class Always(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):  # noqa: ANN001, ANN202
            return param_distribution.choices[0]

    result = _tuned(Gradient(Bright()), sampler=Always(), n_trials=5)
    same = [t.user_attrs.get("same as") for t in result.study.trials]
    assert same[2:] == [1, 1, 1]
    assert len({str(t.intermediate_values) for t in result.study.trials[1:]}) == 1
    assert [t.user_attrs["rows"][0] for t in result.study.trials[2:]] == [0, 0, 0]


def test_a_lucky_mean_does_not_win() -> None:
    from pnpxai.tuning.search.best_settings import _cautious_gain

    luck = np.array([1.0, -0.9, 1.1, -0.9, 0.9, -1.0, 1.0, -1.0])
    assert luck.mean() > 0 > _cautious_gain(luck)
    assert _cautious_gain(np.full(8, 0.01)) == pytest.approx(0.01)


def test_callbacks_may_stop_the_search() -> None:
    def enough(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.number == 2:
            study.stop()

    assert _tuned(SmoothGrad(Bright()), n_trials=30, callbacks=[enough]).trials == 3


def test_a_timeout_alone_has_no_limit_of_trials() -> None:
    start = time.monotonic()
    result = _tuned(SmoothGrad(Bright()), n_trials=None, timeout=1.0)
    assert result.trials > 1
    assert time.monotonic() - start < 60


def test_what_cannot_be_searched_is_refused() -> None:
    net = Bright()
    for explainers, metric, options, message in (
        ([], "AbPC", {}, "explainer: expected at least one, got none"),
        ([Gradient(net), Gradient(net)], "AbPC", {}, "Gradient is given twice"),
        ("SmoothGrad", "AbPC", {}, "expected a configured explainer such as"),
        (Gradient(net), "AbCP", {}, "no metric 'AbCP'; did you mean 'AbPC'"),
        (Gradient(net), [], {}, "metric: expected at least one metric"),
        (Gradient(net), "PointingGame", {}, "compares with what is known to matter in each example: give masks="),
        (SmoothGrad(net), ["AbPC", "Complexity"], {"sampler": "cma-es"}, "cma-es follows one metric"),
        (Occlusion(net), "AbPC", {"sampler": "brute_force"}, "brute force over .* would not end"),
        (Gradient(net), "AbPC", {"workers": 2}, "workers: several processes need a common storage"),
        (Gradient(net), "AbPC", {"timeout": 0}, "timeout: expected a number of seconds > 0"),
    ):
        with pytest.raises(ArgumentError, match=message):
            _tuned(explainers, metric, **options)


def test_a_space_without_choices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostProcessor, "get_tunables", classmethod(lambda cls, traits=None: {}))
    with pytest.raises(ArgumentError, match="Gradient has no settings to search"):
        _tuned(Gradient(Bright()))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_plots_of_optuna_take_the_study() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as plots

    study = _tuned(SmoothGrad(Bright()), n_trials=10).study
    for plot in (plots.plot_optimization_history, plots.plot_slice, plots.plot_param_importances):
        assert plot(study) is not None
    plt.close("all")
