"""What cannot be tuned is refused in words that say what came, what was expected and how to mend it."""

import pytest
import torch

from pnpxai import AutoExplanation, Recommender
from pnpxai.attributors.base import Attributor
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from tests.small import Bright, examples, pictures

IMAGE = Traits.image()


def _tuned(explainer: object = None, data: object = None, metric: object = "AbPC", **options: object) -> TuningResult:
    net = Bright()
    given = {"traits": IMAGE, "n_trials": 3, "n_seeds": 0, "show_progress": False} | options
    return tune(explainer or Gradient(net), examples(net) if data is None else data, metric, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "AbPCC"}, "metric: no metric 'AbPCC'; did you mean 'AbPC'?"),
        ({"metric": 3}, "metric: expected a name, a class or a configured object, got 3"),
        ({"explainer": SmoothGrad}, r"explainer: expected a configured explainer such as SmoothGrad\(model\), got"),
        ({"data": Examples(())}, "examples: .* need at least 2, got 0"),
        ({"data": torch.rand(3, 1, 8, 8)}, r"examples: expected Examples, got Tensor; Examples.of\(\[\(inputs"),
        ({"traits": "image"}, r"traits: expected Traits such as Traits.image\(\), got 'image'"),
        ({"postprocessor": "sum"}, "postprocessor: expected a PostProcessor, got 'sum'"),
        ({"sampler": 3}, "sampler: expected a name such as 'tpe', or a sampler of Optuna, got 3"),
        ({"n_seeds": -1}, "n_seeds: expected a whole number >= 0, got -1"),
        ({"seed": "a"}, "seed: expected a whole number >= 0, got 'a'"),
        ({"tuning_fraction": 0}, "fraction: expected a number between 0 and 1, got 0"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        _tuned(**options)


def test_the_ranking_refuses_what_are_no_examples() -> None:
    net = Bright()
    with pytest.raises(ArgumentError, match="examples: expected Examples, got Tensor"):
        Recommender(explainers=["Gradient"]).rank("image", net, pictures())  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="need at least 2, got 0"):
        Recommender(explainers=["Gradient"]).rank("image", net, Examples(()), show_progress=False)


def test_a_setting_that_breaks_down_is_left_out_and_one_that_always_does_is_told_with_its_error() -> None:
    class Fragile(Explainer):
        n: int = 1

        def attributor(self) -> Attributor:
            raise RuntimeError("the parts do not fit")

    net = Bright()
    with pytest.raises(ArgumentError, match="none of 3 settings of Fragile worked: RuntimeError: the parts do not fit"):
        _tuned(Fragile(net))
    found = Recommender(explainers=[Fragile, "Gradient"], n_trials=4).rank(
        "image", net, examples(net), show_progress=False
    )
    assert "RuntimeError: the parts do not fit" in found.failed["Fragile"]
    assert set(found.tuned) == {"Gradient"}
    searched = _tuned([Gradient(net), Fragile(net)], n_trials=8, sampler="random")
    assert searched.best.label == "Gradient"
    assert searched.refused > 0


def test_costs_and_limits_are_asked_for_at_the_front_door() -> None:
    auto = AutoExplanation(Bright(), pictures(), "image")
    found = auto.tune(
        "SmoothGrad", ["AbPC", "rows"], limits={"Complexity": 9.0}, n_trials=3, n_seeds=0, show_progress=False
    )
    assert {name for _, values in found.front for name in values} == {"AbPC", "rows"}
    assert found.limits[0].value is not None
