"""Values whose first axis is not the examples, turned and turned back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.examples_axis import Turn
from pnpxai.errors import ShapeError
from pnpxai.explainers.gradient.gradient_shap import GradientShap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.propagation.deeplift import DeepLift
from pnpxai.testing.subject import counted


class Words(nn.Module):
    """Words in a recurrent network that takes time first, or in one row each."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout
        torch.manual_seed(0)
        self.words, self.cells, self.head = nn.Embedding(9, 3), nn.GRU(3, 4), nn.Linear(4, 2)

    def forward(self, ids):
        if self.layout == "time first":
            steps = self.words(ids.t())
        elif self.layout == "flat":
            steps = self.words(ids.flatten()).unflatten(0, ids.shape).transpose(0, 1)
        else:
            steps = self.words(ids).transpose(0, 1)
        return self.head(self.cells(steps)[0][-1])


METHODS = [Gradient, IntegratedGradients, SmoothGrad, GradientShap, DeepLift, Occlusion]


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("layout", ["time first", "flat"])
@pytest.mark.parametrize("explainer", METHODS, ids=lambda e: e.__name__)
@pytest.mark.usefixtures("double")
def test_a_layer_in_another_layout_is_explained_alike(explainer, layout, size):
    ids = torch.arange(4 * size).reshape(size, 4) % 9
    plain = explainer(Words("usual"), layer="words").attribute(ids, 1)
    other = Words(layout)
    with counted(other) as counter:
        found = explainer(other, layer="words").attribute(ids, 1)
    turned = found.transpose(0, 1) if layout == "time first" else found.unflatten(0, (size, 4))
    assert turned.shape == plain.shape
    assert torch.allclose(turned, plain, atol=1e-12)
    assert explainer(other, layer="words").cost(ids) >= counter.rows


def test_turned_and_back_nothing_has_changed():
    for shape in ((3, 5), (5, 3, 2), (6, 2)):
        value = torch.rand(shape)
        turn = Turn.of(value, 3)
        assert turn.there(value).shape[0] == 3
        assert torch.equal(turn.back(turn.there(value)), value)


def test_more_examples_stay_one_after_the_other():
    turn = Turn.of(torch.zeros(6, 2), 3)
    rows = torch.arange(24.0).reshape(6, 2, 2)  # six examples of two rows
    assert torch.equal(turn.back(rows), rows.reshape(12, 2))


def test_where_no_examples_are_is_refused():
    with pytest.raises(ShapeError, match=r"its value has shape \(4, 7\), in which 3 examples cannot be told"):
        Turn.of(torch.rand(4, 7), 3)
