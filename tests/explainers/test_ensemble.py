"""An ensemble is the mean of its members' maps, each on one scale."""

from __future__ import annotations

import json

import pytest
import torch

from pnpxai.detector import detect
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.ensemble import Ensemble
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.testing.zoo import CASES
from pnpxai.traits import Traits

CNN, TWO, TOKENS = (CASES[name]() for name in ("cnn", "two_inputs", "tokens"))
OCCLUSION = {"window": 2, "stride": 1}


def scaled(maps):
    return maps / maps.flatten(1).abs().amax(1).reshape(-1, *[1] * (maps.ndim - 1))


def shifted(maps):
    low, high = (getattr(maps.flatten(1), way)(1).reshape(-1, *[1] * (maps.ndim - 1)) for way in ("amin", "amax"))
    return (maps - low) / (high - low)


def standard(maps):
    return maps / maps.flatten(1).std(1, correction=0).reshape(-1, *[1] * (maps.ndim - 1))


WAYS = [("standard", standard), ("maxabs", scaled), ("minmax", shifted), ("identity", lambda m: m)]


@pytest.mark.parametrize(("name", "normalize"), WAYS)
def test_it_is_the_mean(name, normalize):
    members = ("Gradient", SmoothGrad(CNN.model, n_iter=4), Occlusion(CNN.model, **OCCLUSION), "GradCam")
    found = Ensemble(CNN.model, members, name).attribute(CNN.inputs, CNN.targets, seed=5)
    alone = [
        Gradient(CNN.model).attribute(CNN.inputs, CNN.targets),
        SmoothGrad(CNN.model, n_iter=4).attribute(CNN.inputs, CNN.targets, seed=5),
        Occlusion(CNN.model, **OCCLUSION).attribute(CNN.inputs, CNN.targets),
        GradCam(CNN.model).attribute(CNN.inputs, CNN.targets).expand_as(CNN.inputs),
    ]
    assert torch.allclose(found, sum(map(normalize, alone)) / 4, atol=1e-12)


def test_of_several_inputs_each_has_its_mean():
    found = Ensemble(TWO.model, ("Gradient", "GradientXInput")).attribute(TWO.inputs, TWO.targets)
    alone = [e(TWO.model).attribute(TWO.inputs, TWO.targets) for e in (Gradient, GradientXInput)]
    for one, members in zip(found, zip(*alone, strict=True), strict=True):
        assert torch.allclose(one, sum(map(standard, members)) / 2, atol=1e-12)


def test_ids_are_mapped_token_by_token_and_a_layer_is_the_ensembles():
    members = ("Gradient", "RISE")
    found = Ensemble(TOKENS.model, members).attribute(TOKENS.inputs, TOKENS.targets, seed=3)
    slope = Gradient(TOKENS.model).attribute(TOKENS.inputs, TOKENS.targets).sum(-1)
    shown = RISE(TOKENS.model).attribute(TOKENS.inputs, TOKENS.targets, seed=3)
    assert found.shape == TOKENS.inputs.shape
    assert torch.allclose(found, (standard(slope) + standard(shown)) / 2, atol=1e-12)
    both = ("Gradient", Occlusion(TOKENS.model))
    at_layer = Ensemble(TOKENS.model, both, layer="embedding").attribute(TOKENS.inputs, TOKENS.targets)
    alone = [e(TOKENS.model, layer="embedding").attribute(TOKENS.inputs, TOKENS.targets) for e in (Gradient, Occlusion)]
    assert torch.allclose(at_layer, sum(map(standard, alone)) / 2, atol=1e-12)


def test_members_that_are_named_get_the_settings_that_they_have():
    series = CASES["series"]()
    found = Ensemble(series.model, ("RISE",), "identity", each_channel=True).attribute(series.inputs, series.targets)
    apart = RISE(series.model, each_channel=True).attribute(series.inputs, series.targets)
    assert torch.allclose(found, apart)
    assert not torch.allclose(apart[:, 0], apart[:, 1])


def test_it_fits_where_its_default_members_do():
    net = CNN.model
    assert Ensemble.reason_against(detect(net), Traits.image()) is None
    reason = Ensemble.reason_against(detect(lambda x: net(x)), Traits.image())
    assert reason is not None
    assert reason.startswith("its member RAP needs")


