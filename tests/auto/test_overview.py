"""A picture at a glance: likeliest classes in columns, a few explainers in rows, ordered by measured faithfulness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

import pnpxai
from pnpxai.auto.named_models import NamedModel
from pnpxai.auto.overview import in_turn
from pnpxai.declare.registry import every
from pnpxai.engine.speed.output_memory import OutputMemory
from pnpxai.errors import ArgumentError
from pnpxai.explainers import LRP, GradCam, KernelShap, Occlusion
from pnpxai.explainers.base import Explainer
from pnpxai.metrics import AbPC
from pnpxai.strategies.feature_masks import Patches

ROWS: list[int] = []


class Colours(nn.Module):
    """Four classes: how red, green, blue or grey the middle of a picture is, through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 4)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:3, :, 1, 1] = torch.eye(3)
            self.conv.weight[3, :, 1, 1] = 1 / 3
            self.conv.bias.fill_(-0.1)
            self.head.weight.copy_(8 * torch.eye(4))
            self.head.bias.zero_()

    def forward(self, x):
        ROWS.append(len(x))
        side = x.shape[-1] // 4
        return self.head(self.conv(x)[:, :, side:-side, side:-side].relu().mean((2, 3)))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    values = np.full((32, 32, 3), 40, np.uint8)
    values[10:22, 10:22] = (230, 90, 30)
    path = tmp_path / "square.png"
    Image.fromarray(values).save(path)
    return path


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


@pytest.mark.smoke
def test_it_shows_three_classes_by_five_explainers_the_most_faithful_first(picture: Path, tmp_path: Path) -> None:
    names = ["red", "green", "blue", "grey"]
    shown = pnpxai.explain(str(picture), Colours(), class_names=names)
    x = torch.from_numpy(_pixels(picture)).permute(2, 0, 1)[None].float() / 255
    shares = Colours()(x).softmax(1)[0]
    order = shares.argsort(descending=True)[:3].tolist()
    assert shown.name == "square.png"
    assert list(shown.classes) == [names[k] for k in order]
    assert shown.probabilities == pytest.approx(shares[order].tolist(), abs=1e-5)
    assert len(shown.rows) == 5
    families = {
        cls.__module__.rpartition(".")[0] for cls in every(Explainer) for r in shown.rows if cls.__name__ == r.name
    }
    assert len(families) >= 4
    values = [row.faithfulness for row in shown.rows]
    assert values == sorted(values, reverse=True)
    for row in shown.rows:
        assert [m.shape for m in row.maps] == [(32, 32)] * 3
    figure = shown.plot()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert [text.split("\n")[0] for text in texts] == [row.name for row in shown.rows]
    assert any("square.png" in axes.get_title() for axes in figure.axes[0].child_axes)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.split("\n")[0] for title in titles] == list(shown.classes)
    saved = shown.save(tmp_path / "overview.png")
    with Image.open(saved) as opened:
        assert opened.size[0] > 500
    assert "red" in str(shown)
    assert shown._repr_html_().startswith("<img")


def test_quick_is_one_class_by_three(picture: Path) -> None:
    shown = pnpxai.explain(picture, Colours(), quick=True)
    assert len(shown.rows) == 3
    assert len(shown.classes) == 1
    assert shown.classes[0].startswith("class ")


def test_an_untrained_head_gets_empty_maps_and_is_told_so(picture: Path) -> None:
    net = Colours()
    nn.init.zeros_(net.head.weight)
    shown = pnpxai.explain(picture, net, quick=True)
    assert str(shown).count("every value is zero") == 3


def test_faithfulness_is_that_of_the_metric_on_patches(picture: Path) -> None:
    net = Colours()
    shown = pnpxai.explain(picture, net, quick=True)
    x = shown.picture[None]
    number = int(shown.classes[0].removeprefix("class "))
    metric = AbPC(net, n_steps=4, feature_mask_fn=Patches(size=2), channel_dim=1)
    for row in shown.rows:
        assert row.faithfulness == pytest.approx(float(metric.evaluate(x, [number], row.maps[0][None, None])), abs=1e-5)


def test_what_breaks_its_law_is_left_out_with_the_reason(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(self):
        raise ArgumentError("not on this one")

    monkeypatch.setattr(LRP, "attributor", refuses)
    shown = pnpxai.explain(picture, Colours())
    assert shown.left_out["LRP"] == "not on this one"
    assert "LRP" not in [row.name for row in shown.rows]
    assert len(shown.rows) == 5
    assert "left out: not on this one" in str(shown)


def test_families_take_turns_those_to_start_with_first() -> None:
    order = in_turn(every(Explainer, within="pnpxai."))
    assert order[0] is GradCam
    assert order.index(KernelShap) < order.index(Occlusion)
    first = [cls.__module__.rpartition(".")[0] for cls in order[:4]]
    assert len(set(first)) == 4
    assert all(cls.explains_target for cls in order)


def test_perturbed_inputs_run_once_for_all_classes() -> None:
    net = Colours()
    memory = OutputMemory(net).eval()
    x = torch.rand(1, 3, 32, 32)
    explainer = Occlusion(memory, window=8, stride=8, channel_dim=1)
    maps, counts = [], []
    for number in range(3):
        ROWS.clear()
        maps.append(explainer.explain(x, [number]).attributions[0])
        counts.append(sum(ROWS))
    assert counts[0] > 16
    assert counts[1:] == [0, 0]
    for number, found in enumerate(maps):
        assert torch.equal(found, Occlusion(net, window=8, stride=8, channel_dim=1).attribute(x, [number]))


def test_a_model_by_name_brings_its_weights_scaling_and_classes(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [transforms.Resize((16, 16)), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]

    def named(name: str) -> NamedModel:
        names = ("red", "green", "blue", "grey")
        return NamedModel(name, Colours().eval(), name == "known", "a folder", transforms.Compose(steps), names)

    monkeypatch.setattr("pnpxai.auto.overview.named_model", named)
    shown = pnpxai.explain(picture, "known", quick=True)
    assert shown.picture.shape == (3, 16, 16)
    assert set(shown.classes) <= {"red", "green", "blue", "grey"}
    assert shown.view.display == pnpxai.Display(0.5, 0.5)
    with pytest.raises(ArgumentError, match="model: the weights of other are not on this machine .*a folder"):
        pnpxai.explain(picture, "other")


def test_what_is_no_picture_or_no_classifier_is_refused(picture: Path) -> None:
    with pytest.raises(ArgumentError, match="expected pictures, got table"):
        pnpxai.explain(torch.rand(3, 5), nn.Linear(5, 2))
    with pytest.raises(ArgumentError, match="expected \\(pictures, classes\\)|say which to explain"):
        pnpxai.explain(picture, nn.Conv2d(3, 2, 3))
    with pytest.raises(ArgumentError, match="model: expected a model or a library's name of one, got 'net.py'"):
        pnpxai.explain(picture, "net.py")
    with pytest.raises(ArgumentError, match="expected numbers from 0 to 0"):
        pnpxai.explain(picture, Colours(), number=3)
