"""Declared settings become Optuna parameters, under the original framework's names."""

from collections import Counter

import optuna
import pytest
import torch

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.metrics.evaluation import Candidate
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.normalization import Normalization
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.strategies.superpixels import Felzenszwalb, Quickshift, Slic, Watershed
from pnpxai.strategies.token_baselines import Token
from pnpxai.traits import Traits
from pnpxai.tuning.search.samplers import Sampling
from pnpxai.tuning.space.parameters import contained, parameters, size, suggest
from pnpxai.tuning.space.space import Space
from tests.small import Bright


def test_parameters_have_the_original_names() -> None:
    net = Bright()
    assert parameters(SmoothGrad(net), "explainer") == {"explainer.noise_level": 0.1, "explainer.n_iter": 20}
    blurred = parameters(IntegratedGradients(net, baseline_fn="gaussian_blur"), "explainer")
    assert blurred["explainer.baseline_fn.method"] == "gaussian_blur"
    assert blurred["explainer.baseline_fn.kernel_size_x"] == 3
    assert parameters(PostProcessor(), "postprocessor") == {
        "postprocessor.pooling_fn.method": "sum",
        "postprocessor.normalization_fn.method": "identity",
    }


def test_a_trial_builds_what_it_suggests() -> None:
    net = Bright()
    fixed = optuna.trial.FixedTrial(
        {
            "explainer.n_steps": 40,
            "explainer.baseline_fn.method": "gaussian_blur",
            "explainer.baseline_fn.kernel_size_x": 5,
            "explainer.baseline_fn.kernel_size_y": 7,
            "explainer.baseline_fn.sigma_x": 1.0,
            "explainer.baseline_fn.sigma_y": 1.5,
        }
    )
    built = suggest(fixed, IntegratedGradients(net), "explainer", Traits.image())  # type: ignore[arg-type]
    assert built.n_steps == 40
    assert (built.baseline_fn.kernel_size_x, built.baseline_fn.sigma_y) == (5, 1.5)


def test_strategies_that_do_not_suit_the_data_are_not_searched() -> None:
    table = IntegratedGradients.get_tunables(Traits.table())["baseline_fn"][1]["choices"]
    assert "gaussian_blur" not in table
    assert "gaussian_blur" in IntegratedGradients.get_tunables(Traits.image())["baseline_fn"][1]["choices"]
    assert PostProcessor.get_tunables(Traits.table())["pooling_fn"][1]["choices"] == ["identity"]


@pytest.mark.parametrize("explainer", every(Explainer, within="pnpxai."), ids=lambda e: e.__name__)
def test_defaults_lie_in_their_space_and_can_be_suggested(explainer: type[Explainer]) -> None:
    start = explainer(Bright())
    assert contained(start, Traits.image())
    fixed = optuna.trial.FixedTrial(parameters(start, "explainer", Traits.image()))
    assert suggest(fixed, start, "explainer", Traits.image()) == start  # type: ignore[arg-type]


def test_settings_off_the_grid_are_noticed() -> None:
    net = Bright()
    assert not contained(SmoothGrad(net, noise_level=0.07))
    assert not contained(SmoothGrad(net, n_iter=200))
    assert not contained(Occlusion(net, window=2, stride=1))


def test_the_number_of_configurations_is_counted() -> None:
    net = Bright()
    assert size(SmoothGrad(net)) == 19 * 10
    normalizations = len(every(Normalization, within="pnpxai.")) - 3  # but each, minmax and robust
    assert size(PostProcessor(), Traits.table()) == normalizations
    assert size(Occlusion(net), Traits.table()) == 4 * 4 * 2


def test_what_a_strategy_is_given_and_not_searched_stays() -> None:
    start = KernelShap(Bright(), baseline_fn=Token(103))
    fixed = parameters(start, "explainer", Traits.text())
    assert fixed["explainer.baseline_fn.method"] == "token"
    assert suggest(optuna.trial.FixedTrial(fixed), start, "explainer", Traits.text()) == start  # type: ignore[arg-type]


def test_a_strategy_that_holds_data_is_kept() -> None:
    start = KernelShap(Bright(), baseline_fn=Background(torch.zeros(2, 4)))
    assert contained(start, Traits.table())
    fixed = parameters(start, "explainer", Traits.table())
    assert "explainer.baseline_fn.method" not in fixed
    assert suggest(optuna.trial.FixedTrial(fixed), start, "explainer", Traits.table()) == start  # type: ignore[arg-type]


def test_of_text_the_baselines_of_ids_and_at_the_embedding_of_embeddings_are_searched() -> None:
    def choices(explainer: Explainer) -> set[str]:
        trial = optuna.create_study().ask()
        suggest(trial, explainer, "explainer", Traits.text())
        return set(trial.distributions["explainer.baseline_fn.method"].choices)  # type: ignore[attr-defined]

    assert choices(KernelShap(Bright())) == {"token", "pad"}
    assert choices(IntegratedGradients(Bright())) == {"token", "pad", "mean", "mean_embedding", "zeros"}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_settings_of_one_name_and_other_ranges_are_searched_together(sampler: str) -> None:
    space = Space((Candidate("Lime", Lime(Bright()), PostProcessor()),), Traits.image())
    sampling = Sampling.of(sampler, space, None, 0, 1)
    study = optuna.create_study()
    ranges = {
        kind.name: {name: (entry["low"], entry["high"]) for name, (_, entry) in kind.get_tunables().items()}
        for kind in (Slic, Watershed, Felzenszwalb, Quickshift)
    }
    assert ranges["slic"]["compactness"] != ranges["watershed"]["compactness"]
    seen: Counter[tuple[str, str]] = Counter()
    for number in range(120):
        study.sampler = sampling.sampler(number, several_workers=False)
        trial = study.ask()
        candidate = space.suggest(trial)
        assert space.contains(candidate)
        method = trial.params["explainer.feature_mask_fn.method"]
        for name, (low, high) in ranges.get(method, {}).items():
            assert low <= trial.params[f"explainer.feature_mask_fn.{name}"] <= high
            seen[method, name] += 1
        # what is best of one method lies outside of what the other may have
        study.tell(trial, -abs(trial.params.get("explainer.feature_mask_fn.compactness", 50.0) - 50.0))
    assert {("slic", "compactness"), ("watershed", "compactness"), ("quickshift", "sigma")} <= set(seen)
