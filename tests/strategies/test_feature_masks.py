"""Every position belongs to one feature."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.declare.registry import every
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.feature_masks import FeatureMask, Grid, Patches, Positions, channel_axis, consecutive
from pnpxai.strategies.known_features import Columns, Given, Words
from pnpxai.traits import Traits

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)


@given(SHAPES)
def test_positions_are_numbered_one_by_one(shape):
    ids = Positions()(torch.zeros(2, *shape))
    assert ids.shape == (1, *shape)
    assert ids.flatten().tolist() == list(range(ids.numel()))


@given(SHAPES, st.integers(1, 5))
def test_patches_are_boxes_that_cover_everything(shape, size):
    ids = Patches(size=size)(torch.zeros(2, *shape))[0]
    assert ids.shape == shape
    expected = {}
    for where in torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, len(shape)).tolist():
        box = tuple(place // size for place in where)
        assert expected.setdefault(box, int(ids[tuple(where)])) == int(ids[tuple(where)])
    assert sorted(expected.values()) == list(range(len(expected)))


@given(st.integers(1, 40), st.integers(1, 12))
def test_a_grid_cuts_into_parts_of_about_one_size(side, cells):
    sizes = torch.bincount(Grid(cells=cells)(torch.zeros(1, side))[0])
    assert len(sizes) == min(side, cells)
    assert int(sizes.max() - sizes.min()) <= 1


def test_a_grid_of_a_picture():
    ids = Grid(cells=2)(torch.zeros(3, 5, 4, 3), 1)
    assert ids.tolist() == [[[0, 0, 1], [0, 0, 1], [2, 2, 3], [2, 2, 3]]]


@pytest.mark.parametrize("mask", [Positions(), Patches(), Grid()], ids=lambda m: m.name)
@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_channels_are_no_positions(mask, axis):
    values = torch.zeros(2, 6, 5, 7)
    assert torch.equal(mask(values, axis), mask(values.select(axis, 0)))


def test_the_axis_of_channels():
    assert channel_axis(torch.zeros(2, 3, 4), -1) == 2
    assert channel_axis(torch.zeros(2, 3), -1) is None  # ids and tables have none
    for wrong in (0, 3, -3):
        with pytest.raises(ArgumentError, match="channel_dim: expected an axis of inputs with 3 dimensions"):
            channel_axis(torch.zeros(2, 3, 4), wrong)


@given(st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=1, max_size=3))
def test_consecutive_ids_keep_the_groups(rows):
    ids = torch.tensor(rows)
    numbered = consecutive(ids)
    for before, after in zip(ids, numbered, strict=True):
        assert sorted(set(after.tolist())) == list(range(len(set(before.tolist()))))
        assert torch.equal(before[:, None] == before, after[:, None] == after)


def test_groups_of_columns():
    ids = Columns([[1, 3], (4,)])(torch.zeros(2, 6))
    assert ids.tolist() == [[0, 1, 2, 1, 3, 4]]


def test_words_of_a_vocabulary():
    words = Words(torch.tensor([False, False, True, False, True]))
    ids = torch.tensor([[0, 1, 2, 3, 4, 4, 0], [2, 2, 1, 1, 2, 3, 0]])
    # a text may begin within a word
    assert words(ids).tolist() == [[0, 1, 1, 2, 2, 2, 3], [0, 0, 1, 2, 2, 3, 4]]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["[CLS]", "play", "##ing", "un", "##play", "##able", "[SEP]"], [0, 1, 1, 2, 2, 2, 3]),
        (["<s>", "play", "ing", "\u0120un", "play", "able", "</s>"], [0, 1, 1, 2, 2, 2, 3]),
        (["<s>", "\u0120play", "ing", "\u0120un", "play", "able", "</s>"], [0, 1, 1, 2, 2, 2, 3]),
        (["<s>", "\u2581play", "ing", "\u2581un", "play", "able", "</s>"], [0, 1, 1, 2, 2, 2, 3]),
    ],
    ids=["WordPiece", "byte-level", "byte-level with a space before", "SentencePiece"],
)
def test_words_of_a_tokenizer(tokens, expected):
    class Tokenizer:
        all_special_ids = (0, len(tokens) - 1)

        def __len__(self):
            return len(tokens)

        def convert_ids_to_tokens(self, ids):
            return [tokens[k] for k in ids]

    assert Words.of(Tokenizer())(torch.arange(len(tokens))[None]).tolist() == [expected]


def test_words_of_a_real_tokenizer(tmp_path):
    from transformers import BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##s", "is", "fun"]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    encoding = tokenizer("playings is fun")
    ids = torch.tensor([encoding["input_ids"]])
    assert Words.of(tokenizer)(ids).tolist() == [[0, 1, 1, 1, 2, 3, 4]]
    by_encoding = Given.of_word_ids([encoding.word_ids()])
    same = Words.of(tokenizer)(ids)
    found = by_encoding(torch.zeros(1, 7, 16), -1)
    assert torch.equal(found[0][:, None] == found[0], same[0][:, None] == same[0])


def test_given_ids_are_numbered_for_each_example():
    ids = Given(torch.tensor([[7, 7, 2], [5, 5, 5]]))(torch.zeros(2, 3))
    assert ids.tolist() == [[1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: Columns(((0, 1), (1,))), ArgumentError, r"Columns: groups: expected every column once, from zero"),
        (
            lambda: Columns(((0, 7),))(torch.zeros(1, 4)),
            ArgumentError,
            "groups: expected columns below 4, got 7",
        ),
        (lambda: Words(torch.zeros(3)), ArgumentError, r"Words: continues: expected a truth value for each id"),
        (
            lambda: Words(torch.tensor([True]))(torch.zeros(1, 3, 4)),
            ArgumentError,
            r"Words: expected token ids \(examples, tokens\), got torch.float32 .*; at an embedding, take Given",
        ),
        (
            lambda: Words(torch.tensor([True]))(torch.tensor([[0, 4]])),
            ArgumentError,
            "expected ids below 1, got 4",
        ),
        (lambda: Given(torch.zeros(2, 3)), ArgumentError, "Given: ids: expected whole numbers"),
        (
            lambda: Given(torch.zeros(2, 3).long())(torch.zeros(3, 3)),
            ShapeError,
            r"Given: ids: expected shape \(1 or 3, 3\), got \(2, 3\)",
        ),
        (
            lambda: Given.of_word_ids([[0], [0, 1]]),
            ArgumentError,
            "word_ids: expected texts of one length",
        ),
    ],
)
def test_what_does_not_fit_is_refused(made, error, message):
    with pytest.raises(error, match=message):
        made()


@pytest.mark.parametrize(
    ("traits", "suitable"),
    [
        (Traits.image(), {"auto", "felzenszwalb", "grid", "patches", "quickshift", "slic", "watershed"}),
        (Traits.series(), {"auto", "grid", "patches", "positions"}),
        (Traits.table(), {"auto", "positions"}),
        (Traits.text(), {"auto", "positions"}),
    ],
    ids=lambda v: getattr(v, "modality", ""),
)
def test_what_suits_which_data(traits, suitable):
    found = {m.name for m in every(FeatureMask, within="pnpxai.") if m.suits(traits)}
    assert found - {"columns", "words", "given", "each"} == suitable
