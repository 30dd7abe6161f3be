"""What is explained, by whom, and how it is shown: targets, names, reports, planted evidence."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.metrics.localisation import RelevanceRankAccuracy
from pnpxai.pictures import inline_png, pictured
from pnpxai.report.maps import gallery
from pnpxai.testing.planted import TASKS
from tests.auto.models import TABLE, Reader, Words
from tests.small import Bright, pictures


@pytest.mark.parametrize(
    ("model", "facts", "message"),
    [
        (nn.Linear(3, 1), {}, None),
        (nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), {}, None),
        (nn.Linear(3, 2), {"target": 1}, None),
        (nn.Linear(3, 2), {"target": lambda output: output.sum(1)}, None),
        (nn.Linear(3, 2), {}, "target: the model gives 2 numbers for each example"),
    ],
)
def test_regression_has_one_output_or_a_target(model, facts, message):
    auto = pnpxai.AutoExplanationForTabularRegression(model, (TABLE, TABLE["a"]), **facts)
    if message:
        with pytest.raises(ArgumentError, match=message):
            auto.explain("Gradient")
        return
    assert "target_extractor" not in str(auto)
    weight = next(model.parameters()).detach()
    row = weight.sum(0) if callable(facts.get("target")) else weight[facts.get("target", 0)]
    assert torch.allclose(auto.explain("Gradient").attributions[0], row.expand(3, 3), atol=1e-6)
    assert auto.compare(["Gradient"], ["AbPC"], show_progress=False).table["value"].notna().any()


def test_a_function_of_the_output_is_explained():
    model = nn.Conv2d(1, 2, 3, padding=1)
    x = pictures(3)
    with pytest.raises(ArgumentError, match=r"gives \(2, 8, 8\) numbers for each example; say which"):
        pnpxai.auto_explain(model, x)
    auto = pnpxai.auto_explain(model, x, target=lambda output: output[:, 1].sum((1, 2)))
    inner = auto.explain("Gradient").attributions[0][:, 0, 1:-1, 1:-1]
    assert torch.allclose(inner, model.weight[1].sum().expand_as(inner), atol=1e-5)
    assert "target <lambda>" in str(auto)


def test_names_of_classes_stand_in_titles():
    auto = pnpxai.auto_explain(Bright(), pictures(2), class_names=["up", "down"])
    titles = [axes.get_title() for axes in auto.explain("Gradient").plot().axes]
    assert all("up" in title or "down" in title for title in titles if title != "input")


def test_facts_that_do_not_belong_to_the_data_are_refused():
    with pytest.raises(ArgumentError, match="tokenizer: image data has none"):
        pnpxai.auto_explain(Bright(), pictures(2), tokenizer=Words())
    with pytest.raises(ArgumentError, match="expected as many examples in each part, got 3 and 2"):
        pnpxai.auto_explain(nn.Linear(3, 2), (TABLE, torch.zeros(2)))


def test_series_axes_as_in_the_original():
    x = torch.randn(3, 2, 8)
    task = pnpxai.AutoExplanationForTSClassification
    assert task(nn.Conv1d(2, 2, 8), x).traits.channel_dim == 1
    assert task(nn.Conv1d(2, 2, 8), x, sequence_dim=-2).traits.channel_dim == 2
    assert task(nn.Conv1d(2, 2, 8), x, mask_agg_dim=None).traits.channel_dim is None
    with pytest.raises(ArgumentError, match="expected two axes, got the same twice"):
        task(nn.Conv1d(2, 2, 8), x, sequence_dim=-1, mask_agg_dim=-1)


def test_what_is_affordable_goes_by_declared_cost():
    auto = pnpxai.auto_explain(Bright(), pictures(4))
    cheap = {cls.__name__ for cls in auto.affordable(2)}
    assert {"Gradient", "GradCam"} <= cheap
    assert not cheap & {"SmoothGrad", "RISE"}
    assert set(auto.affordable(10**6)) == set(auto.recommended)


def test_the_report_shows_words_columns_and_pictures_as_they_look():
    auto = pnpxai.auto_explain(Reader(), ["abc", "de"], tokenizer=Words(), class_names=["x", "y", "z"])
    shown = gallery(auto.compare(["Occlusion"], ["AbPC"], show_progress=False))
    assert [re.sub("<.*?>", "", one.rows[0].drawn) for one in shown.shown] == ["a b c", "d e"]
    assert shown.kinds == {"tokens"}
    assert {one.class_name for one in shown.shown} <= {"x", "y", "z"}
    assert "<b " in str(shown.shown[0].rows[0].tiles[0].drawn)
    auto = pnpxai.auto_explain(nn.Linear(3, 2), TABLE)
    shown = gallery(auto.compare(["GradientXInput"], ["AbPC"], show_progress=False))
    assert re.search(r"strongest (for|against) the target: [abc]$", shown.shown[1].rows[0].tiles[0].alt)
    assert shown.kinds == {"table"}
    x = pictures(2)
    scaled = pnpxai.auto_explain(Bright(), (x - 0.5) / 0.1, display=(0.5, 0.1))
    shown = gallery(scaled.compare(["Gradient"], ["AbPC"], show_progress=False))
    assert inline_png(pictured(x[0], (0.0, 1.0))) in shown.shown[0].rows[0].style


@pytest.mark.slow
def test_a_planted_glyph_is_found():
    task = TASKS["pictures"]()
    inputs, labels, truth = task.examples[:3]
    auto = pnpxai.AutoExplanationForImageClassification(task.model, (inputs, labels), target_labels=True)
    names = ("GradientXInput", "Occlusion", "LRPEpsilonPlus", "RandomMap")
    found = {name: planted(auto, name, truth) for name in names}
    by_chance = found.pop("RandomMap")
    assert by_chance < 0.15
    assert all(share > 3 * by_chance for share in found.values()), found


def planted(auto, name, truth):
    """Return the mean share of the pixels with the largest values that lie in the glyph."""
    explanation = auto.explain(name, count=len(truth))
    given = explanation.inputs[0], explanation.targets, explanation.attributions
    return float(RelevanceRankAccuracy(auto.model).evaluate(*given, masks=truth).mean())


class Segmenter(nn.Module):
    """Scores of classes at each pixel, as torchvision's: beside those of a helper."""

    def __init__(self, classes):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, classes, 1)

    def forward(self, x):
        scores = self.head(self.conv(x).relu())
        return {"out": scores, "aux": -scores}


