"""What people explain: the detector is right, every explainer that fits runs, every refusal is shown to be true."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.declare.registry import by_name
from pnpxai.detector import detect
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.testing.architectures import ARCHITECTURES, LARGE
from pnpxai.testing.zoo import Case, calibrated, drawn
from pnpxai.traits import Traits
from tests.laws.refusals import shown


@functools.cache
def timm_swin() -> Case:
    from timm.models.swin_transformer import SwinTransformer

    def build() -> nn.Module:
        return SwinTransformer(
            img_size=32, patch_size=4, window_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 2), num_classes=4
        )

    return calibrated("swin", build, drawn(3, 32, 32), Traits.image(), examples=2, centred=True)


MADE = {
    "resnet18": (ARCHITECTURES["resnet18"], "image", {"convolution", "linear", "normalization"}),
    "torchvision_vit": (
        ARCHITECTURES["torchvision_vit"], "image", {"convolution", "linear", "normalization", "attention"},
    ),
    "timm_swin": (timm_swin, "image", {"convolution", "linear", "normalization", "attention"}),
    "bert": (ARCHITECTURES["bert"], "text", {"embedding", "linear", "normalization", "attention"}),
    "lstm": (ARCHITECTURES["lstm"], "series", {"recurrent", "linear"}),
    "convolutions_of_a_series": (ARCHITECTURES["series"], "series", {"convolution", "linear"}),
    "mlp": (ARCHITECTURES["mlp"], "table", {"linear"}),
}  # fmt: skip


@pytest.mark.slow(first=True)
@pytest.mark.parametrize("name", MADE)
def test_what_fits_runs_and_what_does_not_is_refused_truly(name: str) -> None:
    make, modality, parts = MADE[name]
    case = make()
    auto = pnpxai.auto_explain(case.model, case.inputs)
    assert auto.modality.name == modality
    assert auto.traits.channel_dim == case.traits.channel_dim
    assert auto.recommended.facts.parts == parts
    runs_all(auto, auto.affordable(60) if name in LARGE else auto.recommended)
    if name in ARCHITECTURES:  # the sweep shows these refusals to be true
        return
    for refused, reason in refusals(auto):
        assert shown(by_name(Explainer, refused, "explainer"), case, reason)


def refusals(auto: pnpxai.AutoExplanation) -> list[tuple[str, str]]:
    """Return what does not fit, with reasons; what a busy machine was too slow to try is no refusal."""
    return [(name, reason) for name, reason in auto.recommended.reasons.items() if not reason.startswith("not tried:")]


def runs_all(auto: pnpxai.AutoExplanation, explainers: Iterable[type[Explainer]]) -> None:
    """Run explainers that fit on one example; sweeps run them on batches."""
    assert len(auto.recommended) > 10
    for cls in explainers:
        if not cls.__module__.startswith("pnpxai."):  # made by another test
            continue
        for maps in auto.explain(cls, count=1).attributions:
            assert torch.isfinite(maps).all(), cls
            assert maps.flatten(1).any(1).all() or cls.rectified, cls


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:model. it draws random numbers:UserWarning")  # which patches it looks at
def test_vilt() -> None:
    from transformers import ViltConfig, ViltForQuestionAnswering

    config = ViltConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
        patch_size=8, max_position_embeddings=16, initializer_range=0.3,
    )  # fmt: skip
    config.num_labels = 5
    model = ViltForQuestionAnswering(config).eval()
    batch = {
        "input_ids": torch.randint(1, 30, (3, 6)), "attention_mask": torch.ones(3, 6).long(),
        "token_type_ids": torch.zeros(3, 6).long(), "pixel_values": torch.randn(3, 3, 32, 32),
        "pixel_mask": torch.ones(3, 32, 32).long(), "labels": torch.zeros(3).long(),
    }  # fmt: skip
    auto = pnpxai.auto_explain(model, batch)
    assert [one.modality for one in auto.traits.each] == ["image", "text"]
    assert auto.recommended.facts.parts == {"convolution", "attention", "embedding", "linear", "normalization"}
    runs_all(auto, auto.recommended)
    gradient = auto.explain("Gradient", count=2).attributions
    for name, reason in refusals(auto):
        try:
            maps = auto.explain(name, count=2).attributions
        except (UnsuitableError, ValueError):
            continue
        same = len(maps) == len(gradient) and all(map(torch.allclose, maps, gradient))
        not_of_all = any(m.shape[1:] not in (g.shape[1:], g.shape[1:2]) for m, g in zip(maps, gradient, strict=False))
        assert same or not_of_all, f"{name}: {reason}"


@pytest.mark.slow
def test_the_detector_on_models_in_full_size() -> None:
    from torchvision.models import resnet18, vit_b_16

    picture = torch.randn(1, 3, 224, 224)
    facts = detect(resnet18().eval(), picture)
    assert (facts.parts, facts.rectified) == ({"convolution", "linear", "normalization"}, True)
    assert facts.grid == (7, 7)
    with torch.random.fork_rng():
        model = vit_b_16().eval()
    facts = detect(model, picture)
    assert (facts.parts, facts.rectified) == ({"convolution", "linear", "normalization", "attention"}, False)
    assert (facts.grid, facts.no_attention_map) == ((14, 14), None)
