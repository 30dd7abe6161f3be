"""Every architecture against independent ways; models and prompts that are refused."""

from __future__ import annotations

import pytest
import torch

from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.errors import ArgumentError
from tests.language.checks import CHECKS, RESPONSE, Check
from tests.language.models import DECODERS, ENCODER_DECODERS, MEDIA, ids, model, tokenizer


@pytest.mark.parametrize("name", [*DECODERS, *ENCODER_DECODERS, *MEDIA])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.title)
def test_an_architecture_agrees_with_an_independent_way(name: str, check: Check):
    figure = check.figure(name)
    if figure is None:
        pytest.skip("has no meaning here")
    assert figure < check.limit


def test_a_model_without_embeddings_and_an_empty_prompt_are_refused():
    with pytest.raises(ArgumentError, match="model: expected a language model"):
        ResponseModel(torch.nn.Linear(2, 2), ids(RESPONSE)).scores([ids("the")])
    with pytest.raises(ArgumentError, match="nothing is left"):
        ResponseModel(model("Llama"), ids(RESPONSE)).scores([ids("")])
    assert torch.isfinite(ResponseModel(model("Llama"), ids(RESPONSE), start=2).scores([ids("")])).all()


def test_the_tokenizer_of_these_tests_gives_texts_back():
    assert tokenizer().decode(ids("the cat is red .")) == "the cat is red ."
