"""A prompt as units that can be removed and the rest that is held: text, a template, sources, a chat."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.auto.generation.spans import Span, owners, sentences, tokenized, words
from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["Chat", "Prompt", "PromptSpec", "Sources", "Template", "Turn", "Unit", "UnitKind", "read_prompt"]

UnitKind: TypeAlias = Literal["auto", "token", "word", "sentence", "slot", "source", "turn"]
"""What is explained of a prompt: "auto" takes sources or slots where the prompt has them, else words."""
_KINDS = ("token", "word", "sentence", "slot", "source", "turn")


@dataclass(frozen=True)
class Template:
    """A prompt with named places: each place is a unit of the prompt.

    Attributes:
        text: the prompt with ``{name}`` at its places.
        values: what stands there, by name.
        absent: what stands there instead if a unit is removed, by name; nothing by default.
    """

    text: str
    values: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)

    def pieces(self) -> list[tuple[str, str | None, str]]:
        """Return text, the name of its unit (None: none), and what stands for it if it is absent, in order.

        Raises:
            ArgumentError: a place has no value, or a value no place.
        """
        found: list[tuple[str, str | None, str]] = []
        for before, name, _, _ in string.Formatter().parse(self.text):
            found += [(before, None, "")] if before else []
            if name is None:
                continue
            if name not in self.values:
                raise ArgumentError(f"values: nothing for the place {name!r}{did_you_mean(name, self.values)}")
            found.append((self.values[name], name, self.absent.get(name, "")))
        missing = set(self.values) - {name for _, name, _ in found}
        if missing:
            raise ArgumentError(f"values: the text has no place {sorted(missing)[0]!r}")
        return found


@dataclass(frozen=True)
class Sources:
    """A question with documents that the answer should rest on: each document is a unit of the prompt.

    Attributes:
        question: what is asked.
        documents: the sources; a mapping gives them names.
        text: the prompt with ``{sources}`` and ``{question}``; each source stands in lines of its own.
    """

    question: str
    documents: Sequence[str] | Mapping[str, str]
    text: str = "Context:\n{sources}\nQuestion: {question}\nAnswer:"

    def pieces(self) -> list[tuple[str, str | None, str]]:
        """Return text, the name of its unit, and nothing for what is absent, in order."""
        named = self.documents if isinstance(self.documents, Mapping) else dict(
            zip((f"source {k + 1}" for k in range(len(self.documents))), self.documents, strict=True)
        )  # fmt: skip
        found: list[tuple[str, str | None, str]] = []
        for before, name, _, _ in string.Formatter().parse(self.text):
            found += [(before, None, "")] if before else []
            if name == "sources":
                found += [(document.rstrip("\n") + "\n", source, "") for source, document in named.items()]
            elif name == "question":
                found.append((self.question, None, ""))
            elif name is not None:
                raise ArgumentError(f"text: expected the places {{sources}} and {{question}}, got {{{name}}}")
        return found


Content: TypeAlias = str | Template | Sources
Chat: TypeAlias = Sequence[Mapping[str, Any]]
PromptSpec: TypeAlias = Content | Chat
"""What a user gives for one prompt: a text, a ``Template``, ``Sources``, or messages with "role" and "content"."""


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


@dataclass(frozen=True)
class Turn:
    """A message of a chat: who speaks, and the characters of what is said."""

    role: str
    span: Span


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
    """

    text: str
    kind: str
    units: tuple[Unit, ...]
    turns: tuple[Turn, ...]
    ids: Tensor
    spans: tuple[Span, ...]
    tokenizer: Any = field(repr=False)
    special: bool = True
    chosen: tuple[int, ...] | None = None

    @cached_property
    def owner(self) -> Tensor:
        """(tokens,) the unit that each token belongs to, -1 where it is held."""
        if self.chosen is not None:
            place = {token: unit for unit, token in enumerate(self.chosen)}
            return torch.tensor([place.get(k, -1) for k in range(len(self.ids))])
        fixed = set(getattr(self.tokenizer, "all_special_ids", ()))
        found = owners(self.spans, [unit.span for unit in self.units])
        return torch.tensor([-1 if int(i) in fixed else k for i, k in zip(self.ids, found, strict=True)])

    def without(self, present: Tensor) -> Tensor:
        """Return the ids that the model reads if only some units (units,) are present: the rest is not written."""
        if self.chosen is not None:
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


def read_prompt(spec: PromptSpec, tokenizer: Any, units: UnitKind = "auto", special: str = "hold") -> Prompt:
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
    if isinstance(spec, (str, Template, Sources)):
        pieces: _Marked = [(_content(spec), None)]
    else:
        pieces = _chat_pieces(spec, tokenizer)
    text, named, turns, free = _written(pieces)
    kinds = {unit.kind for unit in named}
    kind = units if units != "auto" else next((k for k in ("source", "slot") if k in kinds), "word")
    chat = bool(turns)
    ids, spans = tokenized(tokenizer, text, not chat)
    prompt = Prompt(text, kind, (), tuple(turns), ids, tuple(spans), tokenizer, not chat)
    if kind == "token":
        return _by_tokens(prompt, free, special)
    if kind == "turn":
        found = [Unit(f"{turn.role} {k + 1}", turn.span) for k, turn in enumerate(turns)]
    elif kind in ("slot", "source"):
        found = [Unit(unit.name, unit.span, unit.absent) for unit in named if unit.kind == kind]
    else:
        split = words if kind == "word" else sentences
        ranges = [(a + s, a + e) for a, b in free for s, e in split(text[a:b])]
        found = [Unit(text[a:b].strip(), (a, b)) for a, b in ranges]
    found = [unit for unit in found if unit.span[0] < unit.span[1]]
    if not found:
        raise ArgumentError(
            f"units: the prompt has no unit of the kind {kind!r}; slots come from a Template, sources from Sources, "
            "turns from a list of messages"
        )
    return replace(prompt, units=tuple(found))


