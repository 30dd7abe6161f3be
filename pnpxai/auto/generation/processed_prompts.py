"""Prompts that a processor or a tokenizer has made into tensors, with pictures or sound beside the text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor

from pnpxai.attributors.language.media import media_of
from pnpxai.auto.generation.spans import Span, decoded_spans
from pnpxai.auto.generation.written_prompts import Turn, WrittenPrompt
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Keywords, Tokenizer

__all__ = ["Processed", "is_chat", "is_processed", "processed", "tokenizer_of"]

_MARK = "zq{}xqz"
_PLACEHOLDER = re.compile(
    r"(image|video|audio|vision|boi|eoi|boa|eoa).*(token|index)|(token|index).*(image|video|audio)"
)
_MEDIA = ("pixel_values", "pixel_values_videos", "input_features", "input_values")


def is_processed(spec: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether this is what a processor gives."""
    return isinstance(spec, Mapping) and bool({"input_ids", "decoder_input_ids", *_MEDIA} & set(spec))


def is_chat(prompts: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    """Return whether these are messages of one chat."""
    if not isinstance(prompts, Sequence) or not prompts:
        return False
    return all(isinstance(m, Mapping) and not is_processed(m) for m in prompts)


def processed(spec: Any, processor: Any, config: Any, grid: tuple[int, int]) -> Any:
    """Return what a processor makes of a prompt with pictures or sound; any other prompt as it is."""
    if is_processed(spec):
        return Processed(spec, tokenizer_of(processor), config, grid)
    return Processed.of_chat(spec, processor, config, grid) if _shows_media(spec) else spec


def _shows_media(spec: object) -> bool:
    if not is_chat(spec):
        return False
    contents = [message.get("content") for message in spec]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(part.get("type") != "text" for part in parts)


def tokenizer_of(given: Tokenizer) -> Tokenizer:
    """Return the tokenizer of a processor, or what was given."""
    return getattr(given, "tokenizer", given)


@dataclass(frozen=True, eq=False)
class Processed:
    """What a processor made of one prompt.

    Attributes:
        inputs: the model's arguments, each for one prompt.
        tokenizer: gives the text of ids.
        config: the model's configuration, which names the ids of placeholders.
        grid: rows and columns of cells of a picture.
        said: of a chat, the mark of a role, who speaks and what is said, in order; None without roles.
    """

    inputs: Mapping[str, Any]
    tokenizer: Tokenizer
    config: Any
    grid: tuple[int, int]
    said: tuple[tuple[str, str, str], ...] | None = None

    @classmethod
    def of_chat(
        cls, chat: Sequence[Mapping[str, Any]], processor: Any, config: Any, grid: tuple[int, int]
    ) -> Processed:
        """Let a processor write a chat whose contents are lists of parts.

        Raises:
            ArgumentError: there is no processor.
        """
        if tokenizer_of(processor) is processor:
            raise ArgumentError(
                "tokenizer: the chat shows pictures or sound; give the model's processor (AutoProcessor) here, or as "
                "prompt what the processor makes of the chat"
            )
        inputs = processor.apply_chat_template(
            chat, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
        )
        marked, said = [], []
        for message in chat:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            named = []
            for part in parts:
                if part.get("type") == "text":
                    named.append(part | {"text": _MARK.format(len(said))})
                    said.append((str(message.get("role", "")), part["text"]))
                else:
                    named.append(part)
            marked.append(dict(message) | {"content": named})
        written = processor.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
        before = re.split(r"zq\d+xqz", written)
        return cls(inputs, processor.tokenizer, config, grid, tuple(
            (before[k], role, text) for k, (role, text) in enumerate(said)
        ))  # fmt: skip

    def read(self) -> tuple[Keywords, WrittenPrompt]:
        """Return the fields of a ``Prompt`` without units, and where its units may be.

        Raises:
            ArgumentError: there are several prompts, or a chat's text is not found in the ids.
        """
        ids = self._ids()
        fixed = frozenset(
            v for name, v in vars(self.config).items() if isinstance(v, int) and _PLACEHOLDER.search(name)
        ) if self.config is not None else frozenset()  # fmt: skip
        text, spans = decoded_spans(self.tokenizer, ids)
        free, turns = self._free(text)
        vision = getattr(self.config, "vision_config", None)
        media = media_of(self.inputs, self.grid, getattr(vision, "spatial_merge_size", 1) or 1)
        fields: Keywords = {
            "text": text, "turns": turns, "ids": ids, "spans": tuple(spans), "tokenizer": self.tokenizer,
            "special": False, "media": media, "fixed": fixed, "processed": True,
        }  # fmt: skip
        return fields, WrittenPrompt(text, (), turns, free)

    def _ids(self) -> Tensor:
        encoder = getattr(self.config, "is_encoder_decoder", False)
        name = "decoder_input_ids" if "input_ids" not in self.inputs else "input_ids"
        ids = self.inputs.get(name)
        if ids is None and encoder:
            start = getattr(self.config, "decoder_start_token_id", None)
            ids = None if start is None else torch.tensor([[start]])
        if not isinstance(ids, Tensor) or ids.ndim != 2 or len(ids) != 1:
            came = tuple(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
            raise ArgumentError(
                f"prompts: expected tensors of one prompt, {name} (1, tokens), as processor(..., return_tensors='pt') "
                f"gives them, got {came}; a list of such mappings has several prompts"
            )
        mask = self.inputs.get("attention_mask")
        if isinstance(mask, Tensor) and mask.shape == ids.shape:
            return ids[0][mask[0].bool()].cpu()
        return ids[0].cpu()

    def _free(self, text: str) -> tuple[tuple[Span, ...], tuple[Turn, ...]]:
        if self.said is None:
            return ((0, len(text)),), ()
        free, turns, cursor = [], [], 0
        for before, role, said in self.said:
            anchor, wanted = before[-24:].rpartition(">")[2], said.strip()
            found = text.find(anchor + wanted, cursor)
            start = found + len(anchor) if found >= 0 else text.find(wanted, cursor)
            if start < 0:
                raise ArgumentError(
                    f"prompts: the text {wanted[:40]!r} of the chat is not found in what the processor makes of it; "
                    "give as prompt what the processor makes (a mapping with input_ids)"
                )
            cursor = start + len(wanted)
            free.append((start, cursor))
            turns.append(Turn(role, (start, cursor)))
        return tuple(free), tuple(turns)
