"""Rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import Modality, Names, along_time, reads_ids
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.known_features import Columns
from pnpxai.traits import Traits

__all__ = ["TabularModality"]

Levels: TypeAlias = tuple[tuple[int, tuple[str, ...]], ...]
Groups: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
_FAR_OUT = 10
"""A value is far out if it lies more than so many interquartile ranges outside of its column's quartiles."""


class TabularModality(Modality):
    """Rows of a table."""

    name: ClassVar[str] = "table"
    names_positions: ClassVar[bool] = True
    needs_all_rows: ClassVar[bool] = True
    feature_names: Names = ()
    """The columns' names."""
    discrete: bool = False
    """Whether values are ids of categories, which an embedding reads."""

    levels: Levels = ()
    """Of columns of categories in a table of numbers the places, and the words that the codes 0, 1, ... stand for; no
    words where numbers stand for themselves."""
    groups: Groups = ()
    """Columns that are one category, as a one-hot encoder makes them: its name, and the places of its columns."""
    joined: bool = False
    """Whether the columns of such a category are present or absent together, and its most frequent level is the
    default baseline; else they are added up where they are shown."""
    dates: tuple[int, ...] = ()
    """The places of columns of dates, which are days since 1970 began."""
    scales: tuple[tuple[float, float], ...] = ()
    """For each column (factor, offset): what is shown of a number is factor * number + offset."""

    @property
    def traits(self) -> Traits:
        """No channels; neighbouring columns have nothing to do with each other."""
        return Traits.table(self.discrete)

    @classmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Recognise two axes of numbers without a layer along them, or one axis of ids that an embedding reads."""
        if values.ndim == 1 and not values.is_floating_point() and reads_ids(model):
            return cls(discrete=True), "whole numbers in one dimension, and an embedding, are a column of categories"
        if values.ndim != 2 or not values.is_floating_point() or along_time(model, values):
            return None
        return cls(), "numbers in two dimensions are rows of a table"

    @classmethod
    def named(cls, values: Tensor, model: Model) -> Modality:
        """Return a table of numbers, or of ids, if there is an embedding to read them."""
        return cls(discrete=not values.is_floating_point() and reads_ids(model))

    def baseline(self, values: Tensor) -> Baseline:
        """Return the columns' means, of categories the most frequent one, also of those of several columns.

        Zero would be a value like any other, and may lie far outside of the data.
        """
        if self.discrete:
            return Background(values.detach().mode(0, keepdim=True).values.cpu())
        rows = values.detach().double()
        center = rows.nanmean(0, keepdim=True)
        for place, _ in self.levels:
            known = rows[:, place][~rows[:, place].isnan()]
            center[0, place] = known.mode().values if len(known) else torch.nan
        for _, places in self.groups if self.joined else ():
            known, counts = rows[:, list(places)].unique(dim=0, return_counts=True)
            center[0, list(places)] = known[counts.argmax()]
        return Background(center.to(values.dtype).cpu())

    def common(self, inputs: Sequence[Tensor]) -> Settings:
        """Return what all kinds share, and of numbers how far each column spreads, which noise is to follow.

        Values that are far out, as of a broken sensor, do not count: else one bad row would set the noise of all rows.
        """
        settings = super().common(inputs)
        if self.discrete:
            return settings
        rows = _without_far_out(inputs[0].detach().double())
        centred = rows - rows.nanmean(0, keepdim=True)
        spread = centred.square().nanmean(0).sqrt().nan_to_num()
        settings |= {"column_spread": spread.to(inputs[0].dtype).cpu()}
        groups = tuple(places for _, places in self.groups if self.joined)
        return settings | ({"feature_mask_fn": Columns(groups)} if groups else {})

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view with the columns' names."""
        wanted = values.shape[1:].numel()
        if self.feature_names and len(self.feature_names) != wanted:
            raise ArgumentError(f"feature_names: expected {wanted}, one for each column, got {len(self.feature_names)}")
        return View(
            "table", None, names=self.feature_names, classes=classes, levels=self.levels, groups=self.groups,
            dates=self.dates, scales=self.scales,
        )  # fmt: skip


def _without_far_out(rows: Tensor) -> Tensor:
    """Return rows with NaN in place of values that are far out; columns of one value for the most part stay."""
    low, high = rows.nanquantile(rows.new_tensor([0.25, 0.75]), 0)
    reach = torch.where(high > low, _FAR_OUT * (high - low), torch.inf)
    return rows.masked_fill((rows < low - reach) | (rows > high + reach), torch.nan)
