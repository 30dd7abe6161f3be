"""What counts as one feature: ids over positions, equal ids belonging together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Self

import torch
from annotated_types import Ge
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.declare import Range
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.base import Strategy
from pnpxai.traits import Traits

__all__ = [
    "Columns",
    "EachMask",
    "FeatureMask",
    "Given",
    "Grid",
    "Patches",
    "Positions",
    "Words",
    "channel_axis",
    "consecutive",
    "positions_of",
]


class FeatureMask(Strategy, abstract=True):
    """Gives the features' ids 0, 1, ..., for each example without gaps: (1 or examples, *positions)."""

    @abstractmethod
    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids.

        Args:
            values: (examples, ...) inputs.
            channel_dim: the axis whose entries belong to one position; None where there is none.
        """


class Positions(FeatureMask):
    """Every pixel, token, time step or column is a feature of its own, all its channels together."""

    name: ClassVar[str] = "positions"
    aliases: ClassVar[tuple[str, ...]] = ("no_mask_1d", "no_mask_2d")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """A picture has too many to be tried one by one."""
        return traits.modality != "image"

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return running numbers."""
        shape = positions_of(values, channel_dim)
        return torch.arange(shape.numel(), device=values.device).reshape(1, *shape)


class Patches(FeatureMask):
    """Squares of pixels (windows of a series) of a fixed size; those at the far border may be smaller."""

    name: ClassVar[str] = "patches"
    aliases: ClassVar[tuple[str, ...]] = ("windows",)
    size: Annotated[int, Ge(1), Range(2, 16, step=2)] = 4
    """Side of a patch, in positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Neighbours must mean something."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the patch of each position."""
        return _boxes(values, channel_dim, lambda places, side: places // self.size)


class Grid(FeatureMask):
    """A picture (a series) cut into as many parts along each axis, whatever its size."""

    name: ClassVar[str] = "grid"
    aliases: ClassVar[tuple[str, ...]] = ("checker",)
    cells: Annotated[int, Ge(1), Range(2, 16, step=2)] = 8
    """Number of parts along each axis; a shorter axis has as many as positions."""

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Neighbours must mean something."""
        return traits.modality in ("image", "series")

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the number of the cell of each position."""
        return _boxes(values, channel_dim, lambda places, side: places * min(self.cells, side) // side)


class Columns(FeatureMask):
    """Groups of columns that belong together, such as the indicators of one category; all others are alone."""

    name: ClassVar[str] = "columns"
    groups: Annotated[tuple[tuple[int, ...], ...], BeforeValidator(lambda given: _nested(given))]
    """The columns' numbers, group by group, from zero."""

    def check(self) -> None:
        """Refuse columns in two groups."""
        members = [column for group in self.groups for column in group]
        if len(set(members)) < len(members) or any(column < 0 for column in members):
            raise ArgumentError(f"Columns: groups: expected every column once, from zero, got {self.groups}")

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Only a table has columns."""
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
    """Sub-word tokens of one word together, for token ids (examples, tokens)."""

    name: ClassVar[str] = "words"
    continues: Tensor
    """For each id of the vocabulary, whether such a token belongs to the word before it."""
    special: tuple[int, ...] = ()
    """The ids of special tokens, each of which is alone."""

    def check(self) -> None:
        """Refuse anything but one truth value for each id."""
        if self.continues.ndim != 1 or self.continues.dtype != torch.bool:
            raise ArgumentError(
                f"Words: continues: expected a truth value for each id, got {self.continues.dtype} of shape "
                f"{tuple(self.continues.shape)}; Words.of(tokenizer) makes it"
            )

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """Read the vocabulary of a transformers tokenizer: WordPiece (``##ing``), SentencePiece (``_the``) or bytes."""
        tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
        starts = ("\u2581", "\u0120", "\u010a")  # SentencePiece's and byte-level BPE's signs of a space or a new line
        spaced = any(token.startswith(starts) for token in tokens)
        continues = [not token.startswith(starts) if spaced else token.startswith("##") for token in tokens]
        return cls(torch.tensor(continues), tuple(sorted(tokenizer.all_special_ids)))

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Only ids say which token it is."""
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
    """Ids that are known beforehand, such as a segmentation of one's own."""

    name: ClassVar[str] = "given"
    ids: Tensor
    """(1 or examples, *positions) whole numbers; equal ones belong together."""

    def check(self) -> None:
        """Refuse ids that are no whole numbers."""
        if self.ids.is_floating_point() or self.ids.ndim < 1 or not self.ids.numel():
            raise ArgumentError(
                f"Given: ids: expected whole numbers (1 or examples, *positions), got {self.ids.dtype} of shape "
                f"{tuple(self.ids.shape)}"
            )

    @classmethod
    def of_word_ids(cls, word_ids: Sequence[Sequence[int | None]]) -> Self:
        """Read the ``word_ids()`` of each text's encoding; tokens outside of words (None) are alone."""
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


class EachMask(FeatureMask):
    """A mask of its own for each input of a model."""

    name: ClassVar[str] = "each"
    strategies: Annotated[
        tuple[FeatureMask, ...],
        BeforeValidator(
            lambda given: tuple(map(FeatureMask.from_name, given)) if isinstance(given, (tuple, list)) else given
        ),
    ]
    """One for each input, by name or as objects."""

    def __call__(self, values: Tensor, channel_dim: int | None = None) -> Tensor:
        """Return the ids of a model's only input."""
        return self.strategies[0](values, channel_dim)


def channel_axis(values: Tensor, channel_dim: int | None) -> int | None:
    """Return the axis of channels, counted from the front; ids and rows of a table (two dimensions) have none."""
    if channel_dim is None or values.ndim <= 2:
        return None
    if not -values.ndim <= channel_dim < values.ndim or channel_dim % values.ndim == 0:
        raise ArgumentError(
            f"channel_dim: expected an axis of inputs with {values.ndim} dimensions, not the first, got {channel_dim}"
        )
    return channel_dim % values.ndim


def positions_of(values: Tensor, channel_dim: int | None) -> torch.Size:
    """Return the shape of an example's positions: all axes but examples and channels."""
    axis = channel_axis(values, channel_dim)
    return torch.Size(side for k, side in enumerate(values.shape) if k not in (0, axis))


def consecutive(ids: Tensor) -> Tensor:
    """Return (examples, ...) the same groups, numbered 0, 1, ... in each example."""
    return torch.stack([row.unique(return_inverse=True)[1] for row in ids])


def _boxes(values: Tensor, channel_dim: int | None, part: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Number the boxes that ``part(places, side)`` cuts each axis into."""
    ids = torch.zeros((), dtype=torch.long)
    for side in positions_of(values, channel_dim):
        along = part(torch.arange(side), side)
        ids = ids[..., None] * int(along[-1] + 1) + along
    return ids.to(values.device)[None]


def _nested(given: Any) -> Any:
    if not isinstance(given, (tuple, list)):
        return given
    return tuple(tuple(group) if isinstance(group, (tuple, list)) else group for group in given)
