"""Scores of a response: the step-by-step oracle, padding on both sides, batches, attention implementations."""

from __future__ import annotations

import pytest
import torch

from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.attributors.language.seeds import gradients_of, relevances_of
from pnpxai.errors import ArgumentError
from tests.language.models import DECODERS, ENCODER_DECODERS, ids, model, tokenizer

ALL = [*DECODERS, *ENCODER_DECODERS]
PROMPTS = ["the cat is red . what colour", "the old dog", "the keeper of the tower saw a bird . where is it ?"]
RESPONSE = " is blue ."


def step_by_step(made, prompt, response):
    """The log-probability of each token, each from a pass of its own over what stands before it."""
    found = []
    with torch.no_grad():
        for k, token in enumerate(response):
            if made.config.is_encoder_decoder:
                begun = torch.cat([torch.tensor([made.config.decoder_start_token_id]), response[:k]])
                logits = made(input_ids=prompt[None], decoder_input_ids=begun[None]).logits[0, -1]
            else:
                logits = made(input_ids=torch.cat([prompt, response[:k]])[None]).logits[0, -1]
            found.append(logits.log_softmax(-1)[token])
    return torch.stack(found)


@pytest.mark.parametrize("name", ALL)
def test_scores_are_those_of_a_pass_for_each_token_alone_and_in_a_batch(name):
    made, response = model(name), ids(RESPONSE)
    prompts = [ids(p) for p in PROMPTS]
    right = torch.stack([step_by_step(made, p, response) for p in prompts])
    found = ResponseModel(made, response).scores(prompts)
    torch.testing.assert_close(found, right.double(), atol=2e-5, rtol=1e-5)
    assert right.std(0).min() > 1e-3  # the prompts matter
    for k, prompt in enumerate(prompts):
        torch.testing.assert_close(ResponseModel(made, response).scores([prompt])[0], found[k], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_padding_on_the_left_and_on_the_right_give_the_same(name):
    made, prompts = model(name), [ids(p) for p in PROMPTS]
    left, right = (ResponseModel(made, ids(RESPONSE), padding=side).scores(prompts) for side in ("left", "right"))
    torch.testing.assert_close(left, right, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in ALL if name != "Mamba"])
def test_eager_and_fused_attention_give_the_same_relevance(name):
    prompt, response = ids(PROMPTS[0]), ids(RESPONSE)
    found = []
    for attention in ("eager", "sdpa"):
        made = model(name, attention)
        reads = ResponseModel(made, response)
        found.append(relevances_of(made, reads.scores_at, reads.embeddings(prompt)[None], epsilon=1e-9).values)
    assert float((found[0] - found[1]).abs().max()) < 2e-3 * float(found[0].abs().max())


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_finite_differences_of_each_score(name):
    made, prompt = model(name), ids(PROMPTS[0])
    reads = ResponseModel(made, ids(RESPONSE))
    x = reads.embeddings(prompt)[None]
    found, scores = gradients_of(made, reads.scores_at, x)
    torch.testing.assert_close(scores[0].double(), reads.scores([prompt])[0], atol=2e-5, rtol=1e-5)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    h = 5e-3
    with torch.no_grad():
        slopes = (reads.scores_at(x + h * direction) - reads.scores_at(x - h * direction))[0] / (2 * h)
    torch.testing.assert_close(
        (found[:, 0] * direction).sum((1, 2)), slopes, atol=5e-3 * float(slopes.abs().max()), rtol=2e-2
    )


@pytest.mark.parametrize("name", ALL)
def test_relevance_of_every_score_is_conserved_and_is_that_of_a_pass_of_its_own(name):
    made, prompt = model(name), ids(PROMPTS[0])
    reads = ResponseModel(made, ids(RESPONSE))
    x = reads.embeddings(prompt)[None]
    found = relevances_of(made, reads.scores_at, x, epsilon=1e-9)
    torch.testing.assert_close(found.values.sum((1, 2)) + found.sinks, found.scores, atol=1e-3, rtol=1e-3)
    for k in range(len(found.scores)):
        alone = relevances_of(made, lambda at, k=k: reads.scores_at(at)[:, k : k + 1], x, epsilon=1e-9)
        assert float((alone.values[0] - found.values[k]).abs().max()) < 1e-4 * float(found.values[k].abs().max())


def test_a_model_without_embeddings_and_an_empty_prompt_are_refused():
    with pytest.raises(ArgumentError, match="model: expected a language model"):
        ResponseModel(torch.nn.Linear(2, 2), ids(RESPONSE)).scores([ids("the")])
    with pytest.raises(ArgumentError, match="nothing is left"):
        ResponseModel(model("Llama"), ids(RESPONSE)).scores([ids("")])
    assert torch.isfinite(ResponseModel(model("Llama"), ids(RESPONSE), start=2).scores([ids("")])).all()


def test_the_tokenizer_of_these_tests_gives_texts_back():
    assert tokenizer().decode(ids("the cat is red .")) == "the cat is red ."
