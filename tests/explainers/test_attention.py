"""Attention methods as explainers: settings, refusals, pictures, words with padding, models of libraries."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.detector import detect
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.explainers.attention import AttentionRollout, TransformerAttribution
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.zoo import CASES

both = pytest.mark.parametrize("explainer", [AttentionRollout, TransformerAttribution], ids=lambda e: e.__name__)


def test_settings_are_those_of_the_original():
    searched = {
        "interpolate_mode": (list, {"choices": ["bilinear", "bicubic"]}),
        "head_fusion_method": (list, {"choices": ["min", "max", "mean"]}),
        "discard_ratio": (float, {"low": 0.0, "high": 0.95, "step": 0.05}),
    }
    assert AttentionRollout.get_tunables() == TransformerAttribution.get_tunables() == searched
    own = {"interpolate_mode": "bilinear", "discard_ratio": 0.9}
    assert AttentionRollout.defaults().items() >= (own | {"head_fusion_method": "min"}).items()
    chefer = own | {"head_fusion_method": "mean", "alpha": 2.0, "beta": 1.0, "stabilizer": 1e-6}
    assert TransformerAttribution.defaults().items() >= chefer.items()


@both
def test_what_it_cannot_do_is_refused(explainer):
    case = CASES["vit"]()
    with pytest.raises(ArgumentError, match="looks at the attention of all layers"):
        explainer(case.model, layer="encoder").attribute(case.inputs, 1)
    with pytest.raises(ArgumentError, match="discard_ratio"):
        explainer(case.model, discard_ratio=1.0)
    assert explainer.reason_against(detect(CASES["skip_cnn"]().model)).startswith("needs attention; SkipNet has")


class OfAFunction(nn.Module):
    """Attention that is neither a module nor named so."""

    def __init__(self):
        super().__init__()
        self.project, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x):
        return self.head((x + F.scaled_dot_product_attention(*self.project(x).chunk(3, -1))).mean(1))


@both
def test_attention_is_found_where_it_is_only_called(explainer):
    model, x = OfAFunction().double(), torch.randn(2, 5, 4, dtype=torch.float64)
    assert explainer.reason_against(detect(model)) is None
    found = explainer(model, discard_ratio=0.0).attribute(x, 1)
    assert found.shape == (2, 5, 1)
    assert found.flatten(1).std(1).min() > 1e-6


def test_alpha_and_beta_go_together():
    model = CASES["vit"]().model
    with pytest.raises(ArgumentError, match="beta: expected alpha - 1 = 0.5, got 1.0"):
        TransformerAttribution(model, alpha=1.5)
    case = CASES["vit"]()
    maps = [TransformerAttribution(model, alpha=a, beta=a - 1).attribute(case.inputs, 1) for a in (1.0, 2.0)]
    assert (maps[0] - maps[1]).abs().max() > 1e-5


@both
def test_every_setting_changes_the_map(explainer):
    case = CASES["vit"]()
    default = explainer(case.model, discard_ratio=0.0, head_fusion_method="mean").attribute(case.inputs, 1)
    for change in ({"interpolate_mode": "nearest"}, {"head_fusion_method": "max"}, {"discard_ratio": 0.95}):
        settings = {"discard_ratio": 0.0, "head_fusion_method": "mean"} | change
        assert (explainer(case.model, **settings).attribute(case.inputs, 1) - default).abs().max() > 1e-4


def test_rollout_asks_for_no_target():
    case = CASES["vit"]()
    made = AttentionRollout(case.model, discard_ratio=0.0)
    assert torch.equal(made.attribute(case.inputs), made.attribute(case.inputs, case.targets))


@pytest.mark.slow
@both
@pytest.mark.parametrize("name", ["torchvision_vit", "timm_vit"])
def test_vision_transformers_of_libraries(explainer, name):
    case = ARCHITECTURES[name]()
    found = explainer(case.model, "nearest", "mean", 0.0).attribute(case.inputs, case.targets)
    assert found.shape == (len(case), 1, 16, 16)
    patches = found[:, 0, ::4, ::4]  # each patch is 4 x 4
    assert torch.equal(patches.repeat_interleave(4, 1).repeat_interleave(4, 2), found[:, 0])
    if explainer is AttentionRollout:  # rows of attention sum to one; what is left is the class token's
        assert (patches.sum((1, 2)) < 1).all()
        assert (patches > 0).all()


@pytest.mark.slow
@both
def test_attention_in_windows_is_refused(explainer):
    case = ARCHITECTURES["swin"]()
    with pytest.raises(UnsuitableError, match=r"got \(32, 2, 4, 4\) for 2 examples; attention in windows"):
        explainer(case.model).attribute(case.inputs, case.targets)


@pytest.mark.slow
@both
@pytest.mark.parametrize("name", ["bert", "gpt2"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padded_words_are_explained_as_if_alone(explainer, name, attention):
    case = ARCHITECTURES[name]().copy()
    case.model.set_attn_implementation(attention)
    ids = case.inputs
    mask = torch.ones_like(ids)
    ids[1, 4:], mask[1, 4:] = case.model.config.pad_token_id, 0
    made = explainer(case.model, head_fusion_method="mean", discard_ratio=0.0)
    found = made.attribute({"input_ids": ids, "attention_mask": mask}, case.targets)
    alone = made.attribute({"input_ids": ids[1:, :4], "attention_mask": mask[1:, :4]}, case.targets[1:])
    assert found.shape == ids.shape
    assert torch.allclose(found[1:, :4], alone, atol=1e-6)
    assert found[1, 4:].abs().max() < 1e-6
    assert (found[1, :4] > 0).all() or explainer is TransformerAttribution
    assert found[0].abs().min() > 0 or explainer is TransformerAttribution
