"""Data is told by its facts, and what is known of it reaches strategies, explainers and pictures."""

from __future__ import annotations

import pytest
import torch
from optuna.trial import FixedTrial
from torch import nn

from pnpxai.errors import ArgumentError
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.modalities import (
    ImageModality,
    Modality,
    SeveralModalities,
    TabularModality,
    TextModality,
    TimeSeriesModality,
    modality_of,
)
from pnpxai.pictures import Display, View
from pnpxai.strategies.baselines import EachBaseline, Invert, Zeros
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.token_baselines import Pad, Token
from pnpxai.traits import Traits
from pnpxai.tuning.space.parameters import suggest

IDS = torch.tensor([[5, 6, 7, 0], [6, 3, 3, 3]])


class Pieces:
    """A vocabulary in which token 7 continues the word before it."""

    mask_token_id, pad_token_id, all_special_ids = 2, 0, [0, 2]

    def __len__(self):
        return 8

    def convert_ids_to_tokens(self, ids):
        return [["[PAD]", "a", "[MASK]", "b", "c", "un", "believ", "##able"][k] for k in ids]


@pytest.mark.parametrize(
    ("inputs", "model", "expected"),
    [
        (torch.rand(2, 3, 8, 8), nn.Conv2d(3, 1, 1), ImageModality()),
        (torch.rand(2, 8, 8, 3), nn.Conv2d(3, 1, 1), ImageModality(channel_dim=-1)),
        (torch.rand(2, 3, 8, 8), lambda x: x, ImageModality()),
        (IDS, nn.Embedding(8, 2), TextModality()),
        (torch.rand(2, 4), nn.Linear(4, 1), TabularModality()),
        (torch.rand(2, 4), lambda x: x, TabularModality()),
        (torch.rand(2, 3, 9), nn.Conv1d(3, 1, 1), TimeSeriesModality()),
        (torch.rand(2, 9, 3), nn.LSTM(3, 1), TimeSeriesModality(channel_dim=2)),
        (torch.rand(2, 3, 3), nn.GRU(3, 1), TimeSeriesModality(channel_dim=2)),
        (torch.rand(2, 3, 3), nn.Conv1d(3, 1, 1), TimeSeriesModality()),
        (torch.rand(2, 9), nn.Conv1d(1, 1, 1), TimeSeriesModality(channel_dim=None)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, (nn.Module, Modality)) else "",
)
def test_what_data_is_follows_from_its_shape_and_the_model(inputs, model, expected):
    assert modality_of(None, [inputs], model)[0] == expected


def test_several_inputs_are_told_one_by_one():
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Embedding(8, 2))
    found, why = modality_of(None, [torch.rand(2, 3, 8, 8), IDS], model)
    assert found == SeveralModalities((ImageModality(), TextModality()))
    assert "pictures" in why
    assert "tokens" in why
    assert [one.modality for one in found.traits.each] == ["image", "text"]


def test_what_cannot_be_told_has_to_be_said():
    with pytest.raises(ArgumentError, match=r"cannot be told from torch.int64 of shape \(2, 4\).*give modality="):
        modality_of(None, [IDS], nn.Linear(4, 1))
    assert modality_of("table", [IDS], nn.Linear(4, 1))[0] == TabularModality()
    with pytest.raises(ArgumentError, match="did you mean 'image'"):
        modality_of("imagee", [IDS], nn.Linear(4, 1))
    with pytest.raises(ArgumentError, match="expected one for each of 1 explained inputs"):
        modality_of(("image", "text"), [IDS], nn.Linear(4, 1))


def test_a_new_kind_of_data_is_found_by_itself():
    class Volumes(Modality):
        name = "volume"

        @property
        def traits(self):
            return Traits("image", 1, 3)

        @classmethod
        def recognised(cls, values, model):
            return (cls(), "numbers in five dimensions") if values.ndim == 5 else None

        def view(self, values, classes=()):
            return View("image")

    assert modality_of(None, [torch.rand(1, 1, 2, 2, 2)], nn.Conv3d(1, 1, 1)) == (
        Volumes(),
        "numbers in five dimensions",
    )