@pytest.mark.parametrize("classes", [1, 3])
def test_of_a_segmentation_the_largest_segment_is_explained(classes):
    model, x = Segmenter(classes).eval().double(), torch.randn(34, 3, 8, 8, dtype=torch.float64)
    auto = pnpxai.auto_explain(model, x)
    explanation = auto.explain("LRPUniformEpsilon", count=34)
    scores = model(x)["out"].detach()
    for k, of_pixels in enumerate(scores):
        if classes == 1:
            chosen, mask = 0, of_pixels[0] > 0
        else:
            winners = of_pixels.argmax(0)
            sizes = torch.bincount(winners.flatten(), minlength=3)
            sizes[0] = 0  # the background
            chosen = int(sizes.argmax())
            mask = winners == chosen
        assert float(explanation.scores[k]) == pytest.approx(float(of_pixels[chosen][mask].mean()))
    assert explanation.gap.abs().max() < 1e-6
    few = auto.explain("LRPUniformEpsilon", numbers=[3, 33])  # of two batches
    torch.testing.assert_close(few.attributions[0], explanation.attributions[0][[3, 33]])
    torch.testing.assert_close(few.scores, explanation[[3, 33]].scores)


class BoxFinder(nn.Module):
    """Scores squares of four pixels; as torchvision's detectors do, or as DETR does."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(0)
        self.form, self.conv, self.head = form, nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)

    def forward(self, x):
        logits = self.head(self.conv(x).relu().flatten(2).transpose(1, 2))
        corner = torch.arange(4, dtype=x.dtype)
        corners = torch.stack([corner % 2, corner // 2, corner % 2 + 1, corner // 2 + 1], 1) * 4
        if self.form == "detr":
            shares = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, torch.full((4, 2), 4.0)], 1) / 8
            return {"logits": logits, "pred_boxes": shares.to(x.dtype).expand(len(x), 4, 4)}
        kept, labels = logits.softmax(-1)[..., :-1].max(-1)
        return [
            {"boxes": corners[one > 0.3], "scores": one[one > 0.3], "labels": of_one[one > 0.3]}
            for one, of_one in zip(kept, labels, strict=True)
        ]


@pytest.mark.parametrize("form", ["torchvision", "detr"])
def test_of_a_detector_the_surest_box_is_explained_and_drawn(form):
    model, x = BoxFinder(form).eval().double(), torch.rand(3, 3, 8, 8, dtype=torch.float64)
    auto = pnpxai.auto_explain(model, x)
    explanation = auto.explain("Gradient", count=3)
    probabilities = model.head(model.conv(x).relu().flatten(2).transpose(1, 2)).softmax(-1)[..., :-1]
    best, place = probabilities.amax(-1).max(-1)
    torch.testing.assert_close(explanation.scores, best.detach())
    for k, map_of_one in enumerate(explanation.attributions[0]):
        row, column = 4 * (int(place[k]) // 2), 4 * (int(place[k]) % 2)
        inside = map_of_one[:, row : row + 4, column : column + 4].abs().sum()
        assert float(inside) == pytest.approx(float(map_of_one.abs().sum())) != 0
    figure = explanation.plot()
    frames = [line.get_xydata() for axes in figure.axes for line in axes.lines]
    row, column = 4 * (int(place[0]) // 2), 4 * (int(place[0]) % 2)
    assert len(frames) == 6  # in the picture and in its map
    assert frames[0].min(0).tolist() == pytest.approx([column, row])
    assert frames[0].max(0).tolist() == pytest.approx([column + 4, row + 4])
    assert "in the box" in figure.axes[1].get_title()
    for name in ("GradientShap", "ScoreCAM", "Occlusion"):  # each reads outputs in its own way
        together = auto.explain(name, count=3).attributions[0]
        torch.testing.assert_close(together[1:2], auto.explain(name, numbers=[1]).attributions[0])


def test_a_detector_that_finds_nothing_asks_for_a_box():
    class Blind(BoxFinder):
        def forward(self, x):
            return [{name: of[:0] for name, of in one.items()} for one in super().forward(x)]

    with pytest.raises(ArgumentError, match="the detector finds nothing in picture 0 .*targets.Box"):
        pnpxai.auto_explain(Blind("torchvision").eval(), torch.rand(1, 3, 8, 8))


def test_a_target_with_a_value_for_each_example_follows_the_examples(tmp_path):
    model, x = nn.Linear(4, 3), torch.randn(40, 4)
    classes = torch.arange(40) % 3
    auto = pnpxai.auto_explain(model, x, target=pnpxai.targets.Class(classes))
    weights = model.weight.detach()[classes]
    assert torch.equal(auto.explain("Gradient", count=40).attributions[0], weights)
    assert torch.equal(auto.explain("Gradient", numbers=[2, 37]).attributions[0], weights[[2, 37]])
    assert torch.equal(auto.explain("Gradient", count=5)[3:5].attributions[0], weights[3:5])
    results = auto.compare(["Gradient", "FeatureAblation"], ["FaithfulnessCorrelation"], folder=tmp_path, controls=())
    assert results.table["value"].notna().all()
    assert auto.tune("SmoothGrad", "AbPC", n_trials=2, count=10).explainer is not None
    with pytest.raises(ArgumentError, match="Class: index"):
        pnpxai.auto_explain(model, x, target=pnpxai.targets.Class(classes[:39])).explain("Gradient", count=40)
