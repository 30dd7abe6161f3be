"""Tuning: seeded, never below the default, refused settings explained, the gain measured where it was not searched."""

import json
import warnings

import pytest
import torch
from torch import nn

from pnpxai.attributors.base import Attributor
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.flipping import AbPC, MoRF
from pnpxai.traits import Traits
from pnpxai.tuning import Shared, TuningResult, tune
from tests.small import Bright, examples

IMAGE = Traits.image()


def _tuned(seed: int = 0, **options: object) -> TuningResult:
    net = Bright()
    given = {"n_trials": 8, "traits": IMAGE, "seed": seed, "show_progress": False} | options
    return tune(SmoothGrad(net), examples(net), AbPC(net), **given)  # type: ignore[arg-type]


def _history(result: TuningResult) -> list[tuple[dict, list[float] | None]]:
    return [(trial.params, trial.values) for trial in result.study.trials]


def test_the_same_seed_gives_the_same_trials_and_another_seed_others() -> None:
    first, again, other = _tuned(0), _tuned(0), _tuned(1)
    assert _history(first) == _history(again)
    assert first.best.settings() == again.best.settings()
    assert first.gain == again.gain
    assert _history(first)[1:] != _history(other)[1:]


def test_the_defaults_come_first_and_the_best_is_never_worse() -> None:
    result = _tuned()
    assert result.study.trials[0].params["explainer.noise_level"] == 0.1
    assert result.value >= result.study.trials[0].values[0]
    lowest = tune(
        SmoothGrad(Bright()), examples(Bright()), MoRF(Bright()), n_trials=4, traits=IMAGE, show_progress=False
    )
    assert lowest.value <= lowest.study.trials[0].values[0]
    assert lowest.study.direction.name == "MINIMIZE"


def test_a_start_outside_the_space_is_kept_if_nothing_is_better() -> None:
    net = Bright()
    start = Occlusion(net, window=3, stride=1)
    result = tune(start, examples(net), AbPC(net), n_trials=2, sampler="random", traits=IMAGE, show_progress=False)
    assert "explainer.window" in result.study.trials[0].params
    best = max([*(t.values[0] for t in result.study.trials if t.values)], default=-2)
    assert result.value >= best


def test_the_gain_is_measured_on_examples_that_were_not_searched() -> None:
    net = Bright()
    data = examples(net)
    result = tune(SmoothGrad(net), data, AbPC(net), n_trials=6, traits=IMAGE, seed=3, show_progress=False)
    searched, held_out = data.split(0.5, 3)
    assert not set(searched.keys) & set(held_out.keys)
    after, before = (evaluate(c, AbPC(net), held_out, 3).array() for c in (result.best, result.default))
    assert result.gain.mean == pytest.approx((after - before).mean())
    on_searched = evaluate(result.best, AbPC(net), searched, 3).array()
    assert result.value == pytest.approx(on_searched.mean())


def test_settings_that_cannot_work_are_refused_with_their_reason() -> None:
    net = Bright()
    result = tune(
        Occlusion(net), examples(net), AbPC(net), n_trials=24, sampler="random", traits=IMAGE, show_progress=False
    )
    refused = [t for t in result.study.trials if t.state.name == "PRUNED"]
    assert len(refused) == result.refused > 0
    assert all("stride: expected at most the window" in t.user_attrs["reason"] for t in refused)


def test_an_explainer_that_always_fails_says_why() -> None:
    class Refusing(Explainer):
        def attributor(self) -> Attributor:
            raise UnsuitableError("Refusing: never works")

    net = Bright()
    with pytest.raises(ArgumentError, match="none of 2 settings of Refusing worked: Refusing: never works"):
        tune(Refusing(net), examples(net), AbPC(net), n_trials=2, traits=IMAGE, show_progress=False)


def test_small_spaces_are_searched_whole() -> None:
    net = Bright()
    result = tune(Gradient(net), examples(net), AbPC(net), n_trials=60, traits=IMAGE, show_progress=False)
    assert result.trials == 11 * 5
    assert len({json.dumps(t.params, sort_keys=True) for t in result.study.trials}) == 11 * 5


def test_masked_runs_serve_all_trials_and_equal_settings_are_measured_once() -> None:
    net, shared, rows = Bright(), Shared(), []
    net.register_forward_hook(lambda module, args, output: None if is_probe() else rows.append(len(output)))
    tune(
        Gradient(net), examples(net), FaithfulnessCorrelation(net), n_trials=6, traits=IMAGE, shared=shared, n_seeds=0,
        show_progress=False,
    )  # fmt: skip
    assert shared.runs.rows_run == 16 * 101
    assert shared.runs.rows_saved >= 5 * 8 * 101
    assert sum(rows) < 16 * 101 + 16 * 101 + 40 * 16


def test_results_are_saved_and_rebuilt(tmp_path) -> None:  # noqa: ANN001
    result = _tuned()
    read = json.loads(result.save(tmp_path / "tuned.json").read_text())
    rebuilt = Explainer.from_dict(read["explainer"], result.explainer.model)
    assert rebuilt == result.explainer
    assert read["held_out_gain"]["n"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["tuned.json"]


def test_wrong_arguments_are_refused() -> None:
    net = Bright()
    for options, message in (
        ({"n_trials": 0}, "n_trials: expected a whole number >= 1, got 0"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"tuning_fraction": 1.5}, "fraction: expected a number between 0 and 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            tune(SmoothGrad(net), examples(net), AbPC(net), show_progress=False, **options)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="at least 2, got 1"):
        tune(SmoothGrad(net), examples(net).first(1), AbPC(net), show_progress=False)


def test_nothing_is_printed_or_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _tuned(n_trials=12, sampler="tpe")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_progress_shows_the_best_value(capfd: pytest.CaptureFixture[str]) -> None:
    _tuned(n_trials=2, show_progress=True)
    assert "best=" in capfd.readouterr().err


def test_tuning_leaves_model_and_random_state_alone() -> None:
    net = Bright().train()
    state = torch.get_rng_state()
    tune(SmoothGrad(net), examples(net), AbPC(net), n_trials=2, traits=IMAGE, show_progress=False)
    assert torch.equal(state, torch.get_rng_state())
    assert net.training
    assert all(isinstance(m, nn.Module) and not m._forward_hooks for m in net.modules())
