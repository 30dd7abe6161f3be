"""A prompt as units that can be removed and the rest that is held."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.language.media import Media
from pnpxai.auto.generation.processed_prompts import Processed
from pnpxai.auto.generation.prompt_specs import PromptSpec
from pnpxai.auto.generation.spans import Span, owners, sentences, tokenized, without, words
from pnpxai.auto.generation.written_prompts import Turn, WrittenPrompt
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.model_types import Tokenizer

__all__ = ["Prompt", "Unit", "UnitKind", "read_prompt"]

UnitKind: TypeAlias = Literal["auto", "token", "word", "sentence", "slot", "source", "turn"]
"""What is explained of a prompt: "auto" takes sources or slots where the prompt has them, else words."""
_KINDS = ("token", "word", "sentence", "slot", "source", "turn")


@dataclass(frozen=True)
class Unit:
    """A part of the prompt that is present or absent.

    Attributes:
        name: how it is called.
        span: its characters.
        absent: what stands in its place if it is absent.
    """

    name: str
    span: Span
    absent: str = ""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt as the model reads it.

    Attributes:
        text: all of it, with the marks of roles.
        kind: what its units are.
        units: what can be removed, in order; they do not overlap.
        turns: of a chat.
        ids: (tokens,).
        spans: the characters of each token.
        tokenizer: makes ids of text.
        special: whether the tokenizer adds special tokens.
        chosen: where units are tokens, the token of each unit; else None.
        media: pictures or sound beside the text; their cells can be removed too.
        fixed: ids that are always held, such as placeholders of pictures.
        processed: whether the user gave ids, so that tokens are left out, and no text is written again.
    """

    text: str
    kind: str
    units: tuple[Unit, ...]
    turns: tuple[Turn, ...]
    ids: Tensor
    spans: tuple[Span, ...]
    tokenizer: Tokenizer = field(repr=False)
    special: bool = True
    chosen: tuple[int, ...] | None = None
    media: Media | None = None
    fixed: frozenset[int] = frozenset()
    processed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of units and of cells."""
        return tuple(unit.name for unit in self.units) + (() if self.media is None else self.media.names)

    @cached_property
    def owner(self) -> Tensor:
        """(tokens,) the unit that each token belongs to, -1 where it is held."""
        if self.chosen is not None:
            place = {token: unit for unit, token in enumerate(self.chosen)}
            return torch.tensor([place.get(k, -1) for k in range(len(self.ids))], dtype=torch.long)
        fixed = set(getattr(self.tokenizer, "all_special_ids", ())) | self.fixed
        found = owners(self.spans, [unit.span for unit in self.units])
        return torch.tensor([-1 if int(i) in fixed else k for i, k in zip(self.ids, found, strict=True)],
                            dtype=torch.long)  # fmt: skip

    def without(self, present: Tensor) -> Tensor:
        """Return the ids that the model reads if only some units (units,) are present: the rest is not written."""
        if self.chosen is not None or self.processed:
            return self.ids[self.tokens_present(present)]
        parts, cursor = [], 0
        for unit, here in zip(self.units, present.tolist(), strict=True):
            start, end = unit.span
            parts += [self.text[cursor:start], self.text[start:end] if here else unit.absent]
            cursor = end
        text = "".join([*parts, self.text[cursor:]])
        return torch.tensor(self.tokenizer(text, add_special_tokens=self.special)["input_ids"], dtype=torch.long)

    def tokens_present(self, present: Tensor) -> Tensor:
        """Return (tokens,) true for tokens that are held or whose unit is present."""
        return torch.cat([present, torch.tensor([True])])[self.owner]


def read_prompt(
    spec: PromptSpec | Processed, tokenizer: Tokenizer, units: UnitKind = "auto", special: str = "hold"
) -> Prompt:
    """Return a prompt, its units found.

    Args:
        spec: the prompt.
        tokenizer: makes ids of text, and text of chats.
        units: what the units are.
        special: "hold" keeps special tokens and marks of roles always present; "count" makes units of them too, where
            units are tokens.

    Raises:
        ArgumentError: the prompt has no such units, or nothing that can be removed.
    """
    if units != "auto" and units not in _KINDS:
        raise ArgumentError(f"units: no kind of unit {units!r}{did_you_mean(str(units), _KINDS)}")
    if special not in ("hold", "count"):
        raise ArgumentError(f"special: expected 'hold' or 'count', got {special!r}")
    if special == "count" and units != "token":
        raise ArgumentError("special: only tokens can be special; give units='token' with special='count'")
    if isinstance(spec, Processed):
        fields, written = spec.read()
        return _split(Prompt(kind="", units=(), **fields), written, units, special)
    written = WrittenPrompt.of(spec, tokenizer)
    chat = bool(written.turns)
    added = not chat and not _begun(written.text, tokenizer)
    ids, spans = tokenized(tokenizer, written.text, added)
    prompt = Prompt(written.text, "", (), written.turns, ids, tuple(spans), tokenizer, added)
    return _split(prompt, written, units, special)


def _begun(text: str, tokenizer: Tokenizer) -> bool:
    """Return whether a text begins with the token that the tokenizer would write before it once more."""
    begin = getattr(tokenizer, "bos_token", None)
    if not begin or not text.startswith(begin):
        return False
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    return list(ids[:2]) == [tokenizer.bos_token_id] * 2


def _split(prompt: Prompt, written: WrittenPrompt, units: UnitKind, special: str) -> Prompt:
    """Return a prompt with its units."""
    kinds = {part.kind for part in written.named}
    kind = units if units != "auto" else next((k for k in ("source", "slot") if k in kinds), "word")
    if kind == "token":
        return _by_tokens(replace(prompt, kind=kind), written.free, special)
    fixed = set(getattr(prompt.tokenizer, "all_special_ids", ())) | prompt.fixed
    marks = [span for i, span in zip(prompt.ids.tolist(), prompt.spans, strict=True) if i in fixed]
    written = replace(written, free=without(written.free, marks))
    parts = [unit for unit in _units(written, kind) if unit.span[0] < unit.span[1]]
    if not parts and prompt.media is None:
        raise ArgumentError(
            f"units: the prompt has no unit of the kind {kind!r}; slots come from a Template, sources from Sources, "
            "turns from a list of messages"
        )
    return replace(prompt, kind=kind, units=tuple(parts))


def _units(written: WrittenPrompt, kind: str) -> list[Unit]:
    """Return the turns, the slots or sources, the words or the sentences of a prompt."""
    if kind == "turn":
        return [Unit(f"{turn.role} {k + 1}", turn.span) for k, turn in enumerate(written.turns)]
    if kind in ("slot", "source"):
        return [Unit(part.name, part.span, part.absent) for part in written.named if part.kind == kind]
    split, text = words if kind == "word" else sentences, written.text
    ranges = [(a + s, a + e) for a, b in written.free for s, e in split(text[a:b])]
    return [Unit(text[a:b].strip(), (a, b)) for a, b in ranges]


def _by_tokens(prompt: Prompt, free: tuple[Span, ...], special: str) -> Prompt:
    fixed = set(getattr(prompt.tokenizer, "all_special_ids", ())) | prompt.fixed
    inside = owners(prompt.spans, list(free))
    held = [int(i) in fixed or where < 0 for i, where in zip(prompt.ids, inside, strict=True)]
    chosen = tuple(k for k in range(len(held)) if special == "count" or not held[k])
    if not chosen and prompt.media is None:
        raise ArgumentError("prompts: all tokens are special tokens or marks of roles; nothing is left to explain")
    names = [prompt.text[a:b] or str(prompt.tokenizer.convert_ids_to_tokens(int(prompt.ids[k])))
             for k in chosen for a, b in [prompt.spans[k]]]  # fmt: skip
    units = tuple(Unit(name, prompt.spans[k]) for name, k in zip(names, chosen, strict=True))
    return replace(prompt, units=units, chosen=chosen)
