"""Models and data as people have them go through the front door, and what was assumed is said."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.report.maps import gallery
from pnpxai.tensors import flat
from tests.auto.models import IDS, TABLE, Named, Reader, Words
from tests.small import Bright, pictures


def test_a_frame_brings_its_columns_names_and_the_models_dtype():
    model = nn.Sequential(nn.Linear(3, 2)).double()
    auto = pnpxai.auto_explain(model, (TABLE, TABLE["b"] > 2))
    explanation = auto.explain("GradientXInput")
    assert auto.modality.feature_names == ("a", "b", "c")
    assert explanation.inputs[0].dtype == torch.float64
    assert torch.equal(explanation.inputs[0], torch.tensor(TABLE.to_numpy()))
    labels = [axes.get_yticklabels() for axes in explanation.plot().axes]
    assert {text.get_text().split(" = ")[0] for row in labels for text in row} == {"a", "b", "c"}
    with pytest.raises(ArgumentError, match="data: expected columns of numbers, got others: d .*; encode"):
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
    rows = [row for one in shown.shown for row in one.rows]
    assert [re.sub("<.*?>", "", row.drawn) for row in rows] == ["a b c", "d e", "a b c d e", "f"]
    assert [str(row.tiles[0].drawn).count("<b ") for row in rows] == [3, 2, 5, 1]


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


def test_what_a_model_must_be_given_comes_first_in_a_tuple():
    """A DataLoader of pictures, questions and answers needs no word on which is which; masks are not explained."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(9, 4)

        def forward(self, picture, question, mask):
            read = (self.words(question) * mask[..., None]).sum((1, 2))
            return torch.stack([picture.sum((1, 2, 3)), read], 1)

    x, mask = pictures(4), torch.ones(4, 4, dtype=torch.long)
    data = TensorDataset(x, IDS[:1].repeat(4, 1), mask[:, : IDS.shape[1]], torch.tensor([1, 0, 1, 0]))
    auto = pnpxai.auto_explain(Both(), DataLoader(data, 2))
    assert auto.assumed[0].startswith("picture, question: image and text")
    batch = auto.examples(2).batches[0]
    assert torch.equal(batch.labels, torch.tensor([1, 0]))
    explanation = auto.explain("Gradient", count=4)
    assert [len(a) for a in explanation.attributions] == [4, 4]
