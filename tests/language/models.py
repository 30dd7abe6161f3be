"""Small language models of many architectures, made from configurations, and a tokenizer with a chat template."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.auto.generation import AutoExplanationForGeneration
from pnpxai.auto.generation.processed_prompts import Processed
from pnpxai.auto.generation.prompts import read_prompt

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
    "Gemma3": {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 6},
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
    if name in MEDIA:
        return _with_media(transformers, name, attention)
    own = DECODERS.get(name) or ENCODER_DECODERS.get(name) or {}
    config = getattr(transformers, {"Gemma3": "Gemma3TextConfig"}.get(name, f"{name}Config"))(**SIZES | own)
    kind = {"GPT2": "GPT2LMHeadModel"}.get(
        name, f"{name}For{'CausalLM' if name in DECODERS else 'ConditionalGeneration'}"
    )
    cls = getattr(transformers, kind)
    made = cls._from_config(config, attn_implementation=attention if name not in UNFUSED else "eager")
    made.generation_config.forced_bos_token_id = 2 if name == "Bart" else None
    return made.eval()


UNFUSED = ("Mamba", "Gemma2")
PLACEHOLDER = SPECIAL.index("<mask>")
"""The id that stands in a prompt for a token's worth of a picture."""
MEDIA = ("Llava", "Qwen2VL", "Gemma3 with pictures", "Whisper", "VisionEncoderDecoder")
"""Architectures that read pictures or sound."""


def _with_media(transformers: Any, name: str, attention: str) -> Any:
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8,
        "patch_size": 4, "initializer_range": 0.4,
    }  # fmt: skip
    text = SIZES | {"num_key_value_heads": 1, "head_dim": 8}
    ends = {k: v for k, v in SIZES.items() if k in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")}
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in
             (("layers", 1), ("attention_heads", 2), ("ffn_dim", 24))}  # fmt: skip
    if name == "Llava":
        config = transformers.LlavaConfig(
            vision_config=transformers.CLIPVisionConfig(**vision), text_config=transformers.LlamaConfig(**text),
            image_token_id=PLACEHOLDER, vision_feature_layer=-1,
        )  # fmt: skip
    elif name == "Qwen2VL":
        rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
        config = transformers.Qwen2VLConfig(
            text_config=text | {"rope_parameters": rope}, image_token_id=PLACEHOLDER, video_token_id=1,
            vision_config={"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2,
                           "patch_size": 2, "temporal_patch_size": 1, "initializer_range": 0.4},
        )  # fmt: skip
    elif name == "Gemma3 with pictures":
        config = transformers.Gemma3Config(
            text_config=text | {"sliding_window": 6}, vision_config=vision, mm_tokens_per_image=4,
            image_token_id=PLACEHOLDER, boi_token_index=1, eoi_token_index=1,
        )  # fmt: skip
    elif name == "Whisper":
        config = transformers.WhisperConfig(
            **ends, **sides, d_model=16, num_mel_bins=4, max_source_positions=8, max_target_positions=64, init_std=0.4,
            decoder_start_token_id=2, begin_suppress_tokens=None,
        )  # fmt: skip
    else:
        decoder = transformers.GPT2Config(**SIZES | DECODERS["GPT2"] | {"add_cross_attention": True})
        config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            transformers.ViTConfig(**vision), decoder
        )
        config.decoder_start_token_id, config.pad_token_id = 2, 0
    kind = (
        "VisionEncoderDecoderModel" if name == "VisionEncoderDecoder" else f"{name.split()[0]}ForConditionalGeneration"
    )
    made = getattr(transformers, kind)._from_config(config, attn_implementation=attention)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1 and parameter.std() < 0.3:  # parts without a setting for their random weights
                parameter.normal_(0, 0.3, generator=draw)
    return made.eval()


