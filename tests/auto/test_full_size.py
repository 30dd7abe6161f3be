"""Models in the size people have: what fits runs with its defaults, within a budget of rows, and refusals are true.

Pictures, tokens and layers are as large as people have them. ResNet-18 and BERT are as deep, too; the transformers of
pictures, whose layers take ten times as long, have a few of their layers, which are all alike.
"""

from __future__ import annotations

import functools
from unittest.mock import patch

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.propagation.lrp import LRPUniformEpsilon
from pnpxai.metrics.selection import as_explainer

pytestmark = [
    pytest.mark.slow(first=True),
    pytest.mark.filterwarnings("ignore:model. it draws random numbers:UserWarning"),  # ViLT: which patches it looks at
]
ROWS = {"resnet18": 20, "vit_b_16": 4, "swin_tiny": 4, "bert_base": 20, "vilt": 4}
"""How many rows an explainer may run for an example: the gradients and rules in all, and where that takes little time
also paths and noise. Those that take more do the same thing more often."""


def resnet18():
    from torchvision.models import resnet18

    return resnet18(), torch.randn(2, 3, 224, 224)


def vit_b_16():
    from torchvision.models import VisionTransformer

    model = VisionTransformer(image_size=224, patch_size=16, num_layers=4, num_heads=12, hidden_dim=768, mlp_dim=3072)
    nn.init.normal_(model.heads.head.weight, std=0.02)  # which is zero
    return model, torch.randn(2, 3, 224, 224)


def swin_tiny():
    import timm

    model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, depths=(2, 2, 2, 2))
    return model, torch.randn(2, 3, 224, 224)


def bert_base():
    from transformers import BertConfig, BertForSequenceClassification

    ids, mask = torch.randint(1000, 30000, (2, 24)), torch.ones(2, 24).long()
    ids[1, 16:], mask[1, 16:] = 0, 0
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return BertForSequenceClassification(BertConfig(num_labels=3)), batch


def vilt():
    from transformers import ViltConfig, ViltForQuestionAnswering

    ids = torch.randint(1000, 30000, (2, 8))
    batch = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids),
        "pixel_values": torch.randn(2, 3, 224, 224), "pixel_mask": torch.ones(2, 224, 224).long(),
    }  # fmt: skip
    config = ViltConfig(image_size=224, num_hidden_layers=4)
    config.num_labels = 5
    return ViltForQuestionAnswering(config), batch


@functools.cache
def explained(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, data = globals()[name]()
    return pnpxai.auto_explain(model.eval(), data)


@pytest.mark.parametrize("name", ROWS)
def test_what_fits_runs_with_its_defaults(name):
    auto = explained(name)
    chosen = auto.affordable(ROWS[name])
    assert len(chosen) >= 9
    shapes = [tuple(x.shape) for x in auto.explain("Gradient", count=2).attributions]
    for cls in chosen:
        one = auto.explain(cls, count=2)
        for maps, x, shape in zip(one.attributions, one.inputs, shapes, strict=False):
            one_channel = (2, 1, *x.shape[2:])
            assert tuple(maps.shape) in (tuple(x.shape), one_channel, shape), cls
            assert maps.isfinite().all(), cls
            assert maps.flatten(1).std(1).min() > 0 or cls.rectified, cls
        if name == "bert_base" and cls.needs_gradient:  # what is masked out says nothing
            said = one.attributions[0][1].reshape(24, -1).abs().sum(1)
            assert said[16:].max() <= 1e-4 * said[:16].max(), cls


@pytest.mark.parametrize("name", ROWS)
def test_what_is_refused_fails_or_says_nothing_of_its_own(name):
    """Forced, it ends in an error, gives the plain gradient or the epsilon rule, or leaves most of the score out."""
    auto = explained(name)
    gradient = auto.explain("Gradient", count=1).attributions
    epsilon = auto.explain(
        as_explainer(LRPUniformEpsilon, auto.model, auto.settings).replace(epsilon=1e-6), count=1
    ).attributions
    for refused, reason in auto.stated.reasons.items():
        cls = by_name(Explainer, refused, "explainer")
        with patch.object(cls, "reason_against", classmethod(lambda *given: None)):
            try:
                maps = auto.explain(cls, count=1).attributions
            except (ArgumentError, ValueError):
                continue
        assert told(refused, maps, gradient, epsilon, auto), f"{refused}: {reason}"


def told(refused, maps, gradient, epsilon, auto):
    """Return in what way a map that was forced says nothing of its own."""
    alike = lambda others: all(correlated(m, o) > 0.99 for m, o in zip(maps, others, strict=True))  # noqa: E731
    if len(maps) < len(gradient):
        return "says nothing of an input"
    if refused == "FullGrad":
        return "adds up maps of convolutions" if "attention" in auto.stated.facts.parts else None
    if any(m.shape != g.shape for m, g in zip(maps, gradient, strict=True)):
        return "has no values at the positions"
    return "is the gradient" if alike(gradient) else "is the epsilon rule" if alike(epsilon) else None


def correlated(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
