"""What of a prompt is a unit and what is held; removing a unit writes the prompt without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pnpxai
from pnpxai.auto.generation.prompts import read_prompt
from pnpxai.auto.generation.responses import read_response
from pnpxai.auto.generation.spans import _decoded_at_once, decoded_spans, sentences, words
from pnpxai.errors import ArgumentError
from pnpxai.pictures.prompt_response import PromptResponseView, prompt_response_html, prompt_response_text
from tests.language.models import SPECIAL, ids, tokenizer

tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")


def names(prompt):
    return [unit.name for unit in prompt.units]


def left(prompt, *absent):
    present = torch.tensor([k not in absent for k in range(len(prompt.units))])
    return tokenizer().decode(prompt.without(present))


@given(st.text(alphabet="ab. \n!?", max_size=40))
def test_words_and_sentences_cover_the_text_without_overlap(text):
    for spans in (words(text), sentences(text)):
        assert all(a < b for a, b in spans)
        assert all(b <= c for (_, b), (c, _) in zip(spans, spans[1:], strict=False))
        covered = "".join(text[a:b] for a, b in spans)
        assert covered.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def test_sentences_end_at_stops_and_lines_but_not_at_abbreviations():
    text = 'Mr. Smith paid 2.5 dollars. "Why?" she asked!\nA new line\n\nThe end'
    assert [text[a:b].strip() for a, b in sentences(text)] == [
        "Mr. Smith paid 2.5 dollars.", '"Why?"', "she asked!", "A new line", "The end"
    ]  # fmt: skip
    assert [("".join("ねこは赤い"[a:b])) for a, b in words("ねこは赤い")] == list("ねこは赤い")


def test_a_text_by_words_sentences_and_tokens():
    text = "the cat is red. a dog ran."
    assert names(read_prompt(text, tokenizer())) == ["the", "cat", "is", "red.", "a", "dog", "ran."]
    by_sentence = read_prompt(text, tokenizer(), "sentence")
    assert names(by_sentence) == ["the cat is red.", "a dog ran."]
    assert left(by_sentence, 1) == "the cat is red. ".rstrip() or left(by_sentence, 1).startswith("the cat is red.")
    by_token = read_prompt(text, tokenizer(), "token")
    assert names(by_token) == ["the", " cat", " is", " red", ".", " a", " dog", " ran", "."]
    assert left(by_token, 1, 3) == "the is. a dog ran."


def test_a_template_has_slots_with_what_stands_in_their_place():
    prompt = read_prompt(
        pnpxai.Template("the {who} is {what} .", {"who": "old cat", "what": "red"}, {"what": "blue"}), tokenizer()
    )
    assert (prompt.kind, names(prompt)) == ("slot", ["who", "what"])
    assert left(prompt, 1) == "the old cat is blue ."
    with pytest.raises(ArgumentError, match="values: nothing for the place 'what'"):
        read_prompt(pnpxai.Template("{what}", {"who": "cat"}), tokenizer())
    with pytest.raises(ArgumentError, match="the text has no place 'who'"):
        read_prompt(pnpxai.Template("a", {"who": "cat"}), tokenizer())


def test_sources_are_units_and_the_question_is_held():
    documents = {"x": "the cat is red .", "y": "the sea is blue ."}
    prompt = read_prompt(pnpxai.Sources("what is red ?", documents), tokenizer())
    assert (prompt.kind, names(prompt)) == ("source", ["x", "y"])
    assert "cat" not in left(prompt, 0)
    assert "sea" in left(prompt, 0)
    assert "what is red ?" in left(prompt, 0, 1)
    owner = prompt.owner.tolist()
    assert set(owner) == {-1, 0, 1}


def test_a_chat_holds_its_marks_and_its_contents_may_be_sources():
    chat = [
        {"role": "system", "content": " answer . "},
        {"role": "user", "content": pnpxai.Sources("what is red ?", ["the cat is red .", "the sea is blue ."])},
    ]
    prompt = read_prompt(chat, tokenizer())
    written = "Context:\nthe cat is red .\nthe sea is blue .\n\nQuestion: what is red ?\nAnswer:"
    messages = [chat[0], {"role": "user", "content": written}]
    assert prompt.text == tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert names(prompt) == ["source 1", "source 2"]
    said = [(turn.role, prompt.text[slice(*turn.span)]) for turn in prompt.turns]
    assert said == [("system", "answer ."), ("user", written)]
    by_turn = read_prompt(chat, tokenizer(), "turn")
    assert names(by_turn) == ["system 1", "user 2"]
    assert "answer ." not in left(by_turn, 0)
    assert "what is red ?" in left(by_turn, 0)
    assert left(by_turn, 0).startswith("<s>system :")
    by_word = read_prompt(chat[:1], tokenizer(), "word")
    assert names(by_word) == ["answer", "."]


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("a cat", {"units": "wrods"}, "units: no kind of unit 'wrods'; did you mean 'word'"),
        ("a cat", {"units": "source"}, "no unit of the kind 'source'"),
        ("", {}, "no unit of the kind 'word'"),
        ("a cat", {"special": "count"}, "special: only tokens"),
        ([{"rol": 1}], {}, "chat template leaves out|messages|text"),
        (3, {}, "prompts: expected a text"),
    ],
)
def test_wrong_prompts_are_refused(spec, settings, message):
    with pytest.raises(ArgumentError, match=message):
        read_prompt(spec, tokenizer(), **settings)


def test_a_response_by_tokens_words_sentences_and_as_a_whole():
    text = " it is red. a dog ran."
    for kind, right in {
        "token": [" it", " is", " red", ".", " a", " dog", " ran", "."],
        "word": ["it", "is", "red.", "a", "dog", "ran."],
        "sentence": ["it is red.", "a dog ran."], "response": ["it is red. a dog ran."],
    }.items():  # fmt: skip
        found = read_response(text, tokenizer(), kind)
        assert list(found.names) == right
        assert found.members.sum() == len(found.ids)
    ended = read_response(torch.cat([ids(" it"), torch.tensor([3])]), tokenizer())
    assert ended.names == (" it",)
    assert ended.owner.tolist() == [0, -1]
    with pytest.raises(ArgumentError, match="nothing but special tokens"):
        read_response(torch.tensor([3]), tokenizer())
    with pytest.raises(ArgumentError, match="have no text, so that there is no word"):
        read_response(torch.tensor([500]), tokenizer(), "word")
    with pytest.raises(ArgumentError, match="response_units: no kind of unit"):
        read_response(" it", tokenizer(), "words")


def by_bytes():
    """A tokenizer whose tokens are bytes, so that most characters beyond English take several."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: k for k, c in enumerate([*SPECIAL, *alphabet])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 2)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def test_characters_of_several_tokens_are_read_and_drawn_once():
    text = "Hi \U0001f680 n\u00e9 \u65e5\u672c\n" * 12
    found = torch.tensor(by_bytes()(text, add_special_tokens=False)["input_ids"])
    assert decoded_spans(by_bytes(), found) == _decoded_at_once(by_bytes(), found.tolist())
    shown = PromptResponseView(
        "\u00e9!", ((0, 1), (0, 1), (1, 2)), ("\u00e9", "\u00e9", "!"), (), "a", ((0, 1),), ("a",), np.ones((1, 3))
    )
    assert prompt_response_text(shown, np.ones(3)).plain.startswith("\u00e9!\n")
    assert prompt_response_html(shown).count("<span class='pnx-unit'") == 3


def test_a_begin_that_is_written_is_not_written_twice_and_is_held():
    made = by_bytes()
    plain, begun = read_prompt("a b", made), read_prompt("<s>a b", made)
    assert begun.ids.tolist() == plain.ids.tolist() == made("a b")["input_ids"]
    assert names(begun) == ["a", "b"]
    assert begun.without(torch.tensor([False, True])).tolist() == made(" b")["input_ids"]
