"""Token ids are explained at the embedding that reads them, whatever else the model has and is given."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.declare.registry import every
from pnpxai.detector import detect
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.gradient_shap import GradientShap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.strategies.baselines import EachBaseline, Mean
from pnpxai.strategies.token_baselines import Token
from pnpxai.tensors import as_tuple
from pnpxai.testing import results
from pnpxai.testing.contracts import EXPLAINER_CHECKS
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES
from pnpxai.traits import Traits

TOKENS = CASES["tokens"]()
AT_IDS = [
    e
    for e in every(Explainer, within="pnpxai.")
    if e.needs_gradient and e.layer_is_site and e.reason_against(detect(TOKENS.model), TOKENS.traits) is None
]


@cache
def bert():
    from transformers import BertConfig, BertForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20, num_labels=3,
            initializer_range=0.5,
        )  # fmt: skip
        return BertForSequenceClassification(config).eval().double()


@cache
def gpt2():
    from transformers import GPT2Config, GPT2ForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(
            n_embd=8, n_layer=1, n_head=2, vocab_size=20, n_positions=8, num_labels=3, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, initializer_range=0.5,
        )  # fmt: skip
        return GPT2ForSequenceClassification(config).eval().double()


IDS = torch.tensor([[5, 1, 7, 0], [4, 9, 3, 2]])
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
BERT_WORDS, GPT2_WORDS = "bert.embeddings.word_embeddings", "transformer.wte"


@pytest.mark.parametrize("explainer", AT_IDS, ids=lambda e: e.__name__)
def test_without_a_layer_it_is_the_embedding(explainer):
    found = explainer(TOKENS.model).attribute(TOKENS.inputs, TOKENS.targets)
    at_layer = explainer(TOKENS.model, layer="embedding").attribute(TOKENS.inputs, TOKENS.targets)
    assert found.shape == (3, 7, 5)
    assert torch.equal(found, at_layer)
    with counted(TOKENS.model) as counter:
        explainer(TOKENS.model).attribute(TOKENS.inputs, TOKENS.targets)
    assert explainer(TOKENS.model).cost(TOKENS.inputs) == counter.rows


def _laws():
    unsaid = (results.check_form,)  # it goes by the inputs, and maps are the embedding's
    return [check for check in EXPLAINER_CHECKS if check not in unsaid]


@pytest.mark.parametrize("check", _laws(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("explainer", [Gradient, IntegratedGradients, GradientShap], ids=lambda e: e.__name__)
def test_every_contract_holds_without_a_layer(explainer, check):
    case = replace(TOKENS, layer=None)
    check(Subject.of_explainer(explainer, case), case)


@pytest.mark.parametrize(
    "inputs",
    [
        {"input_ids": IDS, "attention_mask": MASK},
        {"attention_mask": MASK, "input_ids": IDS},
        {"token_type_ids": torch.zeros_like(IDS), "input_ids": IDS, "attention_mask": MASK},
        {"labels": torch.tensor([0, 1]), "input_ids": IDS, "attention_mask": MASK},
        {"input_ids": IDS, "attention_mask": MASK.double()},
        {"input_ids": IDS.int(), "attention_mask": MASK},
        (IDS, MASK),
    ],
    ids=["usual", "mask first", "types first", "labels", "mask of numbers", "int32", "by position"],
)
@pytest.mark.parametrize(("model", "words"), [(bert, BERT_WORDS), (gpt2, GPT2_WORDS)], ids=["bert", "gpt2"])
def test_what_a_tokenizer_gives_is_explained_at_the_words(model, words, inputs):
    if model is gpt2 and "token_type_ids" in inputs:
        pytest.skip("it embeds types as words, so its embedding runs twice")
    if model is gpt2 and isinstance(inputs, tuple):
        inputs = (IDS, None, MASK)  # its second argument is a cache
        made = GradientXInput(gpt2(), lambda given: given[0], lambda given: given[1:])
    else:
        made = GradientXInput(model())
    usual = {"input_ids": IDS, "attention_mask": MASK}
    expected = GradientXInput(model(), layer=words).attribute(usual, [1, 2])
    assert torch.allclose(made.attribute(inputs, [1, 2]), expected, atol=1e-12)
    explained = made.explain(inputs, [1, 2])
    assert torch.equal(explained.inputs[0], IDS)
    assert len(explained.inputs) == len(explained.attributions) == 1


def test_a_batch_encoding_is_a_mapping():
    from transformers import BatchEncoding

    encoded = BatchEncoding({"input_ids": IDS, "attention_mask": MASK})
    found = IntegratedGradients(bert()).attribute(encoded, 1)
    assert torch.equal(found, IntegratedGradients(bert()).attribute({"input_ids": IDS, "attention_mask": MASK}, 1))
    assert found[0, 3].abs().max() < found[0, :3].abs().max()


@pytest.mark.parametrize(("model", "words"), [(bert, BERT_WORDS), (gpt2, GPT2_WORDS)], ids=["bert", "gpt2"])
def test_ids_that_equal_their_positions_are_still_words(model, words):
    ids = torch.arange(4)[None]
    found = Gradient(model()).attribute(ids, 1)
    assert torch.equal(found, Gradient(model(), layer=words).attribute(ids, 1))


def test_an_explainer_that_perturbs_takes_the_ids_alone_too():
    usual = {"input_ids": IDS, "attention_mask": MASK}
    found = Occlusion(bert(), window=1, stride=1).attribute(usual, 1)
    assert found.shape == IDS.shape
    turned = {"attention_mask": MASK, "input_ids": IDS}
    assert torch.equal(Occlusion(bert(), window=1, stride=1).attribute(turned, 1), found)


class PictureAndWords(nn.Module):
    """A picture and words."""

    def __init__(self):
        super().__init__()
        self.conv, self.words, self.head = nn.Conv2d(1, 2, 3), nn.Embedding(9, 3), nn.Linear(2 * 16 + 3, 4)

    def forward(self, image, ids, mask=None):
        seen = torch.relu(self.conv(image)).flatten(1)
        said = self.words(ids) if mask is None else self.words(ids) * mask.unsqueeze(-1)
        return self.head(torch.cat([seen, torch.tanh(said.sum(1))], 1))


@pytest.mark.parametrize("explainer", [Gradient, IntegratedGradients, GradientShap], ids=lambda e: e.__name__)
def test_a_picture_and_words(explainer):
    model, image, ids = PictureAndWords(), torch.rand(2, 1, 6, 6), torch.tensor([[1, 2, 3], [4, 5, 6]])
    found = explainer(model).attribute((image, ids), 1)
    expected = explainer(model, layer=["image", "words"]).attribute((image, ids), 1)
    assert [a.shape for a in found] == [(2, 1, 6, 6), (2, 3, 3)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    with_mask = explainer(model).attribute((image, ids, torch.ones(2, 3, dtype=torch.long)), 1)
    assert all(torch.allclose(a, b) for a, b in zip(with_mask, found, strict=True))
    assert len(explainer(model).explain((image, ids, torch.ones(2, 3, dtype=torch.long)), 1).inputs) == 2


def test_a_picture_and_words_by_keyword():
    model, image, ids = PictureAndWords(), torch.rand(2, 1, 6, 6), torch.tensor([[1, 2, 3], [4, 5, 6]])
    batch = {"ids": ids, "mask": torch.ones(2, 3, dtype=torch.long), "image": image, "labels": torch.zeros(2).long()}
    made = IntegratedGradients(model, forward_arg_extractor=lambda b: {n: b[n] for n in ("image", "ids", "mask")})
    found = made.attribute(batch, 1)
    expected = IntegratedGradients(model).attribute((image, ids), 1)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


class Words(nn.Module):
    """What may happen to ids."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.words, self.other, self.head = nn.Embedding(9, 3), nn.Embedding(9, 3), nn.Linear(3, 2)

    def forward(self, ids):
        return self.head(self.how(self, ids).reshape(len(ids), -1, 3).sum(1))


