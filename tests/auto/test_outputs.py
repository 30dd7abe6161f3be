"""Models whose output is no row of class scores: maps of pixels, boxes with scores, one list entry for each picture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer

X = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Detector(nn.Module):
    """Scores (examples, cells, 2) and boxes (examples, cells, 4), in a mapping; as a list, one mapping for each."""

    def __init__(self, listed=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.scores, self.boxes, self.listed = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 4, 1), listed

    def forward(self, x):
        body = self.body(x)
        scores, boxes = (head(body).flatten(2).transpose(1, 2) for head in (self.scores, self.boxes))
        if self.listed:
            return [{"boxes": b[k:], "scores": s[k:]} for k, (b, s) in enumerate(zip(boxes, scores, strict=True))]
        return {"scores": scores, "boxes": boxes}


def of_first_kind(output):
    if isinstance(output, list):
        return torch.stack([one["scores"][:, 0].sum() for one in output])
    return output["scores"][:, :, 0].sum(1)


def everything(auto, explainers):
    """Explain by all that fit, compare two, and draw one; return the explanations."""
    found = {cls.__name__: auto.explain(cls, count=2) for cls in explainers or auto.recommended}
    assert "GradCam" in found
    for name, one in found.items():
        (maps,) = one.attributions
        assert maps.shape[0] == 2, name
        complete = maps.flatten(1).isfinite().all(1)
        assert complete.any(), name
        if not complete.all():  # what misses its sum by far is no map, and named
            assert maps[~complete].isnan().all(), name
            assert one.gap is not None, name
            assert one.warnings, name
        assert maps[complete].flatten(1).std(1).min() > 0 or by_name(Explainer, name, "name").rectified, name
    table = auto.compare(["GradientXInput", "GradCam"], ["AbPC", "Sensitivity"], count=2, show_progress=False).table
    assert table["value"].notna().all()
    assert found["GradientXInput"].plot().axes
    return found


def test_boxes_with_scores_by_a_function_of_the_output():
    model = Detector()
    found = everything(pnpxai.auto_explain(model, X, target=of_first_kind), None)
    x = X[:2].clone().requires_grad_()
    (expected,) = torch.autograd.grad(of_first_kind(model(x)).sum(), x)
    assert torch.allclose(found["Gradient"].attributions[0], expected, atol=1e-6)


def test_a_list_with_an_entry_for_each_picture():
    torch.manual_seed(0)
    model = Detector(listed=True)
    auto = pnpxai.auto_explain(model, X, target=of_first_kind)
    assert auto.recommended.facts.feature_map is not None
    x = X[:1].clone().requires_grad_()
    (expected,) = torch.autograd.grad(of_first_kind(model(x)).sum(), x)
    assert torch.allclose(auto.explain("Gradient", count=1).attributions[0], expected, atol=1e-6)


def test_without_a_function_it_is_said_what_is_missing():
    with pytest.raises(ArgumentError, match=r"holds \['boxes', 'scores'\]; pass a function as the target"):
        pnpxai.auto_explain(Detector(), X)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_segmentation_models_of_torchvision(name):
    from torchvision.models import segmentation

    torch.manual_seed(0)
    model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=4).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and "mobilenet" in name:  # so that the signal gets through
            nn.init.uniform_(module.running_var, 0.01, 0.1)
            nn.init.normal_(module.bias, 0, 0.3)
    auto = pnpxai.auto_explain(model, torch.randn(2, 3, 48, 48), target=lambda out: out["out"][:, 1].mean((1, 2)))
    everything(auto, auto.affordable(20))
