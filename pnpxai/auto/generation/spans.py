"""Where tokens, words and sentences lie in a text, as ranges of characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.model_types import Tokenizer

__all__ = ["Span", "decoded_spans", "owners", "sentences", "tokenized", "without", "words"]

Span: TypeAlias = tuple[int, int]
"""First character, and the one after the last."""

_WINDOW, _CONTEXT = 64, 16
"""Tokens that are read together, and those that stay when a new window begins."""
_NO_SPACES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # scripts that write words without spaces
_WORD = re.compile(rf"\s*(?:[{_NO_SPACES}]|(?:(?![{_NO_SPACES}])\S)+)")
_END = re.compile(r"[.!?\u3002\uff01\uff1f]+[\"')\]\u201d\u2019]*(?:\s+|(?<=[\u3002\uff01\uff1f])|$)|\n+\s*")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|No|Fig|approx|[A-Z])\.\s*$")


def words(text: str) -> list[Span]:
    """Return the words of a text, each with the space before it; of scripts without spaces each character is one."""
    return [match.span() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[Span]:
    """Return the sentences and lines of a text, each with the space after it."""
    found, start = [], 0
    for match in _END.finditer(text):
        if "\n" not in match[0] and _ABBREVIATION.search(text[start : match.end()]):
            continue
        if text[start : match.end()].strip():
            found.append((start, match.end()))
            start = match.end()
    if text[start:].strip():
        found.append((start, len(text)))
    return found


def tokenized(tokenizer: Tokenizer, text: str, special: bool) -> tuple[Tensor, list[Span]]:
    """Return the ids (tokens,) of a text and the characters of each; special tokens that are added have none.

    Raises:
        ArgumentError: the tokenizer cannot say where its tokens lie.
    """
    if getattr(tokenizer, "is_fast", False):
        found = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
        return torch.tensor(found["input_ids"], dtype=torch.long), [(a, b) for a, b in found["offset_mapping"]]
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=special), dtype=torch.long)
    read, spans = decoded_spans(tokenizer, ids)
    if read != text:
        raise ArgumentError(
            "tokenizer: it does not say where its tokens lie in a text (return_offsets_mapping) and does not give the "
            "text back; load the fast form of the tokenizer"
        )
    return ids, spans


def decoded_spans(tokenizer: Tokenizer, ids: Tensor) -> tuple[str, list[Span]]:
    """Return the text of ids (tokens,), and the characters that each token adds to it.

    Tokens that hold a part of a character have the character in the last of them.
    """
    found, listed = [], ids.tolist()
    text, start, before = "", 0, ""  # the text, and the tokens since ``start`` with what they read as
    for k in range(len(listed)):
        longer = _decode(tokenizer, listed[start : k + 1])
        whole = len(longer) >= len(before) and not longer.endswith("\ufffd")
        end = len(text) + len(longer) - len(before) if whole or k + 1 == len(listed) else len(text)
        found.append((len(text), max(end, len(text))))
        if end > len(text):
            text, before = text + longer[len(before) :], longer
            if k - start >= _WINDOW:  # what stands before has no more part in how a token reads
                start = k - _CONTEXT
                before = _decode(tokenizer, listed[start : k + 1])
    if len(listed) > _WINDOW and text != _decode(tokenizer, listed):
        return _decoded_at_once(tokenizer, listed)
    return text, found


def _decoded_at_once(tokenizer: Tokenizer, ids: list[int]) -> tuple[str, list[Span]]:
    """Return the same where tokens read otherwise without all that stands before them; slow for long texts."""
    text, spans = "", []
    for k in range(len(ids)):
        longer = _decode(tokenizer, ids[: k + 1])
        if longer.endswith("\ufffd") and k + 1 < len(ids):
            longer = text
        spans.append((len(text), max(len(longer), len(text))))
        text = longer if len(longer) >= len(text) else text
    return text, spans


def owners(tokens: Sequence[Span], units: Sequence[Span]) -> list[int]:
    """Return for each token the unit that holds most of its characters; -1 where none holds any."""
    found = []
    for start, end in tokens:
        shares = [(min(end, b) - max(start, a), -k) for k, (a, b) in enumerate(units) if a < end and start < b]
        found.append(-max(shares)[1] if shares else -1)
    return found


def without(ranges: Sequence[Span], holes: Sequence[Span]) -> tuple[Span, ...]:
    """Return what holes, in order, leave of ranges."""
    found = []
    for start, end in ranges:
        for a, b in [hole for hole in holes if hole[0] < end and start < hole[1]]:
            found.append((start, a))
            start = max(start, b)
        found.append((start, end))
    return tuple((a, b) for a, b in found if a < b)


def _decode(tokenizer: Tokenizer, ids: list[int]) -> str:
    try:
        return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    except TypeError:  # a tokenizer of the user's own
        return tokenizer.decode(ids)