@pytest.mark.parametrize(
    "how",
    [
        lambda m, ids: m.words(ids.clamp(min=0)),
        lambda m, ids: m.words(ids.t()).transpose(0, 1),
        lambda m, ids: m.words(ids.reshape(-1)),
        lambda m, ids: m.words(input=ids),
        lambda m, ids: m.words(ids[:, 1:]),
        lambda m, ids: m.words(ids) + m.other(torch.arange(ids.shape[1])),
    ],
    ids=["copied", "transposed", "flat", "by keyword", "a part", "with positions"],
)
def test_whatever_happens_to_ids_on_their_way(how):
    model, ids = Words(how), torch.tensor([[1, 2, 3]])
    found = Gradient(model).attribute(ids, 1)
    assert torch.equal(found, Gradient(model, layer="words").attribute(ids, 1))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Words(lambda m, ids: m.words(ids) + m.other(ids)),
            "the embeddings 'words', 'other' read the same ids; give layer=, one or several of them",
        ),
        (Words(lambda m, ids: F.embedding(ids, m.words.weight)), "which no embedding of the model reads; give layer="),
        (Words(lambda m, ids: m.words(ids // 2)), "which no embedding of the model reads; give layer="),
        (
            Words(lambda m, ids: m.words(ids) + m.words(ids)),
            "'words' of these ids runs 2 times in a forward pass; give layer=",
        ),
        (nn.Linear(3, 2), "got torch.int64, which no embedding of the model reads; give layer="),
        (lambda ids: ids.float(), "got torch.int64, which no embedding of the model reads; give layer="),
    ],
    ids=["two", "a function", "other ids", "twice", "none", "no module"],
)
def test_what_cannot_be_told_is_refused(model, message):
    with pytest.raises(ArgumentError, match=message):
        Gradient(model).attribute(torch.tensor([[1, 2, 3]]), 1)


def test_several_embeddings_of_the_same_ids_can_be_named():
    model, ids = Words(lambda m, ids: m.words(ids) + m.other(ids)), torch.tensor([[1, 2, 3]])
    found = Gradient(model, layer=["words", "other"]).attribute(ids, 1)
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("layer", [None, BERT_WORDS], ids=["found", "given"])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_baseline_of_ids_is_what_they_are_at_the_embedding(layer, by_name):
    inputs = {"input_ids": IDS, "attention_mask": MASK} if by_name else IDS
    made = IntegratedGradients(bert(), n_steps=300, baseline_fn=Token(token_id=3), layer=layer)
    explained = made.explain(inputs, 2)
    with torch.no_grad():
        masked = inputs | {"input_ids": torch.full_like(IDS, 3)} if by_name else torch.full_like(IDS, 3)
        ends = [(bert()(**i) if by_name else bert()(i)).logits[:, 2] for i in (inputs, masked)]
    total = explained.attributions[0].flatten(1).sum(1)
    assert torch.allclose(total, ends[0] - ends[1], atol=1e-3)
    assert (ends[0] - ends[1]).abs().min() > 1e-2
    assert explained.settings["baseline_fn"] == {"type": "Token", "token_id": 3}


def test_baselines_of_ids_and_of_their_embeddings_are_searched():
    def choices(explainer):
        return set(explainer.get_tunables(Traits.text())["baseline_fn"][1]["choices"])

    assert choices(IntegratedGradients) == {"zeros", "mean", "mean_embedding", "token", "pad"}
    assert choices(Occlusion) == {"token", "pad"}
    for name in sorted(choices(IntegratedGradients)):
        made = IntegratedGradients(TOKENS.model, n_steps=60, baseline_fn=name)
        assert made.explain(TOKENS.inputs, TOKENS.targets).gap.abs().max() < 0.02


@pytest.mark.parametrize("explainer", [e for e in AT_IDS if "baseline_fn" in e._fields], ids=lambda e: e.__name__)
def test_every_baseline_may_be_of_ids(explainer):
    weight = TOKENS.model.embedding.weight.detach()
    made = explainer(TOKENS.model, baseline_fn="token")
    found = made.attribute(TOKENS.inputs, TOKENS.targets)
    start = weight[0]

    class Start(nn.Module):
        """The model, with its embedding moved so that the baseline is zero."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding.from_pretrained(weight - weight[0])
            self.inner = TOKENS.model

        def forward(self, ids):
            states, _ = self.inner.lstm(self.embedding(ids) + start)
            return self.inner.head(states[:, -1])

    if explainer is not GradientShap:  # whose noise goes by the range of values
        expected = explainer(Start()).attribute(TOKENS.inputs, TOKENS.targets)
        assert torch.allclose(found, expected, atol=1e-10)
    with counted(TOKENS.model) as counter:
        made.attribute(TOKENS.inputs, TOKENS.targets)
    assert made.cost(TOKENS.inputs) == counter.rows
    assert as_tuple(found)[0].abs().max() > 0


class Columns(nn.Module):
    """Numbers, and codes with an embedding for each column."""

    def __init__(self, read=lambda codes, k: codes[:, k]):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.columns = nn.ModuleList([nn.Embedding(5, 4), nn.Embedding(3, 2)])
            self.head = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 2))
        self.read = read

    def forward(self, numbers, codes):
        parts = [embedding(self.read(codes, k)).flatten(1) for k, embedding in enumerate(self.columns)]
        return self.head(torch.cat([numbers, *parts[::-1]], 1))


NUMBERS = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.3, -0.2], [0.1, 0.2, 0.3]])
CODES = torch.tensor([[4, 2], [1, 2], [0, 1]])


@pytest.mark.parametrize("read", [lambda c, k: c[:, k], lambda c, k: c[:, k : k + 1], lambda c, k: c.unbind(1)[k]])
def test_an_embedding_for_each_column_gives_a_number_for_each(read):
    model = Columns(read)
    found = GradientXInput(model).attribute((NUMBERS, CODES), 1)
    parts = [NUMBERS, *(e(CODES[:, k]).detach() for k, e in enumerate(model.columns))]
    leaves = [part.clone().requires_grad_() for part in parts]
    gradients = torch.autograd.grad(model.head(torch.cat([leaves[0], leaves[2], leaves[1]], 1))[:, 1].sum(), leaves)
    numbers, *codes = (g * part for g, part in zip(gradients, parts, strict=True))
    assert torch.allclose(found[0], numbers, atol=1e-6)
    assert torch.allclose(found[1], torch.stack([part.sum(1) for part in codes], 1), atol=1e-6)


@pytest.mark.parametrize(
    ("baseline", "numbers", "code"),
    [
        ("zeros", torch.zeros(3, 3), 0),
        (EachBaseline(strategies=(Mean(), Token(token_id=2))), NUMBERS.mean(1, keepdim=True).expand(3, 3), 2),
    ],
    ids=["zeros", "each"],
)
def test_columns_of_codes_start_from_codes(baseline, numbers, code):
    model = Columns()
    made = IntegratedGradients(model, baseline_fn=baseline, n_steps=100)
    explained = made.explain((NUMBERS, CODES), 0)
    with torch.no_grad():
        differ = model(NUMBERS, CODES)[:, 0] - model(numbers, torch.full_like(CODES, code))[:, 0]
    assert torch.allclose(sum(a.sum(1) for a in explained.attributions), differ, atol=1e-4)
    assert (explained.attributions[1][CODES == code] == 0).all()
    with counted(model) as counter:
        made.attribute((NUMBERS, CODES), 0)
    assert made.cost((NUMBERS, CODES)) == counter.rows


def test_baselines_of_numbers_may_be_given_for_columns_of_codes():
    both = EachBaseline(strategies=(Mean(), Mean()))
    found = IntegratedGradients(Columns(), baseline_fn=both).attribute((NUMBERS, CODES), 0)
    alike = IntegratedGradients(Columns(), baseline_fn=Mean()).attribute((NUMBERS, CODES), 0)
    assert all(torch.equal(a, b) for a, b in zip(found, alike, strict=True))


@pytest.mark.parametrize("read", [lambda c, k: c, lambda c, k: c[:, 0]], ids=["all columns", "the same column"])
def test_embeddings_that_share_columns_are_refused(read):
    model = Columns(read)
    model.head = nn.LazyLinear(2)
    model(NUMBERS, CODES % 3)
    with pytest.raises(ArgumentError, match=r"'columns.0', 'columns.1' read the same ids"):
        GradientXInput(model).attribute((NUMBERS, CODES % 3), 0)
