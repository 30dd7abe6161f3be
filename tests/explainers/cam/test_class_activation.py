"""What users meet of class activation maps: names, settings, layers, refusals, keyword inputs, planted evidence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai import attributors
from pnpxai.declare.registry import by_name, every
from pnpxai.detector import detect
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.cam.class_activation import (
    ClassActivation,
    EigenCAM,
    GradCamPlusPlus,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
)
from pnpxai.explainers.cam.grad_cam import GradCam, GuidedGradCam
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.subject import counted
from pnpxai.traits import Traits

CNN = ARCHITECTURES["cnn"]()
FAMILY = [EigenCAM, GradCam, GradCamPlusPlus, GuidedGradCam, HiResCAM, LayerCAM, ScoreCAM]
whole_family = pytest.mark.parametrize("explainer", FAMILY)


def test_the_family_is_found():
    assert [cls for cls in every(Explainer, within="pnpxai.") if issubclass(cls, ClassActivation)] == FAMILY


@pytest.mark.parametrize(
    ("name", "explainer"),
    [
        ("GradCAM", GradCam),
        ("GradCAM++", GradCamPlusPlus),
        ("GradCam++", GradCamPlusPlus),
        ("GradCAMPlusPlus", GradCamPlusPlus),
        ("GuidedGradCAM", GuidedGradCam),
        ("ScoreCam", ScoreCAM),
        ("EigenCam", EigenCAM),
    ],
)
def test_names_as_people_spell_them(name, explainer):
    assert by_name(Explainer, name, "explainer") is explainer


def test_what_is_searched():
    assert GradCam.get_tunables() == {"interpolate_mode": (list, {"choices": ["bilinear", "bicubic"]})}
    assert GuidedGradCam.get_tunables() == {"interpolate_mode": (list, {"choices": ["nearest", "area"]})}
    assert EigenCAM.get_tunables()["centred"] == (list, {"choices": [True, False]})
    assert GuidedGradCam(CNN.model).interpolate_mode == "nearest"


@pytest.mark.parametrize(
    ("explainer", "settings", "backend"),
    [
        (HiResCAM, {}, attributors.HiResCAM(CNN.model)),
        (LayerCAM, {"layer": "0"}, attributors.LayerCAM(CNN.model, "0")),
        (GradCamPlusPlus, {"interpolate_mode": "bicubic"}, attributors.GradCamPlusPlus(CNN.model, None, "bicubic")),
        (EigenCAM, {"centred": False}, attributors.EigenCAM(CNN.model, centred=False)),
        (ScoreCAM, {"n_channels": 3}, attributors.ScoreCAM(CNN.model, n_channels=3)),
        (
            GuidedGradCam,
            {"interpolate_mode": "area", "layer": ["0", "4"]},
            attributors.UpsampledGuidedGradCam(CNN.model, ["0", "4"], "area"),
        ),
    ],
)
def test_an_explainer_is_its_backend_with_its_settings(explainer, settings, backend):
    found = explainer(CNN.model, **settings).attribute(CNN.inputs, [1, 2, 3])
    assert torch.equal(found, backend.attribute(CNN.inputs, [1, 2, 3]))


def test_settings_that_are_none_are_refused():
    with pytest.raises(ArgumentError, match="interpolate_mode"):
        GradCam(CNN.model, interpolate_mode="lanczos")
    with pytest.raises(ArgumentError, match="n_channels"):
        ScoreCAM(CNN.model, n_channels=0)
    with pytest.raises(ArgumentError, match="layer: no layer or forward argument 'conv'"):
        GradCam(CNN.model, layer="conv")


@whole_family
@pytest.mark.parametrize(
    ("traits", "message"),
    [
        (Traits.table(), "maps positions of (examples, channels, ...), which this table does not have"),
        (Traits.text(), "which this text does not have"),
        (Traits.series(channel_dim=2), "which this series does not have"),
    ],
)
def test_data_without_positions_behind_channels_do_not_fit(explainer, traits, message):
    facts = detect(CNN.model)
    assert explainer.reason_against(facts, Traits.image()) is None
    assert explainer.reason_against(facts, Traits.series()) is None
    assert message in explainer.reason_against(facts, traits)


@whole_family
@pytest.mark.parametrize("name", ["mlp", "lstm", "tokens"])
def test_models_without_a_convolution_do_not_fit_and_fail_when_run(explainer, name):
    case = ARCHITECTURES[name]()
    assert explainer.reason_against(detect(case.model)) is not None
    with pytest.raises(UnsuitableError):
        explainer(case.model).attribute(case.inputs, case.targets)


def test_guided_grad_cam_does_not_fit_models_without_a_relu():
    case = ARCHITECTURES["vit"]()
    assert "none" in GuidedGradCam.reason_against(detect(case.model), case.traits)
    with pytest.raises(UnsuitableError, match="no ReLU runs"):
        GuidedGradCam(case.model).attribute(case.inputs, 0)


@whole_family
def test_further_arguments_and_keywords(explainer):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = CNN.model

        def forward(self, picture, scale):
            return self.model(picture * scale[:, None, None, None])

    model, scale = Scaled(), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    expected = explainer(CNN.model).attribute(CNN.inputs * scale[:, None, None, None], 1)
    by_position = explainer(
        model, forward_arg_extractor=lambda batch: batch[0], additional_forward_arg_extractor=lambda batch: batch[1]
    )
    with counted(model) as counter:
        found = by_position.attribute((CNN.inputs, scale), 1)
    assert counter.rows == by_position.cost((CNN.inputs, scale))
    if explainer not in (ScoreCAM, GuidedGradCam):  # these look at the input, not only at the layer
        assert torch.allclose(found, expected, atol=1e-12)
    keywords = {"picture": CNN.inputs, "scale": scale}
    by_keyword = explainer(model, forward_arg_extractor=lambda batch: {"picture": batch["picture"]},
                           additional_forward_arg_extractor=lambda batch: {"scale": batch["scale"]})  # fmt: skip
    assert torch.allclose(by_keyword.attribute(keywords, 1), found, atol=1e-12)
    assert by_keyword.cost(keywords) == counter.rows


def test_of_two_pictures_that_one_encoder_sees_no_map_is_made():
    case = ARCHITECTURES["siamese"]()
    with pytest.raises(UnsuitableError, match="run more than once"):
        GradCam(case.model).attribute(case.inputs, 0)


def test_an_explanation_knows_its_layer():
    explanation = GradCam(CNN.model, layer="0").explain(CNN.inputs)
    assert explanation.settings == {"interpolate_mode": "bilinear", "layer": "0"}
    assert explanation.attributions[0].shape == (3, 1, 8, 8)


@pytest.mark.slow
def test_a_trained_network_shows_where_the_evidence_is_planted():
    """Three kinds of stripes in one of sixteen cells: the cell that gets most is the planted one."""

    def pictures(n, seed):
        generator = torch.Generator().manual_seed(seed)
        noise = 0.3 * torch.randn(n, 3, 16, 16, generator=generator)
        kinds, cells = (torch.randint(k, (n,), generator=generator) for k in (3, 16))
        at = torch.arange(4) % 2
        stripes = 2.0 * torch.stack([at.expand(4, 4), at[:, None].expand(4, 4), at[:, None] ^ at]) - 1
        for k in range(n):
            row, column = divmod(int(cells[k]), 4)
            noise[k, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1.5 * stripes[kinds[k]]
        return noise, kinds, cells

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(200):
        x, kinds, _ = pictures(64, step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), kinds).backward()
        optimizer.step()
    x, kinds, cells = pictures(64, 1000)
    assert (model(x).argmax(1) == kinds).all()
    for explainer in FAMILY:
        if explainer is not GuidedGradCam:  # whose strips of single pixels do not add up within a cell
            maps = explainer(model).attribute(x, kinds)[:, 0]
            of_cells = maps.unfold(1, 4, 4).unfold(2, 4, 4).sum((-1, -2)).flatten(1)
            assert (of_cells.argmax(1) == cells).float().mean() > 0.9, explainer.__name__