@dataclass(frozen=True)
class _Named:
    kind: str
    name: str
    span: Span
    absent: str


_Pieces = list[tuple[str, str | None, str]]
_Marked = list[tuple[tuple[str, _Pieces], str | None]]
"""Contents with their roles; marks between them have the role ""."""


def _content(content: Any) -> tuple[str, _Pieces]:
    if isinstance(content, str):
        return "", [(content, None, "")]
    if isinstance(content, (Template, Sources)):
        return ("slot" if isinstance(content, Template) else "source"), content.pieces()
    raise ArgumentError(f"prompts: expected a text, a Template or Sources, got {type(content).__name__}")


def _chat_pieces(chat: Any, tokenizer: Any) -> _Marked:
    """Return contents with their roles, and between them the marks that the chat template writes (role "")."""
    if not isinstance(chat, Sequence) or not chat or not all(isinstance(m, Mapping) for m in chat):
        raise ArgumentError(
            f"prompts: expected a text, a Template, Sources, or messages such as "
            f"[{{'role': 'user', 'content': 'Hello'}}], got {chat!r}"
        )
    if not getattr(tokenizer, "chat_template", None):
        raise ArgumentError("tokenizer: it has no chat template; give the prompt as text, or set chat_template")
    contents = [_content(m.get("content")) for m in chat]
    marks = [f"zq{k}xqz" for k in range(len(chat))]
    rendered = _rendered(tokenizer, [dict(m) | {"content": mark} for m, mark in zip(chat, marks, strict=True)])
    real = _rendered(tokenizer, [
        dict(m) | {"content": "".join(p[0] for p in c[1])} for m, c in zip(chat, contents, strict=True)
    ])  # fmt: skip
    pieces: _Marked = []
    rest = rendered
    for mark, message, content in zip(marks, chat, contents, strict=True):
        before, found, rest = rest.partition(mark)
        if not found:
            raise ArgumentError(f"prompts: the chat template leaves out the message of the {message.get('role')!r}")
        pieces += [(("", [(before, None, "")]), ""), (content, str(message.get("role", "")))]
    pieces.append((("", [(rest, None, "")]), ""))
    if _plain(pieces) != real:  # templates that strip what is said
        pieces = [(_stripped(content) if role else content, role) for content, role in pieces]
    if _plain(pieces) != real:
        raise ArgumentError(
            "prompts: the chat template changes with what is said, so that its marks cannot be told from the text; "
            "give the prompt as text"
        )
    return pieces


def _rendered(tokenizer: Any, messages: list[dict[str, Any]]) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _plain(pieces: _Marked) -> str:
    return "".join(text for (_, parts), _ in pieces for text, _, _ in parts)


def _stripped(content: tuple[str, _Pieces]) -> tuple[str, _Pieces]:
    kind, parts = content
    first, last = parts[0], parts[-1]
    parts = [(first[0].lstrip(), *first[1:]), *parts[1:]]
    last = parts[-1]
    return kind, [*parts[:-1], (last[0].rstrip(), *last[1:])]


def _written(
    pieces: _Marked,
) -> tuple[str, list[_Named], list[Turn], list[Span]]:
    """Return the text, its named units, its turns, and the ranges that are not marks of roles."""
    text, named, turns, free = "", [], [], []
    for (kind, parts), role in pieces:
        start = len(text)
        for part, name, absent in parts:
            if name is not None:
                named.append(_Named(kind, name, (len(text), len(text) + len(part)), absent))
            text += part
        if role != "":
            free.append((start, len(text)))
        if role:
            turns.append(Turn(role, (start, len(text))))
    return text, named, turns, free


def _by_tokens(prompt: Prompt, free: list[Span], special: str) -> Prompt:
    fixed = set(getattr(prompt.tokenizer, "all_special_ids", ()))
    inside = owners(prompt.spans, free)
    held = [int(i) in fixed or where < 0 for i, where in zip(prompt.ids, inside, strict=True)]
    chosen = tuple(k for k in range(len(held)) if special == "count" or not held[k])
    if not chosen:
        raise ArgumentError("prompts: all tokens are special tokens or marks of roles; nothing is left to explain")
    names = [prompt.text[a:b] or str(prompt.tokenizer.convert_ids_to_tokens(int(prompt.ids[k])))
             for k in chosen for a, b in [prompt.spans[k]]]  # fmt: skip
    units = tuple(Unit(name, prompt.spans[k]) for name, k in zip(names, chosen, strict=True))
    return replace(prompt, units=units, chosen=chosen)
