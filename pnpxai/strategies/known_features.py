"""Defines feature masks that are known beforehand: groups of columns, words of a text, the user's own segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import torch
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Tokenizer
from pnpxai.strategies.feature_masks import FeatureMask, consecutive, positions_of
from pnpxai.traits import Traits

__all__ = ["Columns", "Given", "Words"]


class Columns(FeatureMask):
    """Joins columns of a table that belong together, such as the indicators of one category; others stay alone."""

    name: ClassVar[str] = "columns"
    groups: Annotated[tuple[tuple[int, ...], ...], BeforeValidator(lambda groups: _nested(groups))]
    """Groups of column numbers, counted from zero. A column in no group is a feature by itself."""

    def check(self) -> None:
        """Refuse a column that is in two groups."""
        members = [column for group in self.groups for column in group]
        if len(set(members)) < len(members) or any(column < 0 for column in members):
            raise ArgumentError(f"Columns: groups: expected every column once, from zero, got {self.groups}")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for tables, which alone have columns."""
        return traits.modality == "table"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return a number for each column."""
        shape = positions_of(values, channel_dim)
        ids = torch.arange(shape.numel(), device=values.device)
        for group in self.groups:
            if max(group, default=0) >= len(ids):
                raise ArgumentError(f"Columns: groups: expected columns below {len(ids)}, got {max(group)}")
            ids[list(group)] = min(group, default=0)
        return consecutive(ids.reshape(1, *shape))


class Words(FeatureMask):
    """Joins the sub-word tokens of each word, for token ids (examples, tokens)."""

    name: ClassVar[str] = "words"
    continues: Tensor
    """True for each id of the vocabulary whose token continues the word before it, (ids,)."""
    special: tuple[int, ...] = ()
    """Ids of special tokens, each of which is a feature by itself."""

    def check(self) -> None:
        """Refuse a ``continues`` that is not one truth value for each id."""
        if self.continues.ndim != 1 or self.continues.dtype != torch.bool:
            raise ArgumentError(
                f"Words: continues: expected a truth value for each id, got {self.continues.dtype} of shape "
                f"{tuple(self.continues.shape)}; Words.of(tokenizer) makes it"
            )

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """Read the vocabulary of a transformers tokenizer: WordPiece (``##ing``), SentencePiece (``_the``) or bytes."""
        tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
        starts = ("\u2581", "\u0120", "\u010a")  # SentencePiece's and byte-level BPE's signs of a space or a new line
        spaced = any(token.startswith(starts) for token in tokens)
        continues = [not token.startswith(starts) if spaced else token.startswith("##") for token in tokens]
        return cls(torch.tensor(continues), tuple(sorted(tokenizer.all_special_ids)))

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Return True for token ids, which alone say what token stands where."""
        return traits.modality == "text" and traits.discrete

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the word of each token."""
        if values.is_floating_point() or values.ndim != 2:
            raise ArgumentError(
                f"Words: expected token ids (examples, tokens), got {values.dtype} of shape {tuple(values.shape)}; "
                "at an embedding, take Given.of_word_ids"
            )
        if int(values.max()) >= len(self.continues) or int(values.min()) < 0:
            raise ArgumentError(f"Words: expected ids below {len(self.continues)}, got {int(values.max())}")
        special = torch.isin(values, torch.tensor(self.special, dtype=values.dtype, device=values.device))
        begins = special | ~self.continues.to(values.device)[values]
        begins[:, 0] = True
        begins[:, 1:] |= special[:, :-1]
        return begins.cumsum(1) - 1


class Given(FeatureMask):
    """Uses ids that the user has computed, such as a segmentation made by another program."""

    name: ClassVar[str] = "given"
    ids: Tensor
    """Whole numbers (1 or examples, *positions); positions with equal numbers are one feature."""

    def check(self) -> None:
        """Refuse ids that are not whole numbers."""
        if self.ids.is_floating_point() or self.ids.ndim < 1 or not self.ids.numel():
            raise ArgumentError(
                f"Given: ids: expected whole numbers (1 or examples, *positions), got {self.ids.dtype} of shape "
                f"{tuple(self.ids.shape)}"
            )

    @classmethod
    def of_word_ids(cls, word_ids: Sequence[Sequence[int | None]]) -> Self:
        """Read the ``word_ids()`` of each text's encoding; a token outside of words (None) is a feature by itself."""
        rows = [[k if word is None else len(row) + word for k, word in enumerate(row)] for row in word_ids]
        if len({len(row) for row in rows}) != 1:
            raise ArgumentError(f"word_ids: expected texts of one length, got {[len(row) for row in rows]}")
        return cls(torch.tensor(rows))

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids, numbered without gaps."""
        shape = positions_of(values, channel_dim)
        if self.ids.shape[1:] != shape or len(self.ids) not in (1, len(values)):
            raise ShapeError(
                f"Given: ids: expected shape (1 or {len(values)}, {', '.join(map(str, shape))}), "
                f"got {tuple(self.ids.shape)}"
            )
        return consecutive(self.ids.to(values.device))


def _nested(groups: object) -> object:
    """Return groups of columns as tuples; anything else unchanged, so that the field's own check refuses it."""
    if not isinstance(groups, (tuple, list)):
        return groups
    return tuple(tuple(group) if isinstance(group, (tuple, list)) else group for group in groups)
