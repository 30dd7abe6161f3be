"""Texts: what is explained of language models by default, padding told by the mask, new lines as they read."""

from __future__ import annotations

import pytest
import torch

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.modalities import TextModality
from tests.on_demand import OnDemand

transformers, tokenizers = OnDemand("transformers"), OnDemand("tokenizers")
WORDS = [
    "<pad>",
    "<mask>",
    "<eos>",
    "the",
    "cat",
    "##s",
    "sat",
    "dog",
    "##gy",
    "ran",
    *(f"w{k}" for k in range(10, 40)),
]
TEXTS = ["the cats sat", "the dog ran w12 w13"]
SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 64, "pad_token_id": 0, "initializer_range": 0.5, "bos_token_id": 2, "eos_token_id": 2,
}  # fmt: skip


def tokenizer(**names):
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: k for k, w in enumerate(WORDS)}, unk_token="<mask>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    names = {"unk_token": "<mask>", "mask_token": "<mask>", "pad_token": "<pad>", "eos_token": "<eos>"} | names
    given = {name: value for name, value in names.items() if value}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **given)


def bert(head, **more):
    torch.manual_seed(0)
    return getattr(transformers, f"BertFor{head}")(transformers.BertConfig(**SIZES, **more)).eval()


def llama():
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).eval()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", ["<pad>", None], ids=["pad", "no pad token"])
def test_the_next_token_is_explained_whatever_the_padding(side, pad):
    tok, model = tokenizer(pad_token=pad, padding_side=side), llama()
    explanation = pnpxai.auto_explain(model, TEXTS, tokenizer=tok).explain("FeatureAblation")
    for row, text in enumerate(TEXTS):
        ids = tok(text, return_tensors="pt").input_ids
        logits = model(input_ids=ids).logits[0, -1].detach()
        assert float(explanation.scores[row]) == pytest.approx(float(logits.max()), abs=1e-4)
    assert "the likeliest next token of each text" in str(pnpxai.auto_explain(model, TEXTS, tokenizer=tok))


def test_an_encoder_and_decoder_begins_its_answer():
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes, decoder_start_token_id=0)).eval()
    tok = tokenizer()
    explanation = pnpxai.auto_explain(model, TEXTS, tokenizer=tok).explain("FeatureAblation")
    ids = tok(TEXTS, return_tensors="pt", padding=True)
    logits = model(**{n: ids[n] for n in ("input_ids", "attention_mask")}, decoder_input_ids=torch.zeros(2, 1).long())
    torch.testing.assert_close(explanation.scores, logits.logits[:, -1].max(1).values.detach())
    assert explanation.attributions[0].shape[:2] == ids.input_ids.shape


def test_an_entity_is_the_surest_label_that_is_no_o():
    names = {0: "O", 1: "PER", 2: "LOC"}
    model, tok = bert("TokenClassification", id2label=names, label2id={v: k for k, v in names.items()}), tokenizer()
    explanation = pnpxai.auto_explain(model, TEXTS, tokenizer=tok).explain("FeatureAblation")
    for row, text in enumerate(TEXTS):
        logits = model(**dict(tok(text, return_tensors="pt"))).logits[0, :, 1:].detach()
        assert float(explanation.scores[row]) == pytest.approx(float(logits.max()), abs=1e-4)


def test_an_answer_is_its_start_and_end():
    model, tok = bert("QuestionAnswering"), tokenizer()
    explanation = pnpxai.auto_explain(model, TEXTS[1:], tokenizer=tok).explain("FeatureAblation")
    output = model(**dict(tok(TEXTS[1:], return_tensors="pt")))
    sums = (output.start_logits[0][:, None] + output.end_logits[0][None]).detach()
    best = max(float(sums[i, j]) for i in range(len(sums)) for j in range(i, len(sums)))
    assert float(explanation.scores[0]) == pytest.approx(best, abs=1e-4)


