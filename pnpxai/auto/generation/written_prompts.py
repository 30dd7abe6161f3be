"""A prompt written out: its text, its turns, and what of it are marks of roles, which a chat template writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pnpxai.auto.generation.prompt_specs import Pieces, PromptSpec, Sources, Template
from pnpxai.auto.generation.spans import Span
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Tokenizer

__all__ = ["NamedPart", "Turn", "WrittenPrompt"]


@dataclass(frozen=True)
class Turn:
    """A message of a chat: who speaks, and the characters of what is said."""

    role: str
    span: Span


@dataclass(frozen=True)
class NamedPart:
    """A slot or a source: which of the two, its name, its characters, and what stands there if it is absent."""

    kind: str
    name: str
    span: Span
    absent: str


@dataclass(frozen=True)
class WrittenPrompt:
    """A prompt as one text.

    Attributes:
        text: all of it, with the marks of roles.
        named: its slots and sources.
        turns: of a chat.
        free: the ranges that are not marks of roles.
    """

    text: str
    named: tuple[NamedPart, ...]
    turns: tuple[Turn, ...]
    free: tuple[Span, ...]

    @classmethod
    def of(cls, spec: PromptSpec, tokenizer: Tokenizer) -> WrittenPrompt:
        """Write a prompt out; a chat is written by the tokenizer's template.

        Raises:
            ArgumentError: it is no prompt, or its chat template is missing or hides what is said.
        """
        single = isinstance(spec, (str, Template, Sources))
        text, named, turns, free = "", [], [], []
        for (kind, parts), role in [(_content(spec), None)] if single else _chat_pieces(spec, tokenizer):
            start = len(text)
            for part, name, absent in parts:
                if name is not None:
                    named.append(NamedPart(kind, name, (len(text), len(text) + len(part)), absent))
                text += part
            if role != "":
                free.append((start, len(text)))
            if role:
                turns.append(Turn(role, (start, len(text))))
        return cls(text, tuple(named), tuple(turns), tuple(free))


_Marked = list[tuple[tuple[str, Pieces], str | None]]
"""Contents with their roles; marks between them have the role ""."""


def _content(content: object) -> tuple[str, Pieces]:
    if isinstance(content, str):
        return "", [(content, None, "")]
    if isinstance(content, list) and all(isinstance(p, Mapping) and p.get("type") == "text" for p in content):
        return "", [(str(part["text"]), None, "") for part in content] or [("", None, "")]
    if isinstance(content, (Template, Sources)):
        return ("slot" if isinstance(content, Template) else "source"), content.pieces()
    raise ArgumentError(f"prompts: expected a text, a Template or Sources, got {type(content).__name__}")


def _chat_pieces(chat: object, tokenizer: Tokenizer) -> _Marked:
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


def _rendered(tokenizer: Tokenizer, messages: Sequence[object]) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _plain(pieces: _Marked) -> str:
    return "".join(text for (_, parts), _ in pieces for text, _, _ in parts)


def _stripped(content: tuple[str, Pieces]) -> tuple[str, Pieces]:
    kind, parts = content
    first, last = parts[0], parts[-1]
    parts = [(first[0].lstrip(), *first[1:]), *parts[1:]]
    last = parts[-1]
    return kind, [*parts[:-1], (last[0].rstrip(), *last[1:])]
