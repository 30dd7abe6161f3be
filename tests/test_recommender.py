"""What fits is computed from what classes state; ranking tunes on one part and decides on the other."""

import pytest
import torch
from torch import nn

from pnpxai.attributors import Saliency
from pnpxai.attributors.base import Attributor
from pnpxai.declare.registry import every
from pnpxai.detector import detect
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.recommender import rank, recommend
from pnpxai.traits import Traits
from tests.small import Bright, examples


def test_facts_about_models() -> None:
    assert detect(Bright()).parts == {"convolution", "linear"}
    assert detect(nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 4))).parts == {"embedding", "recurrent"}
    assert detect(nn.TransformerEncoderLayer(8, 2)).parts == {"attention", "linear", "normalization"}
    assert not detect(lambda x: x).is_module


def test_every_explainer_is_recommended_or_has_a_reason() -> None:
    table = recommend(nn.Sequential(nn.Linear(2, 2)), Traits.table())
    names = {c.__name__ for c in (*table.explainers, *table.controls)} | set(table.reasons)
    assert names >= {c.__name__ for c in every(Explainer, within="pnpxai.")}
    assert table.reasons["GradCam"] == "needs convolution; Sequential has linear"
    assert "GradCam" in str(table)
    assert {c.__name__ for c in table.controls} >= {"RandomMap", "InputOnly"}


def test_ids_are_explained_by_gradients_where_an_embedding_reads_them() -> None:
    without = recommend(nn.Sequential(nn.Linear(3, 2)), Traits.text())
    assert "ids" in without.reasons["Gradient"]
    assert "Occlusion" in {c.__name__ for c in without.explainers}
    with_embedding = recommend(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)), Traits.text())
    assert {"Gradient", "Occlusion"} <= {c.__name__ for c in with_embedding.explainers}


def test_the_reason_against_grad_cam_is_true() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(ArgumentError, match="no convolution"):
        GradCam(net).attribute(torch.rand(1, 1, 8, 8), 0)


def test_a_new_class_appears_by_itself() -> None:
    class Fresh(Explainer):
        def attributor(self) -> Attributor:
            return Saliency(self.forward_func)

    assert Fresh in recommend(Bright(), Traits.image()).explainers


def test_ranking_decides_on_examples_that_were_not_tuned_on() -> None:
    net = Bright()
    data = examples(net)
    ranking = rank(
        net,
        data,
        Traits.image(),
        explainers=["GradientXInput", "Occlusion", "VarGrad"],
        n_trials=3,
        show_progress=False,
    )
    assert ranking.decision.n == 8
    assert set(ranking.tuned) == {"GradientXInput", "Occlusion", "VarGrad"}
    assert ranking.best.label in ("GradientXInput", "Occlusion")
    assert {"RandomMap", "InputOnly"} <= set(ranking.decision.dropped)
    assert ranking.rows_saved > 0
    assert "GradientXInput" in str(ranking)


def test_an_explainer_that_fails_is_reported_not_fatal() -> None:
    class Stubborn(Explainer):
        def attributor(self) -> Attributor:
            raise ArgumentError("Stubborn: no")

    net = Bright()
    ranking = rank(
        net, examples(net), Traits.image(), explainers=[Stubborn, "Gradient"], n_trials=1, show_progress=False
    )
    assert "Stubborn: no" in ranking.failed["Stubborn"]
    assert "Stubborn failed" in str(ranking)
