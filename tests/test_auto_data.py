"""Models and data as people have them go through the front door, and what was assumed is said."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.metrics.localisation import RelevanceRankAccuracy
from pnpxai.pictures import inline_png, pictured
from pnpxai.report.maps import gallery
from pnpxai.tensors import flat
from pnpxai.testing.planted import TASKS
from tests.small import Bright, pictures

TABLE = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1, 5, 3], "c": [0.5, 0.25, 1.0]})
IDS = torch.tensor([[5, 6, 7, 0], [6, 3, 3, 3], [1, 2, 3, 4]])


class Reader(nn.Module):
    """A classifier of ids with a mask by keyword, whose output is a mapping, as those of transformers are."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, input_ids, attention_mask=None):
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        tokens = self.embedding(input_ids) * seen[..., None]
        return {"loss": torch.zeros(()), "logits": self.head(tokens.sum(1) / seen.sum(1, keepdim=True))}


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(x)


class Words:
    """A tokenizer of single letters."""

    mask_token_id, pad_token_id = 8, 0

    def __call__(self, texts, return_tensors, padding, truncation):
        assert (return_tensors, padding, truncation) == ("pt", True, True)
        longest = max(map(len, texts))
        rows = [[ord(letter) - 96 for letter in text] + [0] * (longest - len(text)) for text in texts]
        ids = torch.tensor(rows)
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    def convert_ids_to_tokens(self, ids):
        return [chr(96 + k) if k else "[PAD]" for k in ids]


def test_a_frame_brings_its_columns_names_and_the_models_dtype():
    model = nn.Sequential(nn.Linear(3, 2)).double()
    auto = pnpxai.auto_explain(model, (TABLE, TABLE["b"] > 2))
    explanation = auto.explain("GradientXInput")
    assert auto.modality.feature_names == ("a", "b", "c")
    assert explanation.inputs[0].dtype == torch.float64
    assert torch.equal(explanation.inputs[0], torch.tensor(TABLE.to_numpy()))
    labels = [axes.get_yticklabels() for axes in explanation.plot().axes]
    assert {text.get_text().split(" = ")[0] for row in labels for text in row} == {"a", "b", "c"}
    with pytest.raises(ArgumentError, match="data: expected columns of numbers, got others: d; encode"):
        pnpxai.auto_explain(model, TABLE.assign(d=["x", "y", "z"]))


def test_a_picture_is_scaled_as_the_model_wants_it():
    array = np.arange(64, dtype=np.uint8).reshape(8, 8)
    auto = pnpxai.auto_explain(Bright(), Image.fromarray(array), display=(0.5, 0.25))
    expected = (torch.tensor(array).float() / 255 - 0.5) / 0.25
    assert torch.allclose(auto.explain("Gradient").inputs[0], expected[None, None])
    assert auto.settings["low"] == -2
    colours = Image.new("RGB", (8, 6), (255, 0, 0))
    assert len(pnpxai.AutoExplanation(nn.Conv2d(3, 2, 1), [colours] * 3, target=(0, 1, 1)).examples()) == 3
    with pytest.raises(ArgumentError, match=r"pictures of one size, got \[\(8, 6\), \(9, 9\)\]; resize"):
        pnpxai.auto_explain(Bright(), [colours, Image.new("RGB", (9, 9))])


def test_arrays_of_bytes_are_pictures_and_whole_numbers_rows_of_a_table():
    array = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    shown = pnpxai.auto_explain(model, (array, np.arange(3))).explain("Gradient")
    assert torch.equal(shown.inputs[0], torch.tensor(array).movedim(-1, 1) / 255)
    whole = pnpxai.auto_explain(nn.Linear(3, 2), np.arange(12).reshape(4, 3))
    assert whole.explain("Gradient").inputs[0].dtype == torch.float32
    assert not pnpxai.auto_explain(Reader(), IDS.numpy()).examples().batches[0].inputs.is_floating_point()


