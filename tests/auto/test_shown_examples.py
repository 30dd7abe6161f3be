"""What a comparison keeps to be looked at is of the right examples, for every input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import pnpxai
from pnpxai.experiment import Results
from pnpxai.pictures import View
from pnpxai.strategies.postprocessing import PostProcessor
from tests.auto.models import Words


class Both(nn.Module):
    """Answers of a picture and ids of words."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.read = nn.Embedding(9, 4)
        self.answer = nn.Linear(4, 3)

    def forward(self, picture: Tensor, question: Tensor) -> Tensor:
        return self.answer(self.see(picture) * self.read(question).mean(1))


PICTURES = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))
QUESTIONS = torch.randint(1, 8, (10, 5), generator=torch.Generator().manual_seed(2))


def compared(data: object, explainers: list[str], keep: int | list[int]) -> tuple[pnpxai.AutoExplanation, Results]:
    auto = pnpxai.AutoExplanationForVisualQuestionAnswering(Both().eval(), data, tokenizer=Words())
    return auto, auto.compare(explainers, ["AbPC"], keep=keep, show_progress=False)


@pytest.mark.parametrize("batches", [False, True])
def test_inputs_maps_and_words_are_those_of_the_chosen_examples(batches: bool) -> None:
    pairs = [((p, q), 0) for p, q in zip(PICTURES, QUESTIONS, strict=True)]
    data = DataLoader(pairs, batch_size=4) if batches else (PICTURES, QUESTIONS)  # type: ignore[arg-type]
    auto, found = compared(data, ["GradientXInput", "GradCam"], [2, 3, 7])
    assert found.kept == (2, 3, 7)
    picture, question = found.of_inputs
    assert torch.equal(picture.inputs, PICTURES[[2, 3, 7]])
    assert torch.equal(question.inputs, QUESTIONS[[2, 3, 7]])
    views = [View.from_dict(view) for view in found.facts["views"]]
    assert [view.kind for view in views] == ["image", "tokens"]
    expected = [[(chr(96 + int(k)), 1) for k in ids] for ids in QUESTIONS[[2, 3, 7]]]
    assert [list(of) for of in views[1].words] == expected
    explanation = auto.explain("GradientXInput", numbers=[2, 3, 7])
    assert isinstance(explanation, pnpxai.Explanation)
    maps = PostProcessor.on(auto.traits)(explanation.attributions)
    for kept, of in zip(found.of_inputs, maps, strict=True):
        assert torch.allclose(kept.maps["GradientXInput"], of, atol=1e-6)
    # a class activation map is of the picture alone, and cannot be judged beside maps of both
    assert picture.maps["GradCam"].shape == (3, 8, 8)
    assert "GradCam" not in question.maps
    reasons = set(found.table[found.table.explainer == "GradCam"].reason)
    assert reasons == {"attributions: expected one for each of 2 inputs, got 1; maps of all inputs are judged together"}
    assert found.decision.dropped["GradCam"] == "has no value in AbPC"


def test_maps_of_every_input_are_read_back_from_the_folder(tmp_path) -> None:  # noqa: ANN001
    auto = pnpxai.AutoExplanationForVisualQuestionAnswering(Both().eval(), (PICTURES, QUESTIONS), tokenizer=Words())
    run = {"metrics": ["AbPC"], "folder": tmp_path, "show_progress": False}
    first = auto.compare(["GradientXInput"], keep=2, **run)
    second = auto.compare(["GradientXInput", "Gradient"], keep=2, **run)
    read = Results.load(tmp_path)
    for before, after, again in zip(first.of_inputs, second.of_inputs, read.of_inputs, strict=True):
        assert torch.equal(before.maps["GradientXInput"], after.maps["GradientXInput"])
        assert torch.equal(after.maps["Gradient"], again.maps["Gradient"])
        assert torch.equal(before.inputs, again.inputs)


def test_nothing_kept_is_no_error() -> None:
    _, found = compared((PICTURES, QUESTIONS), ["GradientXInput"], 0)
    assert found.maps == {}
    assert found.facts["views"] == []


def test_a_series_shows_each_of_its_channels() -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    auto = pnpxai.auto_explain(model, torch.randn(6, 3, 20))
    found = auto.compare(["GradientXInput", "GradCam"], ["AbPC"], keep=4, show_progress=False)
    assert found.maps["GradientXInput"].shape == (4, 3, 20)
    assert found.maps["GradCam"].shape == (4, 1, 20)
    assert found.agreement().notna().all(axis=None)  # type: ignore[arg-type]