def test_its_cost_is_theirs():
    members = (SmoothGrad(CNN.model, n_iter=4), IntegratedGradients(CNN.model, n_steps=7), "Gradient")
    assert Ensemble(CNN.model, members).cost(CNN.inputs) == 3 * (4 + 7 + 1)


def test_it_comes_back_from_json():
    made = Ensemble(CNN.model, ["Gradient", IntegratedGradients(CNN.model, 7, "mean")], "minmax")
    written = json.loads(json.dumps(made.to_dict()))
    assert Ensemble.from_dict(written, CNN.model) == made
    assert made.explainers == ("Gradient", IntegratedGradients(CNN.model, 7, "mean"))
    assert made != made.replace(explainers=("Gradient",))
    kind, kwargs = Ensemble.get_tunables()["normalization_fn"]
    assert kind.__name__ == "Normalization"
    assert set(kwargs["choices"]) >= {"maxabs", "minmax", "identity"}


def test_members_explain_the_ensembles_model():
    other = CASES["skip_cnn"]()
    made = Ensemble(CNN.model, (Gradient(other.model),))
    assert torch.allclose(
        made.attribute(CNN.inputs, CNN.targets), standard(Gradient(CNN.model).attribute(CNN.inputs, CNN.targets))
    )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((), "Ensemble: explainers: expected at least one, got none"),
        (("Gradent",), "Ensemble: explainers: no explainer 'Gradent'; did you mean 'Gradient'"),
        ((3,), "Ensemble: explainers: expected names or explainers, got int"),
        ((Gradient(CNN.model, layer="0"),), "has its own layer; give it to the ensemble"),
        ((Gradient(CNN.model, str),), "has its own forward_arg_extractor; give it to the ensemble"),
        ("Gradient", "explainers: expected a tuple, got 'Gradient'"),
    ],
)
def test_what_is_no_ensemble_is_refused(members, message):
    with pytest.raises(ArgumentError, match=message):
        Ensemble(CNN.model, members)


def test_a_member_with_one_map_for_two_inputs_is_refused():
    with pytest.raises(UnsuitableError, match="Ensemble: GradCam gives 1 map for 2 inputs"):
        Ensemble(TWO.model, ("Gradient", "GradCam")).attribute(TWO.inputs, TWO.targets)


def test_a_model_called_by_keyword_has_the_map_of_its_call_by_position():
    """Members with rules need the model's layers."""

    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.embedding, self.head = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 2)

        def forward(self, input_ids, attention_mask=None):
            values = self.embedding(input_ids).relu()
            values = values if attention_mask is None else values * attention_mask[..., None]
            return self.head(values.mean(1))

    model, ids = Reader().eval(), torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    by_position = Ensemble(model, explainers=("RAP", "FeatureAblation")).attribute(ids, 0)
    by_keyword = Ensemble(model, explainers=("RAP", "FeatureAblation")).attribute({"input_ids": ids}, 0)
    assert by_position.any()
    torch.testing.assert_close(by_keyword, by_position)


class Reader(torch.nn.Module):
    """The mean embedding of the tokens that the mask leaves in."""

    def __init__(self):
        super().__init__()
        self.embedding, self.out = torch.nn.Embedding(20, 6), torch.nn.Linear(6, 2)

    def forward(self, ids, attention_mask):
        seen = attention_mask[..., None]
        return self.out(torch.tanh((self.embedding(ids) * seen).sum(1) / seen.sum(1)))


def test_padding_does_not_count_in_the_scale_of_a_map():
    torch.manual_seed(0)
    ids = torch.tensor([[3, 5, 7, 2, 9, 4], [6, 8, 11, 0, 0, 0]])
    extractors = {
        "forward_arg_extractor": lambda inputs: inputs[:1],
        "additional_forward_arg_extractor": lambda inputs: inputs[1:],
    }
    reader = Reader().double().eval()
    ensemble = Ensemble(reader, [Occlusion(reader, 1, 1), RISE(reader, 20)], **extractors)
    together = ensemble.attribute((ids, (ids > 0).long()), [0, 1])
    assert (together[1, 3:] == 0).all()
    alone = ensemble.attribute((ids[1:, :3], torch.ones(1, 3, dtype=torch.long)), [1])
    assert torch.allclose(together[1, :3], alone[0], atol=1e-12)
