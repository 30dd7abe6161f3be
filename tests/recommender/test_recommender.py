"""One object says which explainers fit, and which explains best; the functions are its two verbs."""

import pytest
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.modalities import ImageModality, TextModality
from pnpxai.recommender import Recommender, rank, recommend
from pnpxai.statistics import MeanRank
from pnpxai.traits import Traits
from tests.small import Bright, examples

IMAGE = Traits.image()


def test_it_is_there_under_both_names() -> None:
    assert pnpxai.XaiRecommender is pnpxai.Recommender is Recommender


def test_recommending_is_as_it_was_in_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    net = Bright()
    found = pnpxai.XaiRecommender().recommend(modality=ImageModality(), model=net)
    assert found == recommend(net, IMAGE)
    assert found.detected_architectures == {"convolution", "linear"}
    assert [cls.__name__ for cls in found.explainers] == sorted(cls.__name__ for cls in found.explainers)
    found.print_tabular()
    printed = capsys.readouterr().out
    assert printed == f"{found}\n"
    assert "Bright is made of convolution, linear" in printed


def test_a_modality_is_given_as_such_by_name_by_its_facts_or_for_each_input() -> None:
    net, plain = Bright(), nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    of = Recommender()
    assert of.recommend("image", net) == of.recommend(IMAGE, net) == of.recommend(ImageModality(), net)
    both = of.recommend(("image", TextModality()), plain)
    assert both == recommend(plain, Traits("image", 1, 2, others=(Traits.text(),)))
    for wrong, message in ((net, "modality: expected a modality .* got Bright"), ("imag", "did you mean 'image'")):
        with pytest.raises(ArgumentError, match=message):
            of.recommend(wrong, net)  # type: ignore[arg-type]


def test_what_is_considered_may_be_named() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    found = Recommender(explainers=["Gradient", GradCam, Gradient(net)]).recommend("image", net)
    assert found.explainers == (Gradient,)
    assert set(found.reasons) == {"GradCam"}
    with pytest.raises(ArgumentError, match="did you mean 'Gradient'"):
        Recommender(explainers=["Gradeint"]).recommend("image", net)


def test_ranking_by_the_object_and_by_the_function_is_the_same() -> None:
    net = Bright()
    settings = {"explainers": ["Gradient", "Occlusion"], "n_trials": 2, "seed": 1, "rule": MeanRank(level=0.9)}
    of = Recommender(**settings)  # type: ignore[arg-type]
    one = of.rank("image", net, examples(net), show_progress=False)
    assert one == rank(net, examples(net), IMAGE, show_progress=False, **settings)
    assert one.trials == 4
    assert of == of.replace(seed=1) != of.replace(seed=2)


def test_limits_hold_for_all_that_are_ranked() -> None:
    net = Bright()
    limits = {"rows": 15, "Complexity": 4.0}
    of = Recommender(explainers=["SmoothGrad", "Gradient"], limits=limits, n_trials=16, deciding=("AbPC",))
    found = of.rank("image", net, examples(net), show_progress=False)
    assert {label: result.explainer.cost(examples(net).batches[0].inputs) for label, result in found.tuned.items()} == {
        "Gradient": 8, "SmoothGrad": 80
    }  # fmt: skip
    assert "rows at most 15 ruled out" in str(found)
    none = of.replace(limits={"rows": 1}).rank("image", net, examples(net), show_progress=False)
    assert "rows at most 1" in none.failed["SmoothGrad"]
    assert set(none.tuned) == {"Gradient"}


def test_a_budget_of_trials_is_never_overrun() -> None:
    net = Bright()
    names = ["Gradient", "GradientXInput", "Occlusion", "VarGrad", "SmoothGrad", "Deconvolution"]
    for budget in (6, 7, 11):
        found = rank(net, examples(net, 8), IMAGE, explainers=names, budget=budget, show_progress=False)
        assert found.trials == budget
        assert {*found.tuned, *found.dropped} == {*names}
    with pytest.raises(ArgumentError, match="budget: expected at least 6 trials, .* got 5 trials"):
        rank(net, examples(net, 8), IMAGE, explainers=names, budget=5, show_progress=False)


def test_wrong_settings_are_refused_at_once() -> None:
    net = Bright()
    for settings, message in (
        ({"budgt": 3}, "did you mean 'budget'"),
        ({"budget": "soon"}, "budget: expected a time"),
        ({"tuning_fraction": 1.5}, "tuning_fraction: expected"),
        ({"n_trials": 0}, "n_trials: expected"),
        ({"deciding": ["seconds"]}, "deciding: expected metrics; what explaining costs can be limited"),
        ({"metric": ["AbPC", "MoRF"]}, "metric: expected one, got 2"),
        ({"limits": {"seconds": "1s"}}, "limits"),
    ):
        with pytest.raises(ArgumentError, match=message):
            rank(net, examples(net), IMAGE, explainers=["Gradient"], show_progress=False, **settings)
    with pytest.raises(ArgumentError, match="modality: expected what the data is"):
        Recommender().rank(None, net, examples(net))


def test_it_says_which_explainers_to_start_with() -> None:
    fitting = recommend(Bright(), IMAGE)
    assert [cls.__name__ for cls in fitting.start_with] == ["GradCam", "LRP", "KernelShap"]
    assert fitting.table()["explainer"][:3].tolist() == ["GradCam", "LRP", "KernelShap"]
    assert set(fitting.start_with) <= set(fitting.explainers)
    families = [cls.__module__.rpartition(".")[0] for cls in fitting.start_with]
    assert len(set(families)) == 3