def test_the_range_of_pictures_serves_the_negative_and_the_box():
    picture = ImageModality(display=((0.5, 0.25), (0.5, 0.25)))
    x = torch.rand(2, 2, 4, 4)
    scaled = picture.display.apply(x)
    (invert,) = picture.traits.ready
    assert isinstance(invert, Invert)
    assert torch.allclose(invert(scaled), picture.display.apply(1 - x), atol=1e-6)
    assert picture.common([scaled]) == {"channel_dim": 1, "low": -1.0, "high": 3.0}
    assert ImageModality().common([x]) == {"channel_dim": 1}
    assert torch.allclose(torch.tensor(picture.display.undo(scaled[0].numpy())).float(), x[0], atol=1e-6)


def test_the_scaling_is_read_off_transforms():
    from torchvision.transforms import Compose, Normalize
    from torchvision.transforms._presets import ImageClassification

    expected = Display((0.1, 0.2, 0.3), (0.5, 0.5, 0.25))
    normalize = Normalize(expected.mean, expected.std)
    given = [normalize, Compose([nn.Identity(), normalize]), {"mean": expected.mean, "std": expected.std}]
    given += [ImageClassification(crop_size=8, mean=expected.mean, std=expected.std), (expected.mean, expected.std)]
    assert [Display.of(one) for one in given] == [expected] * len(given)
    with pytest.raises(ArgumentError, match=r"display: expected a Display, \(mean, std\), or a transform"):
        ImageModality(display="imagenet")


def test_a_tokenizer_gives_mask_padding_and_words():
    text = TextModality(tokenizer=Pieces())
    assert text.baseline(IDS) == Token(token_id=2)
    assert text.traits.ready[:2] == (Token(token_id=2), Pad(token_id=0))
    assert text.view(IDS).words[0] == (("un", 1), ("believable", 2), ("", 1))
    words = text.traits.ready[2]
    assert words(IDS).tolist() == [[0, 1, 1, 2], [0, 1, 2, 3]]
    assert TextModality(tokenizer=Pieces(), mask_token_id=4).baseline(IDS) == Token(token_id=4)
    assert isinstance(TextModality().baseline(IDS), Zeros)


def test_rows_are_compared_with_the_columns_means():
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    baseline = TabularModality().common([x])["baseline_fn"]
    assert isinstance(baseline, Background)
    assert baseline(x).tolist() == [[2.0, 20.0]] * 2
    with pytest.raises(ArgumentError, match="feature_names: expected 2, one for each column, got 1"):
        TabularModality(feature_names=["a"]).view(x)


def test_each_input_has_a_baseline_of_its_own():
    both = SeveralModalities((ImageModality(), TextModality(mask_token_id=3)))
    common = both.common([torch.rand(2, 3, 4, 4), IDS])
    start = EachBaseline((Zeros(), Token(token_id=3)))
    assert common == {"channel_dim": 1, "baseline_fn": start, "background_data": start}
    assert "baseline_fn" not in SeveralModalities((ImageModality(), ImageModality())).common(
        [torch.rand(2, 3, 4, 4)] * 2
    )
    with pytest.raises(ArgumentError, match=r"expected 2 explained inputs \(image and text\), got 1"):
        both.views([IDS])
    with pytest.raises(ArgumentError, match="channels on the same axis"):
        SeveralModalities((ImageModality(), ImageModality(channel_dim=-1)))


def test_a_view_goes_through_json():
    import json

    view = ImageModality(display=((0.1, 0.2), 0.5)).view(torch.rand(1, 2, 2, 2), ("cat", "dog"))
    assert View.from_dict(json.loads(json.dumps(view.to_dict()))) == view
    words = TextModality(tokenizer=Pieces()).view(IDS)
    assert View.from_dict(json.loads(json.dumps(words.to_dict()))) == words
    assert words.take([1]).words == words.words[1:]
    assert View.joined([words.take([0]), words.take([1])]) == words


def test_tuning_searches_what_was_made_for_the_data():
    known = TextModality(tokenizer=Pieces()).traits
    assert "words" in Lime.get_tunables(known)["feature_mask_fn"][1]["choices"]
    assert "words" not in Lime.get_tunables(TextModality().traits)["feature_mask_fn"][1]["choices"]
    trial = FixedTrial({
        "explainer.n_samples": 10, "explainer.baseline_fn.method": "pad", "explainer.feature_mask_fn.method": "words",
    })  # fmt: skip
    found = suggest(trial, Lime(lambda ids: ids.float(), baseline_fn=Token(token_id=2)), "explainer", known)  # type: ignore[arg-type]
    assert found.baseline_fn == Pad(token_id=0)
    assert found.feature_mask_fn(IDS).tolist() == [[0, 1, 1, 2], [0, 1, 2, 3]]
