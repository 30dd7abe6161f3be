"""A response as units whose scores are explained: tokens, words, sentences, or all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.auto.generation.spans import Span, decoded_spans, owners, sentences, words
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.model_types import Tokenizer

__all__ = ["Response", "ResponseKind", "read_response"]

ResponseKind: TypeAlias = Literal["token", "word", "sentence", "response"]
"""What is explained of a response; "response": all of it at once."""
_KINDS = ("token", "word", "sentence", "response")


@dataclass(frozen=True, eq=False)
class Response:
    """What the model wrote, or is thought to have written.

    Attributes:
        text: all of it.
        ids: (tokens,), special ones included.
        names: of the units.
        spans: the characters of each unit.
        owner: (tokens,) the unit that each token belongs to, -1 for special tokens, which are given, not explained.
        kind: what the units are.
    """

    text: str
    ids: Tensor
    names: tuple[str, ...]
    spans: tuple[Span, ...]
    owner: Tensor
    kind: str

    @property
    def members(self) -> Tensor:
        """(tokens, units) 1 where a token belongs to a unit."""
        return (self.owner[:, None] == torch.arange(len(self.names))).float()


def read_response(
    given: str | Tensor, tokenizer: Tokenizer, kind: ResponseKind = "token", prefix: int | None = None
) -> Response:
    """Return a response, its units found.

    Args:
        given: its text or its ids (tokens,).
        tokenizer: makes ids of text.
        kind: what the units are.
        prefix: an id that stands before every response of the model (of encoder-decoder models).

    Raises:
        ArgumentError: the response is empty, or there is no such kind of unit.
    """
    if kind not in _KINDS:
        raise ArgumentError(f"response_units: no kind of unit {kind!r}{did_you_mean(str(kind), _KINDS)}")
    if isinstance(given, str):
        found = tokenizer(given, add_special_tokens=False)["input_ids"]
        ids = torch.tensor(([] if prefix is None else [prefix]) + list(found), dtype=torch.long)
    elif isinstance(given, Tensor) and given.ndim == 1 and not given.is_floating_point():
        ids = given.detach().cpu().long()
    else:
        raise ArgumentError(f"responses: expected a text or a tensor of ids (tokens,), got {type(given).__name__}")
    text, spans = decoded_spans(tokenizer, ids)
    fixed = set(getattr(tokenizer, "all_special_ids", ()))
    free = [k for k, i in enumerate(ids.tolist()) if i not in fixed]
    if not free:
        raise ArgumentError(f"responses: nothing but special tokens in {text!r}; is max_new_tokens too small?")
    if kind == "token":
        names = tuple(text[slice(*spans[k])] or str(tokenizer.convert_ids_to_tokens(int(ids[k]))) for k in free)
        owner = torch.full((len(ids),), -1)
        owner[free] = torch.arange(len(free))
        return Response(text, ids, names, tuple(spans[k] for k in free), owner, kind)
    start, end = spans[free[0]][0], spans[free[-1]][1]
    whole = text[start:end]
    split = {"word": words, "sentence": sentences, "response": lambda t: [(0, len(t))]}[kind]
    ranges = [(start + a, start + b) for a, b in split(whole)]
    found_owners = owners(spans, ranges)
    owner = torch.tensor([k if t in set(free) else -1 for t, k in enumerate(found_owners)])
    # a token without characters of its own (a part of one) goes with the one after it
    for t in range(len(owner) - 2, -1, -1):
        if owner[t] < 0 and t in free:
            owner[t] = owner[t + 1]
    used = sorted(set(owner.tolist()) - {-1})  # where one token holds two words, the shorter has none
    if not used:
        raise ArgumentError(
            f"responses: the ids {ids.tolist()} have no text, so that there is no {kind}; take response_units='token'"
        )
    owner = torch.tensor([used.index(k) if k >= 0 else -1 for k in owner.tolist()])
    ranges = [ranges[k] for k in used]
    return Response(text, ids, tuple(text[a:b].strip() for a, b in ranges), tuple(ranges), owner, kind)
