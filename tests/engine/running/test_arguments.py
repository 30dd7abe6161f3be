"""What a user passes as inputs, as the model's arguments."""

from __future__ import annotations

import pytest
import torch

from pnpxai.engine.running.arguments import Arguments
from pnpxai.errors import ArgumentError

X, Y, IDS = torch.ones(2, 3), torch.zeros(2, 3), torch.tensor([[1], [2]])


def _model(x, y=None, scale=1.0):
    return (x if y is None else x + 2 * y) * scale


def test_a_tensor_or_a_tuple_is_explained_whole():
    assert Arguments.read(X).explained == (X,)
    assert Arguments.read((X, Y)).explained == (X, Y)


def test_extractors_take_arguments_out_of_anything():
    batch = {"picture": X, "more": Y}
    read = Arguments.read(batch, lambda b: b["picture"], lambda b: b["more"])
    assert read == Arguments((X,), (Y,))
    assert Arguments.read(batch, lambda b: b["picture"], lambda b: (b["more"], 2.0)).extra == (Y, 2.0)


def test_of_a_mapping_the_numbers_are_explained():
    read = Arguments.read({"x": X, "ids": IDS, "flag": True, "y": Y})
    assert read.names == ("x", "y")
    assert read.explained == (X, Y)
    assert read.keywords == {"ids": IDS, "flag": True}
    assert Arguments.read({"ids": IDS, "mask": IDS}).names == ("ids",)


def test_of_a_mapping_of_ids_the_models_first_argument_is_explained():
    def model(words, types=None, mask=None):
        return words

    batch = {"mask": IDS, "types": IDS, "words": IDS}
    assert Arguments.read(batch, model=model).names == ("words",)
    assert Arguments.read(batch | {"mask": X}, model=model).names == ("words",)
    assert Arguments.read({"mask": IDS}, model=model).names == ("mask",)
    assert Arguments.read(batch, lambda b: b, model=model).names == ("words",)


def test_what_an_extractor_takes_out_of_a_mapping_is_explained_ids_too():
    batch = {"picture": X, "words": IDS, "mask": IDS, "labels": IDS}
    assert Arguments.read(batch).names == ("picture",)
    read = Arguments.read(batch, lambda b: {n: b[n] for n in ("picture", "words", "mask")})
    assert read.names == ("picture", "words")
    assert read.keywords == {"mask": IDS}


@pytest.mark.parametrize("inputs", [(X, Y), {"x": X, "y": Y}])
def test_call_and_score_mean_the_same(inputs):
    read = Arguments.read(inputs)
    called = _model(*read.call().args, **read.call().kwargs)
    scored = read.score(_model, 1)(read.explained)
    assert torch.equal(called[:, 1], scored)


def test_a_score_by_keyword_takes_other_values():
    read = Arguments.read({"x": X, "scale": 3.0})
    assert read.score(_model, 0)((X * 2,)).tolist() == [6, 6]


def test_by_position_is_the_same_call():
    read = Arguments.read({"y": Y + 1, "x": X, "scale": 3.0})
    forward, arguments = read.by_position(_model)
    assert torch.equal(forward(*arguments.call().args), _model(X, Y + 1, 3.0))
    assert arguments.explained == read.explained
    assert Arguments.read(X).by_position(_model) == (_model, Arguments.read(X))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (({"flag": 1},), r"inputs: expected a mapping with tensors, got \['flag'\]"),
        ((X, None, lambda b: {"y": Y}), "a mapping goes with inputs that are a mapping; give a tuple"),
        (("text",), "inputs: expected a tensor"),
    ],
)
def test_what_cannot_be_read_is_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        Arguments.read(*given)