@dataclass(frozen=True)
class Case:
    """An architecture with what it reads.

    Attributes:
        name: of the architecture.
        model: of random weights.
        fused: whether it has a fused attention.
        media: what a processor would give beside ids; None for text alone.
    """

    name: str
    model: Any
    fused: bool
    media: dict[str, torch.Tensor] | None

    @property
    def tokenizer(self) -> Any:
        return tokenizer()

    @property
    def n_cells(self) -> int:
        return 0 if self.media is None else 2

    @property
    def listens(self) -> bool:
        """Whether an encoder reads the media alone, so that the prompt is the beginning of what the decoder writes."""
        return self.name in ("Whisper", "VisionEncoderDecoder")

    def with_media(self, prompt: torch.Tensor) -> torch.Tensor:
        """Return ids with those that stand for media."""
        before = [] if self.media is None else [2] if self.listens else [PLACEHOLDER] * 4
        return torch.cat([torch.tensor(before, dtype=torch.long), prompt])

    def prompt(self, text: str) -> Any:
        """Return a prompt as users give it."""
        if self.media is None:
            return text
        found = self.with_media(ids(text))[None]
        return self.media | {"decoder_input_ids" if self.listens else "input_ids": found} | self._types(found)

    def _types(self, found: torch.Tensor) -> dict[str, torch.Tensor]:
        name = {"Qwen2VL": "mm_token_type_ids", "Gemma3 with pictures": "token_type_ids"}.get(self.name)
        return {} if name is None else {name: (found == PLACEHOLDER).int()}

    def logits(self, prompt: torch.Tensor, written: torch.Tensor, cells: torch.Tensor | None = None) -> torch.Tensor:
        """(tokens, vocabulary) logits in plain transformers; absent cells have the mean colour, or silence."""
        whole = torch.cat([prompt, written])[None]
        if self.model.config.is_encoder_decoder and self.media is None:
            begun = torch.cat([torch.tensor([self.model.config.decoder_start_token_id]), written])[None]
            return self.model(input_ids=prompt[None], decoder_input_ids=begun).logits[0]
        if self.media is None:
            return self.model(input_ids=whole).logits[0]
        shown = dict(self.media)
        for name in ("pixel_values", "input_features"):
            if name in shown and cells is not None:
                shown[name] = _without(shown[name], cells.tolist())
        name = "decoder_input_ids" if self.listens else "input_ids"
        return self.model(**shown, **{name: whole}, **self._types(whole)).logits[0]

    def reads(self, response: torch.Tensor, **settings: Any) -> ResponseModel:
        """Return the model as a function of prompts."""
        media = None if self.media is None else read_prompt(
            Processed(self.prompt(" the"), tokenizer(), self.model.config, (1, 2)), tokenizer()
        ).media  # fmt: skip
        return ResponseModel(self.model, response, media=media, **settings)

    def function(self, response: torch.Tensor) -> tuple[Any, ...]:
        """Return the model, its scores of a response as a function of all inputs, and these."""
        auto = AutoExplanationForGeneration(
            self.model, tokenizer(), self.prompt(" the cat is red ."), response, grid=(1, 2)
        )
        task = auto.task()
        return self.model, task.embedded, *task.point()


def _without(value: torch.Tensor, cells: list[bool]) -> torch.Tensor:
    """Return a picture, a sound or patches of which only the left or the right half is present."""
    value = value.clone()
    if value.ndim == 2:  # a picture of 4 x 4 patches, of which 2 x 2 make a token
        order = torch.arange(16).reshape(2, 2, 2, 2)  # down, across, down within, across within
        halves, filling = [order[:, 0].flatten(), order[:, 1].flatten()], value.mean(0)
        for half, here in zip(halves, cells, strict=True):
            value[half] = value[half] if here else filling
        return value
    filling = value.mean((-2, -1), keepdim=True) if value.ndim == 4 else value.amin(-1, keepdim=True)
    middle = value.shape[-1] // 2
    for half, here in zip((slice(None, middle), slice(middle, None)), cells, strict=True):
        if not here:
            value[..., half] = filling
    return value


@functools.cache
def case(name: str, attention: str = "sdpa") -> Case:
    """Return an architecture with what it reads."""
    draw = torch.Generator().manual_seed(2)
    media = None
    if name == "Qwen2VL":
        media = {
            "pixel_values": torch.randn(16, 12, generator=draw), "image_grid_thw": torch.tensor([[1, 4, 4]])
        }  # fmt: skip
    elif name == "Whisper":
        media = {"input_features": torch.randn(1, 4, 16, generator=draw)}
    elif name in MEDIA:
        media = {"pixel_values": torch.randn(1, 3, 8, 8, generator=draw)}
    return Case(name, model(name, attention), name not in UNFUSED, media)


def ids(text: str) -> torch.Tensor:
    return torch.tensor(tokenizer()(text, add_special_tokens=False)["input_ids"], dtype=torch.long)