def test_a_word_under_the_mask():
    model, tok = bert("MaskedLM"), tokenizer()
    model.config.mask_token_id = tok.mask_token_id
    ids = torch.tensor([[3, 1, 6], [3, 7, 1]])
    explanation = pnpxai.auto_explain(model, {"input_ids": ids}, tokenizer=tok).explain("FeatureAblation")
    logits = model(input_ids=ids).logits.detach()
    torch.testing.assert_close(explanation.scores, torch.stack([logits[0, 1].max(), logits[1, 2].max()]))
    with pytest.raises(ArgumentError, match=r"target=\(position, token id\)"):
        pnpxai.auto_explain(model, {"input_ids": ids[:, :1]}, tokenizer=tok).explain("FeatureAblation")


def test_padding_is_told_by_the_mask_and_an_end_token_is_shown():
    tok = tokenizer(pad_token="<eos>")
    ids, mask = torch.tensor([[3, 4, 2, 2, 2], [3, 7, 9, 6, 2]]), torch.tensor([[1, 1, 1, 0, 0], [1] * 5])
    auto = pnpxai.auto_explain(llama(), {"input_ids": ids, "attention_mask": mask}, tokenizer=tok)
    words = [[word for word, _ in row if word] for row in auto.explain("FeatureAblation").views[0].words]
    assert words == [["the", "cat", "<eos>"], ["the", "dog", "ran", "sat", "<eos>"]]


class Spelled:
    """A tokenizer that spells ids as byte-level ones do."""

    tokens = ("<pad>", "Hi", "\u0120there", ".", "\u010a", "\u010a\u010a", "<0x0A>")
    all_special_ids, pad_token_id, mask_token_id, eos_token_id = (0,), 0, None, None

    def __len__(self):
        return len(self.tokens)

    def convert_ids_to_tokens(self, ids):
        return [self.tokens[i] for i in ids]


def test_new_lines_are_shown_and_break_lines():
    ids = torch.tensor([[1, 2, 3, 4, 1, 5, 2, 0, 0]])
    view = TextModality(tokenizer=Spelled()).view(ids)
    texts = [word for word, _ in view.words[0]]
    assert "".join(texts) == "Hithere.\u21b5Hi\u21b5\u21b5there"
    from pnpxai.explainers.results.explanation import Explanation

    explanation = Explanation("A", {}, (torch.rand(1, 9),), (ids,), None, torch.zeros(1), None, 0.1, views=(view,))
    lines = {text.get_text(): -text.get_position()[1] for text in explanation.plot().axes[0].texts}
    assert len(set(lines.values())) == 3
    assert "<br>" in explanation._repr_html_()


def test_words_by_name():
    tok, model = tokenizer(), bert("SequenceClassification")
    settings = {"feature_mask_fn": "words"}
    explanation = pnpxai.auto_explain(model, TEXTS[:1], tokenizer=tok, settings=settings).explain("FeatureAblation")
    values = explanation.attributions[0][0]
    assert values[1] == values[2]
    assert values[0] != values[1]


def test_a_classifier_that_reads_the_end_of_a_text_keeps_it():
    """Without that token it raises, so that no explainer could take it away."""
    torch.manual_seed(0)
    sizes = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in
             (("layers", 1), ("attention_heads", 2), ("ffn_dim", 24))}  # fmt: skip
    config = transformers.BartConfig(vocab_size=40, d_model=16, eos_token_id=2, pad_token_id=0, **sizes)
    model = transformers.BartForSequenceClassification(config).eval()
    ids = torch.tensor([[5, 6, 7, 8, 2], [9, 8, 7, 6, 2]])
    auto = pnpxai.auto_explain(model, {"input_ids": ids})
    for name in ("KernelShap", "FeatureAblation"):
        assert auto.explain(name).attributions[0][:, -1].tolist() == [0, 0]


def test_a_classifier_of_series_does_not_forecast():
    torch.manual_seed(0)
    size = {"context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 3, "num_targets": 3}
    config = transformers.PatchTSMixerConfig(d_model=8, num_layers=1, **size)
    model = transformers.PatchTSMixerForTimeSeriesClassification(config).eval()
    with pytest.raises(ArgumentError, match="pass a function as the target"):
        pnpxai.auto_explain(model, torch.randn(2, 32, 3)).explain("Gradient")
    auto = pnpxai.auto_explain(model, torch.randn(2, 32, 3), target=lambda output: output.prediction_outputs[:, 1])
    assert auto.explain("Gradient").attributions[0].any()
