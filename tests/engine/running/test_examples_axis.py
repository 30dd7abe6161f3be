"""Values whose first axis is not the examples, turned and turned back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.engine.running.examples_axis import Turn
from pnpxai.errors import ShapeError
from pnpxai.explainers.gradient.gradient_shap import GradientShap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.propagation.deeplift import DeepLift
from pnpxai.tensors import flat
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


@pytest.mark.parametrize("size", [1, 5])
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


def doubled(value, axis):
    return torch.cat([value, value], axis)


def test_turned_and_back_nothing_has_changed():
    for shape, axis in (((3, 5), 0), ((5, 3, 2), 1), ((6, 2), 0), ((3, 3, 2), 1)):
        value = torch.rand(shape)
        turn = Turn.between(value, doubled(value, axis), 3)
        assert turn.there(value).shape[0] == 3
        assert torch.equal(turn.back(turn.there(value)), value)


def test_the_axis_that_grows_is_the_examples_whatever_the_sizes():
    value = torch.rand(3, 3, 3)
    assert [Turn.between(value, doubled(value, axis), 3).axis for axis in range(3)] == [0, 1, 2]


def test_rows_of_an_example_stand_side_by_side_or_apart():
    value = torch.arange(12.0).reshape(6, 2)  # three examples of two rows
    one_after_the_other = Turn.between(value, doubled(value, 0), 3)
    assert one_after_the_other.there(value)[0].tolist() == [[0, 1], [2, 3]]
    step_by_step = Turn.between(value, doubled(value.reshape(2, 3, 2), 1).flatten(0, 1), 3)
    assert step_by_step.there(value)[0].tolist() == [[0, 1], [6, 7]]
    for turn in (one_after_the_other, step_by_step):
        twice = turn.there(value).repeat(2, 1, 1)
        assert turn.back(twice).shape == (12, 2)
        assert torch.equal(turn.back(twice[:3]), value)


@pytest.mark.parametrize(
    ("value", "twice"),
    [((4, 7), (4, 7)), ((4, 7), (8, 14)), ((4, 7), (9, 7)), ((7, 2), (14, 2)), ((4, 7), (4, 7, 2))],
    ids=str,
)
def test_a_value_without_an_axis_of_examples_has_no_turn(value, twice):
    assert Turn.between(torch.rand(value), torch.rand(twice), 3) is None


def test_sizes_tell_only_where_one_axis_has_the_size():
    assert Turn.of(torch.zeros(4, 3), 3) == Turn(1, 3)
    assert Turn.of(torch.zeros(3, 3), 3) is None


class Recurrent(nn.Module):
    """A recurrent network of some kind, whose states may be read or dropped, packed or not, time first or not."""

    def __init__(self, kind="GRU", layers=1, both=False, read="sequence", packed=False, batch_first=True):
        super().__init__()
        torch.manual_seed(0)
        self.e, self.read, self.packed, self.batch_first = nn.Linear(3, 3), read, packed, batch_first
        self.r = getattr(nn, kind)(3, 4, layers, bidirectional=both, batch_first=batch_first)
        self.h = nn.Linear(4 * (1 + both) if read == "sequence" else 4, 2)

    def forward(self, x):
        x = self.e(x) if self.batch_first else self.e(x).transpose(0, 1)
        if self.packed:
            x = nn.utils.rnn.pack_padded_sequence(x, torch.full((x.shape[0],), 5), batch_first=True)
        if self.read == "sequence":
            sequence = self.r(x)[0]
        else:
            sequence, states = self.r(x)
        if self.read == "state":
            return self.h(torch.tanh((states[0] if isinstance(states, tuple) else states)[-1]))
        if self.packed:
            sequence, _ = nn.utils.rnn.pad_packed_sequence(sequence, batch_first=True)
        return self.h(sequence.tanh().sum(1 if self.batch_first else 0))


CASES = {
    "gru state": {"read": "state"},
    "two layers, one state read": {"layers": 2, "read": "state"},
    "both directions, sequence": {"both": True},
    "lstm states dropped": {"kind": "LSTM"},
    "time first, states dropped": {"kind": "LSTM", "batch_first": False},
    "time first, state": {"kind": "GRU", "batch_first": False, "read": "state"},
    "packed": {"packed": True},
    "packed lstm of both directions": {"kind": "LSTM", "packed": True, "both": True},
}


SIZES = (1, 2, 4, 5)
"""2 as many as layers or directions, 4 as many as units, 5 as many as steps."""


def sizes_of(methods):
    """Return every size for the first method, and for the others, which find the axis as it does, 2 and 5 in turn."""
    one, *others = methods
    of_others = [(other, case, (2, 5)[k % 2]) for other in others for k, case in enumerate(CASES)]
    cells = [(one, case, size) for case in CASES for size in SIZES] + of_others
    return [pytest.param(*cell, id="-".join(str(getattr(c, "__name__", c)) for c in cell)) for cell in cells]


@pytest.mark.parametrize(("explainer", "case", "size"), sizes_of([Gradient, IntegratedGradients, Occlusion]))
@pytest.mark.usefixtures("double")
def test_a_recurrent_layer_is_explained_alike_alone_and_in_a_batch(explainer, case, size):
    model = Recurrent(**CASES[case]).double()
    x = torch.randn(size, 5, 3)
    target = list(range(2)) * 3
    together = explainer(model, layer="r").attribute(x, target[:size])
    each = [explainer(model, layer="r").attribute(x[k : k + 1], target[k : k + 1]) for k in range(size)]
    assert any(map_.any() for map_ in together)
    for k, (whole, *parts) in enumerate(zip(together, *each, strict=True)):
        packed_values = CASES[case].get("packed") and k == 0
        axis = 1 if packed_values or whole.ndim == 3 and (k or not model.batch_first) else 0
        parts = [p.reshape(5, 1, -1) for p in parts] if packed_values else parts
        whole = whole.reshape(5, size, -1) if packed_values else whole
        assert torch.allclose(whole, torch.cat(parts, axis), atol=1e-10)


LAYER_METHODS = [
    "LayerGradientXActivation", "LayerActivation", "LayerIntegratedGradients", "LayerConductance", "InternalInfluence",
    "LayerDeepLift", "LayerFeatureAblation",
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "size"), sizes_of(LAYER_METHODS))
@pytest.mark.usefixtures("double")
def test_a_layer_attributor_keeps_the_layers_axes(name, case, size):
    model = Recurrent(**CASES[case]).double()
    x = torch.randn(size, 5, 3)
    method = getattr(pnpxai.attributors, name)(model, "r")
    settings = {} if name == "LayerActivation" else {"target": 1}
    if name in ("LayerIntegratedGradients", "LayerConductance", "InternalInfluence"):
        settings["n_steps"] = 4
    together = flat(method.attribute(x, **settings))
    each = [flat(method.attribute(x[k : k + 1], **settings)) for k in range(size)]
    assert together[0].shape == flat(model.r(inner(model, x)))[0].shape
    if not CASES[case].get("packed"):
        for k, (whole, *parts) in enumerate(zip(together, *each, strict=True)):
            axis = 1 if k or not model.batch_first else 0
            assert torch.allclose(whole, torch.cat(parts, axis), atol=1e-10)


def inner(model, x):
    """Return what the recurrent layer is given."""
    x = model.e(x) if model.batch_first else model.e(x).transpose(0, 1)
    return nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), 5), batch_first=True) if model.packed else x


def test_a_packed_layer_of_several_lengths_is_refused():
    class Packed(Recurrent):
        def forward(self, x):
            packed = nn.utils.rnn.pack_padded_sequence(self.e(x), torch.tensor([5, 2] * (len(x) // 2)), True, False)
            return self.h(nn.utils.rnn.pad_packed_sequence(self.r(packed)[0], True)[0].sum(1))

    with pytest.raises(ShapeError, match="2 examples cannot be told apart"):
        Gradient(Packed(), layer="r").attribute(torch.randn(2, 5, 3), [0, 1])
