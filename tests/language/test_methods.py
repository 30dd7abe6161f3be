"""Values of units: brute force, closed sums, agreement with the package's other entrances, held and counted tokens."""

from __future__ import annotations

import copy

import pytest
import torch

import pnpxai
from pnpxai.auto.generation.faithfulness import linear_datamodeling_score, sufficiency, top_k_drop
from pnpxai.auto.generation.methods.surrogate import ContextCite
from pnpxai.errors import ArgumentError
from tests.language.models import DECODERS, ENCODER_DECODERS, ids, model, tokenizer

ALL = [*DECODERS, *ENCODER_DECODERS]
CHAT = [{"role": "system", "content": "answer ."}, {"role": "user", "content": "the cat is red . what colour is it ?"}]


def auto(name="Llama", prompt="the cat is red .", response=" it is red", **settings):
    return pnpxai.AutoExplanationForGeneration(model(name), tokenizer(), prompt, response, **settings)


def log_p(made, prompt, response):
    """(response tokens,) in plain transformers."""
    with torch.no_grad():
        if made.config.is_encoder_decoder:
            begun = torch.cat([torch.tensor([made.config.decoder_start_token_id]), response[:-1]])
            logits = made(input_ids=prompt[None], decoder_input_ids=begun[None]).logits[0]
        else:
            logits = made(input_ids=torch.cat([prompt, response])[None]).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, response[:, None])[:, 0].double()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("method", ["GradientXInput", "AttnLRP", "IntegratedGradients"])
def test_gradient_methods_obey_their_laws_on_every_architecture(name, method):
    settings = {"most_steps": 128} if method == "IntegratedGradients" else {}
    found = auto(name, units="token").explain(method, **settings)
    assert found.values.shape == (3, 5)
    assert float(found.values.abs().max()) > 1e-4
    if method == "AttnLRP":
        total = found.values.sum(1) + found.held + found.sinks
        torch.testing.assert_close(total, found.scores, atol=1e-3, rtol=2e-3)
    if method == "IntegratedGradients":
        scale = torch.maximum(found.scores.abs(), (found.scores - found.base).abs())
        missed = bool((found.gap.abs() > 0.01 * scale).any())
        assert missed == bool(found.notes)


def test_leave_one_out_of_tokens_by_each_removal():
    prompt, response, made = ids("the cat is red ."), ids(" it is red"), model("Llama")
    whole = log_p(made, prompt, response)
    for removal in ("drop", "replace", "mask"):
        found = auto(units="token", removal=removal).explain("LeaveOneOut").values
        for k in range(5):
            if removal == "drop":
                left = log_p(made, torch.cat([prompt[:k], prompt[k + 1 :]]), response)
            else:
                gone = prompt.clone()
                gone[k] = tokenizer().mask_token_id
                left = log_p(made, gone, response)
                if removal == "mask":
                    mask = torch.ones(1, 8, dtype=torch.long)
                    mask[0, k] = 0
                    with torch.no_grad():
                        together = torch.cat([gone, response])[None]
                        places = torch.arange(8)[None]
                        logits = made(input_ids=together, attention_mask=mask, position_ids=places).logits[0, 4:-1]
                    left = logits.log_softmax(-1).gather(1, response[:, None])[:, 0].double()
            torch.testing.assert_close(found[:, k], whole - left, atol=2e-5, rtol=1e-4)


def test_earlier_units_of_the_response_count_where_asked():
    held = auto(units="token", removal="mask").explain("LeaveOneOut")
    counted = auto(units="token", prefix="count").explain("LeaveOneOut")
    torch.testing.assert_close(counted.values[:, :5], held.values, atol=1e-5, rtol=1e-4)
    later = counted.values[:, 5:]
    assert bool((later.triu() == 0).all())  # a token does not explain itself or those before it
    assert float(later.tril(-1).abs().max()) > 1e-3
    relevance = auto(units="token", prefix="count").explain("AttnLRP")
    assert float(relevance.values[:, 5:].triu().abs().max()) < 1e-9
    assert float(relevance.values[:, 5:].tril(-1).abs().max()) > 1e-4
    with pytest.raises(ArgumentError, match="cannot be dropped"):
        auto(units="token", prefix="count", removal="drop").explain("LeaveOneOut")


def test_a_contrast_is_the_difference_of_both_answers():
    both = [auto(response=r, response_units="response") for r in (" red", " blue")]
    contrast = auto(response=" red", against=" blue")
    for method in ("ShapleyValues", "LeaveOneOut", "GradientXInput", "AttnLRP"):
        one, other = (a.explain(method) for a in both)
        found = contrast.explain(method)
        torch.testing.assert_close(found.values, one.values - other.values, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found.scores, one.scores - other.scores, atol=1e-5, rtol=1e-4)
    with pytest.raises(ArgumentError, match="against: two responses are compared as wholes"):
        auto(response=" it is red", against=" blue", response_units="token").explain()