def test_texts_become_ids_masks_and_words():
    auto = pnpxai.auto_explain(Reader(), (["abc", "de"], torch.tensor([0, 1])), tokenizer=Words())
    explanation = auto.explain("Occlusion")
    assert explanation.inputs[0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert [word for word, _ in explanation.views[0].words[1]] == ["d", "e", ""]
    assert torch.equal(auto.examples().batches[0].labels, torch.tensor([0, 1]))
    assert auto.settings["baseline_fn"].token_id == 8
    assert float(explanation.attributions[0][1, 2].abs()) < 1e-7  # padding is masked
    html = explanation._repr_html_()
    assert html.count("<span") == 5
    assert "Occlusion" in html
    with pytest.raises(ArgumentError, match="texts need a tokenizer"):
        pnpxai.auto_explain(Reader(), ["abc"])


def test_batches_of_texts_may_have_several_lengths():
    read = Words()
    data = [read(texts, "pt", True, True) for texts in (["abc", "de"], ["abcde", "f"])]
    auto = pnpxai.auto_explain(Reader(), data, tokenizer=read)
    explanation = auto.explain("Occlusion", count=4)
    assert explanation.attributions[0].shape == (4, 5)
    assert not explanation.attributions[0][:2, 3:].any()
    alone = auto.explain("Occlusion", count=2)
    assert torch.equal(explanation.attributions[0][:2, :3], alone.attributions[0])
    drawn = [[t.get_text() for t in axes.texts] for axes in explanation.plot().axes]
    assert drawn == [["a", "b", "c"], ["d", "e"], ["a", "b", "c", "d", "e"], ["f"]]
    shown = gallery(auto.compare(["Occlusion"], ["AbPC"], show_progress=False))
    assert [one.text for one in shown.shown] == ["a b c", "d e", "a b c d e", "f"]
    assert [one.tiles[0].words.count("<span") for one in shown.shown] == [3, 2, 5, 1]


def test_a_list_of_examples_is_a_dataset():
    x = pictures(3)
    auto = pnpxai.auto_explain(Bright(), [(x[k], k % 2) for k in range(3)])
    (batch,) = auto.examples().batches
    assert torch.equal(batch.inputs, x)
    assert batch.labels.tolist() == [0, 1, 0]


def test_batches_hold_what_data_holds():
    rows = TABLE.to_numpy()
    named = {"x": rows, "name": ["a", "b", "c"]}
    for batch in ((rows, np.arange(3)), [rows, np.arange(3)], (TABLE, TABLE["b"]), named):
        auto = pnpxai.auto_explain(Named(), [batch, batch])
        (found,) = flat(auto.examples().batches[1].inputs)
        assert torch.equal(found, torch.tensor(rows).float())

    class Texts(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, k):
            return ["abc", "de", "f", "ab"][k], k

    auto = pnpxai.auto_explain(Reader(), DataLoader(Texts(), batch_size=2), tokenizer=Words())
    ids = [batch.inputs["input_ids"].tolist() for batch in auto.examples()]
    assert ids == [[[1, 2, 3], [4, 5, 0]], [[6, 0], [1, 2]]]
    assert torch.cat([batch.labels for batch in auto.examples()]).tolist() == [0, 1, 2, 3]


def test_mappings_are_keyword_arguments_without_labels_and_what_is_unknown():
    whole = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": torch.tensor([0, 1, 2]), "idx": IDS}

    class Rows(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, k):
            return {name: value[k] for name, value in whole.items()}

    for data in (whole, Rows(), DataLoader(Rows(), batch_size=2), [whole]):
        auto = pnpxai.auto_explain(Reader(), data)
        (batch,) = auto.examples(2).batches
        assert set(batch.inputs) == {"input_ids", "attention_mask"}
        assert torch.equal(batch.labels, torch.tensor([0, 1]))
        assert "not given to the model, which does not take them: idx" in auto.assumed
        assert auto.explain("Gradient", count=3).attributions[0].shape == (3, 4, 4)
    with pytest.raises(ArgumentError, match="the model takes input_ids, attention_mask; a batch holds idx"):
        pnpxai.auto_explain(Reader(), {"idx": IDS})


def test_a_dataset_of_another_library_is_known_by_what_it_can_do():
    class Rows:
        column_names = ("input_ids", "label")

        def __len__(self):
            return 3

        def __getitem__(self, k):
            return {"input_ids": IDS[k], "label": k}

    assert torch.cat([b.labels for b in pnpxai.auto_explain(Reader(), Rows()).examples()]).tolist() == [0, 1, 2]


def test_a_generator_is_read_once():
    auto = pnpxai.AutoExplanation(Bright(), (pictures(2, seed=k) for k in range(4)), "image")
    assert len(auto.examples(3)) == 3
    assert len(auto.examples()) == 8
    assert len(auto.examples()) == 8


def test_extractors_take_arguments_out_of_anything():
    batch = {"what": IDS, "seen": torch.ones_like(IDS), "more": "text"}
    auto = pnpxai.AutoExplanationForTextClassification(
        Reader(), [batch], input_extractor=lambda b: b, mask_token_id=8,
        forward_arg_extractor=lambda b: b["what"], additional_forward_arg_extractor=lambda b: b["seen"],
    )  # fmt: skip
    assert torch.equal(auto.explain("Gradient").inputs[0], IDS)


def test_positional_arguments_are_taken_apart_and_comparisons_can_be_written(tmp_path):
    auto = pnpxai.AutoExplanationForTextClassification(
        Reader(), [(IDS, torch.ones_like(IDS))], input_extractor=lambda b: b, mask_token_id=8,
        forward_arg_extractor=lambda b: b[0], additional_forward_arg_extractor=lambda b: b[1],
    )  # fmt: skip
    results = auto.compare(["Occlusion", "GradientXInput"], ["AbPC"], show_progress=False)
    assert results.table["value"].notna().all()
    results.save(tmp_path)


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
    assert [one.text for one in shown.shown] == ["a b c", "d e"]
    assert not shown.bars
    assert {one.class_name for one in shown.shown} <= {"x", "y", "z"}
    assert "<span" in shown.shown[0].tiles[0].words
    auto = pnpxai.auto_explain(nn.Linear(3, 2), TABLE)
    shown = gallery(auto.compare(["GradientXInput"], ["AbPC"], show_progress=False))
    assert re.search(r"strongest (for|against) the target: [abc]$", shown.shown[1].tiles[0].alt)
    assert shown.bars
    x = pictures(2)
    scaled = pnpxai.auto_explain(Bright(), (x - 0.5) / 0.1, display=(0.5, 0.1))
    shown = gallery(scaled.compare(["Gradient"], ["AbPC"], show_progress=False))
    assert shown.shown[0].picture == inline_png(pictured(x[0], (0.0, 1.0)))


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
