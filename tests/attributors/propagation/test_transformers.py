"""Rules on transformers built from their configurations: complete and conserving, padded as alone, in any precision."""

from __future__ import annotations

import pytest
import torch

from pnpxai import explainers
from pnpxai.attributors import LRP, LayerDeepLift, LayerGradientXActivation
from tests.on_demand import OnDemand

transformers = OnDemand("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = dict(
    vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, pad_token_id=0,
    num_labels=3,
)  # fmt: skip
GROUPED = SIZES | {"num_key_value_heads": 2}
SPECIAL = {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
T5 = dict(vocab_size=60, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, pad_token_id=0)
MODELS = {
    "Llama": lambda t: t.LlamaForSequenceClassification(t.LlamaConfig(**GROUPED)),
    "Gemma2": lambda t: t.Gemma2ForSequenceClassification(t.Gemma2Config(**GROUPED, head_dim=8)),
    "Qwen2": lambda t: t.Qwen2ForSequenceClassification(t.Qwen2Config(**GROUPED)),
    "Phi": lambda t: t.PhiForSequenceClassification(t.PhiConfig(**SIZES)),
    "ModernBert": lambda t: t.ModernBertForSequenceClassification(
        t.ModernBertConfig(**SIZES, **SPECIAL, global_attn_every_n_layers=2, local_attention=4)
    ),
    "T5": lambda t: t.T5EncoderModel(t.T5Config(**T5)),
    "Bert": lambda t: t.BertForSequenceClassification(t.BertConfig(**SIZES)),
}


def made(name, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[name](transformers).to(dtype).eval()
        for p in model.parameters():
            p.data = torch.randn_like(p) / p.shape[-1] ** 0.5 if p.ndim > 1 else p.data
        ids = torch.randint(4, 60, (2, 8))
    target = (lambda o: o.last_hidden_state.mean(1)[:, 3]) if name == "T5" else [1, 1]
    return model, ids, target


@pytest.mark.parametrize("name", MODELS)
def test_differences_are_complete_without_parts_that_cancel(name):
    model, ids, target = made(name)
    explanation = explainers.DeepLift(model).explain(ids, target)
    # norms that compute in float32 whatever the model's precision set the limit; Gemma 2 has four of them in a layer
    limit = {"Gemma2": 2e-5, "Phi": 1e-12, "Bert": 1e-12}.get(name, 1e-6)
    assert explanation.gap.abs().max() < limit * explanation.scores.abs().max()
    assert explanation.attributions[0].abs().max() < 100 * explanation.scores.abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_relevance_is_conserved(name):
    model, ids, target = made(name)
    explanation = explainers.AttnLRP(model).explain(ids, target)
    assert explanation.gap.abs().max() < 1e-6 * explanation.scores.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_lower_precision_rounds_at_most_ten_times_as_much_as_a_gradient(name, dtype):
    off = {}
    for method in (LayerDeepLift, LayerGradientXActivation):
        maps = []
        for kind in (torch.float64, dtype):
            model, ids, target = made(name)
            model = model.to(dtype).to(kind)  # weights that both precisions have
            embedding = model.encoder.embed_tokens if name == "T5" else model.get_input_embeddings()
            maps.append(method(model, embedding).attribute(ids, target=target).double())
        off[method] = (maps[1] - maps[0]).abs().max() / maps[0].abs().max()
    assert off[LayerDeepLift] < 10 * off[LayerGradientXActivation]


@pytest.mark.parametrize("explainer", ["AttnLRP", "LRPUniformEpsilon", "DeepLift"])
def test_padding_on_the_left_changes_nothing(explainer):
    """A padded query may look at no key, and has no weights."""
    config = transformers.GPT2Config(
        vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config).double().eval()
        x = torch.randn(1, 5, 32, dtype=torch.float64)
    model.set_attn_implementation("sdpa")

    class AtEmbeddings(torch.nn.Module):
        def __init__(self, mask, positions):
            super().__init__()
            self.model, self.mask, self.positions = model, mask, positions

        def forward(self, x):
            return self.model(inputs_embeds=x, attention_mask=self.mask, position_ids=self.positions).logits[:, -1]

    places = torch.arange(5)[None]
    alone = AtEmbeddings(torch.ones(1, 5).long(), places)
    padded = AtEmbeddings(torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]]), (torch.arange(8)[None] - 3).clamp(min=0))
    right = getattr(explainers, explainer)(alone).attribute(x, [7])
    found = getattr(explainers, explainer)(padded).attribute(torch.cat([torch.zeros(1, 3, 32).double(), x], 1), [7])
    assert not found[:, :3].any()
    assert torch.allclose(found[:, 3:], right, atol=1e-6 * float(right.abs().max()))


def test_attention_in_one_step_has_the_relevance_of_its_parts():
    class Attending(torch.nn.Module):
        def __init__(self, fused, **options):
            super().__init__()
            self.fused, self.options = fused, options
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.layers = torch.nn.ModuleList(torch.nn.Linear(8, 8, bias=False) for _ in range(3)).double()

        def forward(self, x):
            q, k, v = (layer(x).unflatten(-1, (2, 4)).transpose(1, 2) for layer in self.layers)
            if self.fused:
                out = torch.nn.functional.scaled_dot_product_attention(q, k, v, **self.options)
            else:
                scores = q @ k.transpose(-2, -1) / 2
                if self.options.get("is_causal"):
                    scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf"))
                mask = self.options.get("attn_mask")
                if mask is not None:
                    scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
                out = scores.softmax(-1) @ v
            return out.mean((1, 2))

    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    masks = torch.rand(5, 5, generator=torch.Generator().manual_seed(2)) > 0.4
    masks |= torch.eye(5).bool()
    added = torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for options in ({}, {"is_causal": True}, {"attn_mask": masks}, {"attn_mask": added}):
        one, parts = (LRP(Attending(fused, **options)).relevance(x, 1) for fused in (True, False))
        assert torch.allclose(one.attributions, parts.attributions, atol=1e-7)
        assert torch.allclose(one.rest, parts.rest, atol=1e-7)
        assert torch.allclose(one.bias, parts.bias, atol=1e-7)
        assert one.gap.abs().max() < 1e-9
