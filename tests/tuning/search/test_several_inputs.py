"""Each of several inputs has its own baseline, features and post-processing, and each is searched."""

import json

import optuna
import pytest
import torch
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.metrics.evaluation import Candidate
from pnpxai.modalities import ImageModality, SeveralModalities, TabularModality, TextModality
from pnpxai.strategies.baselines import EachBaseline, GaussianBlur, Zeros
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.feature_masks import EachMask, Grid, Positions
from pnpxai.strategies.pooling import EachPooling
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.strategies.token_baselines import Token
from pnpxai.tuning import TuningResult, tune
from pnpxai.tuning.space.parameters import contained, parameters, size, suggest
from pnpxai.tuning.space.space import Space

BOTH = SeveralModalities((ImageModality(), TextModality(mask_token_id=3))).traits
TWO_PICTURES = SeveralModalities((ImageModality(), ImageModality())).traits
PICTURE_AND_ROW = SeveralModalities((ImageModality(), TabularModality())).traits


class Asked(nn.Module):
    """A picture and a question (three tokens) in, two classes out."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.look, self.read, self.out = nn.Linear(64, 4), nn.Embedding(6, 4), nn.Linear(4, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draws) / 2)

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.out((self.look(picture.flatten(1)) * self.read(tokens).mean(1)).tanh())


def _examples(n: int = 8) -> Examples:
    draws = torch.Generator().manual_seed(1)
    inputs = torch.rand(n, 1, 8, 8, generator=draws), torch.randint(1, 6, (n, 3), generator=draws)
    with torch.no_grad():
        return Examples.of([(inputs, Asked()(*inputs).argmax(1), None)])


def test_names_are_those_of_the_original() -> None:
    start = KernelShap(Asked(), baseline_fn=EachBaseline((Zeros(), Token(3))))
    found = parameters(start, "explainer", BOTH)
    assert found == {  # not its number of samples, which is chosen for the game
        "explainer.baseline_fn.ImageModality.method": "zeros",
        "explainer.baseline_fn.TextModality.method": "token",
        "explainer.feature_mask_fn.ImageModality.method": "auto",
        "explainer.feature_mask_fn.TextModality.method": "auto",
    }
    assert contained(start, BOTH)
    of_maps = parameters(PostProcessor.on(BOTH), "postprocessor", BOTH)
    assert of_maps == {
        f"postprocessor.{name}.{field}.method": method
        for name in ("ImageModality", "TextModality")
        for field, method in (("pooling_fn", "sum"), ("normalization_fn", "identity"))
    }
    second = parameters(SmoothGrad(Asked()), "explainer", TWO_PICTURES)
    assert second == {"explainer.noise_level": 0.1, "explainer.n_iter": 20}
    twins = parameters(IntegratedGradients(Asked()), "explainer", TWO_PICTURES)
    assert {name for name in twins if "Image" in name} == {
        "explainer.baseline_fn.ImageModality.method", "explainer.baseline_fn.ImageModality2.method"
    }  # fmt: skip


def test_each_input_has_the_choices_that_suit_it() -> None:
    trial = optuna.create_study().ask()
    start = KernelShap(Asked(), baseline_fn=EachBaseline((Zeros(), Token(3))))
    suggest(trial, start, "explainer", BOTH)
    choices = {name.split("_fn.")[1]: d.choices for name, d in trial.distributions.items() if name.endswith("method")}  # type: ignore[attr-defined]
    baselines = trial.distributions["explainer.baseline_fn.TextModality.method"]
    assert set(baselines.choices) == {"token", "pad"}  # type: ignore[attr-defined]
    assert "gaussian_blur" in trial.distributions["explainer.baseline_fn.ImageModality.method"].choices  # type: ignore[attr-defined]
    assert {"slic", "grid"} <= set(choices["ImageModality.method"])
    assert "slic" not in choices["TextModality.method"]
    assert "positions" in choices["TextModality.method"]


def test_a_trial_builds_what_it_suggests() -> None:
    start = KernelShap(Asked(), baseline_fn=EachBaseline((Zeros(), Token(3))))
    fixed = optuna.trial.FixedTrial(
        {
            "explainer.n_samples": 20,
            "explainer.baseline_fn.ImageModality.method": "gaussian_blur",
            "explainer.baseline_fn.ImageModality.kernel_size_x": 5,
            "explainer.baseline_fn.ImageModality.kernel_size_y": 3,
            "explainer.baseline_fn.ImageModality.sigma_x": 1.0,
            "explainer.baseline_fn.ImageModality.sigma_y": 0.5,
            "explainer.baseline_fn.TextModality.method": "token",
            "explainer.feature_mask_fn.ImageModality.method": "grid",
            "explainer.feature_mask_fn.ImageModality.cells": 4,
            "explainer.feature_mask_fn.TextModality.method": "positions",
        }
    )
    built = suggest(fixed, start, "explainer", BOTH)  # type: ignore[arg-type]
    blur = GaussianBlur(kernel_size_x=5, sigma_x=1.0)
    assert built.baseline_fn == EachBaseline((blur, Token(3)))
    assert built.feature_mask_fn == EachMask((Grid(cells=4), Positions()))
    again = optuna.trial.FixedTrial(parameters(built, "explainer", BOTH))
    assert suggest(again, start, "explainer", BOTH) == built  # type: ignore[arg-type]


@pytest.mark.parametrize("traits", [BOTH, TWO_PICTURES, PICTURE_AND_ROW], ids=["picture, text", "two", "picture, row"])
def test_defaults_lie_in_their_space_and_come_back_as_they_were(traits) -> None:  # noqa: ANN001
    for start in (IntegratedGradients(Asked()), SmoothGrad(Asked()), PostProcessor.on(traits)):
        assert contained(start, traits)
        fixed = optuna.trial.FixedTrial(parameters(start, "at", traits))
        assert suggest(fixed, start, "at", traits) == start  # type: ignore[arg-type]


def test_what_holds_data_stays_and_the_others_are_searched() -> None:
    start = IntegratedGradients(Asked(), baseline_fn=EachBaseline((Zeros(), Background(torch.zeros(2, 4)))))
    found = parameters(start, "explainer", PICTURE_AND_ROW)
    assert set(found) == {"explainer.n_steps", "explainer.baseline_fn.ImageModality.method"}
    fixed = optuna.trial.FixedTrial(found | {"explainer.baseline_fn.ImageModality.method": "mean"})
    built = suggest(fixed, start, "explainer", PICTURE_AND_ROW)  # type: ignore[arg-type]
    assert built.baseline_fn.strategies[1] == Background(torch.zeros(2, 4))
    assert built.baseline_fn.strategies[0].name == "mean"


def test_configurations_of_each_input_are_numbered_without_gaps() -> None:
    start = Candidate("SmoothGrad", SmoothGrad(Asked()), PostProcessor.on(PICTURE_AND_ROW))
    space = Space((start,), PICTURE_AND_ROW)
    poolings, norms, norms_of_rows = 11, 5, 3
    assert space.size() == 190 * poolings * norms * 1 * norms_of_rows
    for number in range(0, int(space.size()), 997):
        found = space.configuration(number)
        candidate = space.suggest(optuna.trial.FixedTrial(found))  # type: ignore[arg-type]
        assert space.parameters(candidate) == found
    assert isinstance(candidate.postprocessor.pooling_fn, EachPooling)


def test_where_one_layer_is_explained_there_is_one_strategy() -> None:
    net = Asked()
    hidden = IntegratedGradients(net, layer=net.out)
    assert "explainer.baseline_fn.method" in parameters(hidden, "explainer", BOTH)
    assert size(hidden, BOTH) < size(IntegratedGradients(net), BOTH)


def test_a_model_of_two_inputs_is_tuned() -> None:
    start = KernelShap(Asked(), baseline_fn=EachBaseline((Zeros(), Token(3))))
    result = tune(start, _examples(), "AbPC", traits=BOTH, n_trials=12, n_seeds=0, show_progress=False)
    assert result.refused == 0
    names = {name for trial in result.study.trials for name in trial.params}
    assert {"postprocessor.ImageModality.pooling_fn.method", "postprocessor.TextModality.pooling_fn.method"} <= names
    methods = [trial.params["explainer.baseline_fn.ImageModality.method"] for trial in result.study.trials]
    assert len(set(methods)) > 1
    assert TuningResult.from_dict(json.loads(json.dumps(result.to_dict())), start.model) == result


def test_as_many_strategies_as_inputs_are_needed() -> None:
    start = KernelShap(Asked(), baseline_fn=EachBaseline(("zeros",)))
    with pytest.raises(ArgumentError, match="EachBaseline: expected a strategy for each of 2 inputs, got 1"):
        tune(start, _examples(), "AbPC", traits=BOTH, n_trials=2, show_progress=False)
