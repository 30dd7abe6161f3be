"""Small language models of many architectures, made from configurations, and a tokenizer with a chat template."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

WORDS = (
    "the a cat dog bird fish is was red blue green old sat ran on in of and keeper tower sea what colour where who "
    "answer question context : . , ? ! system user assistant it saw"
).split()
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }} : {{ m['content'] | trim }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant :{% endif %}"
)
SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL) + 2 * len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    "initializer_range": 0.4,
}  # fmt: skip
DECODERS = {
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128},
    "Llama": {"num_key_value_heads": 1},
    "Qwen2": {"num_key_value_heads": 1},
    "Qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "Mistral": {"num_key_value_heads": 1, "sliding_window": 64},
    "Mixtral": {"num_key_value_heads": 1, "num_local_experts": 2, "num_experts_per_tok": 1},
    "Gemma": {"num_key_value_heads": 1, "head_dim": 8},
    "Gemma2": {"num_key_value_heads": 1, "head_dim": 8},
    "Phi": {},
    "GPTNeoX": {},
    "Mamba": {"state_size": 4},
}
"""Decoders by the first part of their class, with what their configuration needs beside ``SIZES``."""
ENCODER_DECODERS = {
    "T5": {
        "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0,
        "initializer_factor": 1.0,
    },
    "Bart": {
        "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "decoder_start_token_id": 3,
        "init_std": 0.4,
    },
}  # fmt: skip


@functools.cache
def tokenizer() -> Any:
    """Words with the space before them as tokens of their own, as byte-level tokenizers have them."""
    transformers, tokenizers = pytest.importorskip("transformers"), pytest.importorskip("tokenizers")
    vocabulary = {w: k for k, w in enumerate([*SPECIAL, *WORDS, *(f"\u2581{w}" for w in WORDS)])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = tokenizers.normalizers.Replace(" ", "\u2581")
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex("\u2581?[a-z]+|\u2581?[:.,?!]|\n"), "isolated"
    )
    made.decoder = tokenizers.decoders.Sequence(
        [tokenizers.decoders.Replace("\u2581", " "), tokenizers.decoders.Fuse()]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        mask_token="<mask>", chat_template=CHAT,
    )  # fmt: skip


@functools.cache
def model(name: str, attention: str = "sdpa") -> Any:
    """Return a small model with random weights, the same for every attention; Gemma 2 has none that is fused."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    own = DECODERS.get(name) or ENCODER_DECODERS.get(name) or {}
    config = getattr(transformers, f"{name}Config")(**SIZES | own)
    kind = {"GPT2": "GPT2LMHeadModel"}.get(
        name, f"{name}For{'CausalLM' if name in DECODERS else 'ConditionalGeneration'}"
    )
    cls = getattr(transformers, kind)
    fused = attention == "sdpa" and name not in ("Mamba", "Gemma2")
    made = cls._from_config(config, attn_implementation="sdpa" if fused else "eager")
    made.generation_config.forced_bos_token_id = 2 if name == "Bart" else None
    return made.eval()


def ids(text: str) -> torch.Tensor:
    return torch.tensor(tokenizer()(text, add_special_tokens=False)["input_ids"])
