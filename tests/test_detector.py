"""Facts about models are found, not listed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.detector import detect
from pnpxai.testing.zoo import CASES


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mlp", {"linear"}),
        ("cnn", {"convolution", "linear"}),
        ("skip_cnn", {"convolution", "linear", "normalization"}),
        ("tokens", {"embedding", "recurrent", "linear"}),
        ("vit", {"convolution", "attention", "linear", "normalization"}),
    ],
)
def test_parts_are_found(name, parts):
    facts = detect(CASES[name]().model)
    assert facts.parts == parts
    assert facts.is_module
    assert facts.has("linear")


def test_attention_of_other_libraries_goes_by_its_name():
    from transformers import BertConfig, BertModel

    small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    assert {"attention", "embedding"} <= detect(BertModel(small)).parts


def test_nothing_can_be_said_of_a_function():
    facts = detect(torch.relu)
    assert facts.parts == frozenset()
    assert not facts.is_module


def test_a_method_of_a_module_shows_the_module():
    assert detect(nn.Sequential(nn.Conv2d(1, 1, 1)).forward).has("convolution")


def test_a_compiled_model_is_seen_as_it_was_written():
    model = CASES["cnn"]().model
    assert detect(torch.compile(model, backend="eager")) == detect(model)