def test_coarser_units_of_the_response_are_sums_of_tokens():
    tokens, whole = (auto(response_units=kind).explain("ShapleyValues") for kind in ("token", "response"))
    torch.testing.assert_close(tokens.values.sum(0, keepdim=True), whole.values, atol=1e-6, rtol=1e-5)
    words, tokens = (auto(units=kind).explain("AttnLRP") for kind in ("word", "token"))
    torch.testing.assert_close(words.values, tokens.values)  # each word is a token of this tokenizer


def test_logits_and_probabilities_are_scores_too():
    prompt, response, made = ids("the cat is red ."), ids(" red"), model("Llama")
    with torch.no_grad():
        logits = made(input_ids=prompt[None]).logits[0, -1].double()
    for score, right in (("logit", logits[response]), ("probability", logits.softmax(-1)[response])):
        torch.testing.assert_close(
            auto(response=" red", score=score).explain("LeaveOneOut").scores, right, atol=1e-5, rtol=1e-4
        )


def test_special_tokens_and_marks_of_roles_are_held_unless_they_count():
    held, counted = auto(prompt=CHAT, units="token"), auto(prompt=CHAT, units="token", special="count")
    assert "<s>" not in held.explain("LeaveOneOut").units
    assert held.explain("LeaveOneOut").units[:2] == (" answer", " .")
    found = counted.explain("GradientXInput")
    assert len(found.units) == len(counted.prompts[0].ids)
    assert "<s>" in found.units
    relevance = held.explain("AttnLRP")
    total = relevance.values.sum(1) + relevance.held + relevance.sinks
    torch.testing.assert_close(total, relevance.scores, atol=1e-3, rtol=2e-3)


def test_the_sparse_surrogate_finds_planted_sources():
    """Where the logit of the answer is linear in a few sources, the fit has their weights and no others."""
    weights = torch.tensor([0.0, 3.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0])
    task = Planted(
        lambda present: torch.nn.functional.logsigmoid(present.double() @ weights.double() - 0.5)[:, None], 8
    )
    found = ContextCite(n_samples=128).values(task)
    torch.testing.assert_close(found.values[0], weights.double(), atol=0.1, rtol=0)
    assert not found.notes
    assert float(found.standard_error.max()) < 0.2


class Planted:
    """A task whose score is a given function of who is present."""

    def __init__(self, function, count):
        self.function, self.players, self.score, self.against, self.rows = (
            function,
            ("",) * count,
            "log_probability",
            None,
            0,
        )

    def scores(self, present):
        return self.function(present)


def test_measures_of_faithfulness_have_known_answers():
    weights = torch.tensor([4.0, 1.0, 0.0, 2.0]).double()
    task = Planted(lambda present: (present.double() @ weights)[:, None], 4)
    right, wrong = weights[None], -weights[None]
    assert float(top_k_drop(task, right, 1)) == 4.0
    assert float(top_k_drop(task, wrong, 1)) == 0.0
    assert float(sufficiency(task, right, 2)) == 1.0
    assert float(linear_datamodeling_score(task, right)) == pytest.approx(1.0)
    assert float(linear_datamodeling_score(task, wrong)) == pytest.approx(-1.0)


def test_all_methods_answer_and_controls_are_marked():
    made = auto(prompt=pnpxai.Sources("what is red ?", ["the cat is red", "the sea is blue", "a dog ran"]))
    assert made.recommended == "ShapleyValues"
    frame = made.compare(k=(1,), n_ablations=8)
    assert set(frame.method) == set(made.methods)
    assert not frame.attrs["refused"]
    assert set(frame.measure) == {"top-1 drop", "sufficiency of 1", "LDS"}
    drops = frame[frame.measure == "top-1 drop"].set_index("method").value
    assert drops["LeaveOneOut"] == drops.max()  # it is what that method ranks by


@pytest.mark.parametrize("name", ["Llama", "T5"])
def test_attention_is_what_the_model_itself_returns(name):
    found = auto(name, units="token").explain("Attention").values
    made, prompt, response = model(name, "eager"), ids("the cat is red ."), ids(" it is red")
    with torch.no_grad():
        if name == "T5":
            begun = torch.cat([torch.tensor([0]), response[:-1]])[None]
            maps = made(input_ids=prompt[None], decoder_input_ids=begun, output_attentions=True).cross_attentions
            right = torch.cat(maps, 1).mean((0, 1))
        else:
            maps = made(input_ids=torch.cat([prompt, response[:-1]])[None], output_attentions=True).attentions
            right = torch.cat(maps, 1).mean((0, 1))[-3:, :5]
    torch.testing.assert_close(found.float(), right, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["GradientXInput", "LeaveOneOut", "AttnLRP"])
def test_half_precision_weights_give_nearly_the_same_map_or_a_note(method):
    full = auto(units="token").explain(method)
    half = pnpxai.AutoExplanationForGeneration(
        copy.deepcopy(model("Llama")).bfloat16(), tokenizer(), "the cat is red .", " it is red", units="token"
    ).explain(method)
    torch.testing.assert_close(half.scores, full.scores, atol=0.1, rtol=0.05)
    if method == "AttnLRP":
        assert "model.float()" in half.notes[0]
    else:
        assert float(torch.corrcoef(torch.stack([full.of(), half.of()]))[0, 1]) > 0.97
