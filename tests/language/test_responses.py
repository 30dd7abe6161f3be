"""Every architecture against independent ways; models and prompts that are refused."""

from __future__ import annotations

import copy

import pytest
import torch

from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.auto.generation import AutoExplanationForGeneration
from pnpxai.errors import ArgumentError
from tests.language.checks import CHECKS, RESPONSE, Check
from tests.language.models import DECODERS, ENCODER_DECODERS, MEDIA, SIZES, ids, model, tokenizer

transformers = pytest.importorskip("transformers")


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


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("BertForMaskedLM", "does not write from left to right"),
        ("BertLMHeadModel", "does not write from left to right"),
        ("LlamaForSequenceClassification", r"expected logits \(rows, tokens, vocabulary\)"),
    ],
)
def test_models_that_do_not_write_are_refused(kind: str, message: str):
    torch.manual_seed(0)
    config = {"Bert": transformers.BertConfig, "Llam": transformers.LlamaConfig}[kind[:4]](**SIZES)
    with pytest.raises(ArgumentError, match=message):
        AutoExplanationForGeneration(getattr(transformers, kind)(config), tokenizer(), "the cat", " is red").explain()


def test_ids_beyond_the_vocabulary_and_quantised_layers_are_refused():
    made = model("Llama")
    with pytest.raises(ArgumentError, match="expected ids below 81"):
        ResponseModel(made, torch.tensor([5, 9999])).scores([ids("the")])
    quantised = copy.deepcopy(made)
    quantised.model.layers[0].mlp.up_proj.__class__ = type("Quantised", (torch.nn.Linear,), {"__module__": "quantized"})
    auto = AutoExplanationForGeneration(quantised, tokenizer(), "the cat", " is red")
    for method in ("GradientXInput", "IntegratedGradients"):
        with pytest.raises(ArgumentError, match="are quantised, and gradients do not pass"):
            auto.explain(method)
