"""Texts: ids of tokens, and the words that a tokenizer makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from pnpxai.modalities.base import Modality, reads_ids
from pnpxai.model_types import Model, Tokenizer
from pnpxai.pictures import NEW_LINE, View
from pnpxai.strategies.base import Strategy
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.strategies.known_features import Words
from pnpxai.strategies.token_baselines import Pad, Token
from pnpxai.traits import Traits

__all__ = ["TextModality"]


class TextModality(Modality):
    """Ids of tokens."""

    name: ClassVar[str] = "text"
    tokenizer: Tokenizer = None
    """A transformers tokenizer, or anything with ``convert_ids_to_tokens``: gives words, mask and padding ids."""
    mask_token_id: int | None = None
    """The id that stands for absence; by default the tokenizer's mask, or else its padding."""
    channel_dim: int = -1
    """The axis of embeddings' features."""

    @property
    def traits(self) -> Traits:
        """Ids, which cannot be blended; a tokenizer tells the words and the ids of mask and padding."""
        mask, pad = self._id("mask"), self._id("pad")
        ready: list[Strategy] = [] if mask is None else [Token(token_id=mask)]
        ready += [] if pad is None else [Pad(token_id=pad)]
        ready += [Words.of(self.tokenizer)] if hasattr(self.tokenizer, "all_special_ids") else []
        return Traits("text", self.channel_dim, 1, discrete=True, ready=tuple(ready))

    @classmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Whole numbers in two dimensions, and an embedding that can read them."""
        if values.ndim != 2 or values.is_floating_point() or not reads_ids(model):
            return None
        return cls(), "whole numbers in two dimensions, and an embedding, are tokens"

    def baseline(self, values: Tensor) -> Baseline:
        """Return the mask token, or else padding; without either, the id zero."""
        chosen = next((i for i in (self._id("mask"), self._id("pad")) if i is not None), None)
        return Zeros() if chosen is None else Token(token_id=chosen)

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view of words, if there is a tokenizer that knows them, else of ids."""
        knows = hasattr(self.tokenizer, "convert_ids_to_tokens")
        words = tuple(map(self._words, _word_numbers(self.tokenizer, values), values)) if knows else ()
        return View("tokens", self.channel_dim, words=words, classes=classes)

    def _id(self, which: str) -> int | None:
        if which == "mask" and self.mask_token_id is not None:
            return self.mask_token_id
        return getattr(self.tokenizer, f"{which}_token_id", None)

    def _padding(self, ids: Tensor) -> list[bool]:
        """Return which tokens are padding: runs of the padding token at the ends, unless it also ends texts."""
        pad = getattr(self.tokenizer, "pad_token_id", None)
        if pad is None or pad == getattr(self.tokenizer, "eos_token_id", None):
            return [False] * len(ids)
        others = (ids != pad).nonzero().flatten().tolist()
        first, last = (others[0], others[-1]) if others else (len(ids), -1)
        return [not first <= k <= last for k in range(len(ids))]

    def _words(self, numbers: Sequence[int], ids: Tensor) -> tuple[tuple[str, int], ...]:
        """Return the words of a text, and how many tokens each has.

        Padding at either end has no word if its token says that it is padding; an attention mask may say more.
        """
        padding = self._padding(ids)
        tokens = self.tokenizer.convert_ids_to_tokens([int(i) for i in ids])
        words: list[tuple[str, int]] = []
        for k, token in enumerate(tokens):
            part = "" if padding[k] else _written(str(token))
            broken = part.endswith(NEW_LINE) or (words and words[-1][0].endswith(NEW_LINE))
            if k and numbers[k] == numbers[k - 1] and not broken:  # a sign of a new line stands alone
                words[-1] = (words[-1][0] + part, words[-1][1] + 1)
            else:
                words.append((part, 1))
        return tuple(words)


def _written(token: str) -> str:
    """Return a token as it is read: without the sign of a space before it, a new line as a sign of its own."""
    text = re.sub(r"<0x0A>|\u010a|\n", NEW_LINE, token)
    return text.lstrip("\u2581\u0120").removeprefix("##").replace("\u0120", " ") or "\u2423"


def _word_numbers(tokenizer: Tokenizer, values: Tensor) -> list[list[int]]:
    """Return the number of the word of each token."""
    if not hasattr(tokenizer, "all_special_ids"):
        return [list(range(values.shape[1]))] * len(values)
    return Words.of(tokenizer)(values.cpu()).tolist()
