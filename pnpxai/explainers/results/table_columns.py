"""The columns of an explained table: for each its name, its values and its attributions, groups counted once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.match_inputs import whose
from pnpxai.pictures import View, drawing_of

if TYPE_CHECKING:
    from pnpxai.explainers.results.explanation import Explanation

__all__ = ["TableColumns", "table_columns"]


@dataclass(frozen=True)
class TableColumns:
    """The columns of explained rows.

    Attributes:
        names: the columns' names.
        attributions: (rows, columns) what each column contributes.
        values: (rows, columns) the values that the model read; a category's code.
        levels: for each column the words that the codes 0, 1, ... stand for; empty for a column of numbers.
    """

    names: tuple[str, ...]
    attributions: np.ndarray
    values: np.ndarray
    levels: tuple[tuple[str, ...], ...]


def table_columns(explanation: Explanation, *, groups: bool = True) -> TableColumns:
    """Return the columns of an explained table; several explained inputs stand side by side.

    Args:
        explanation: rows of one table, or of several tables and columns of categories.
        groups: columns that a feature mask joins count as one column, which holds the group's value once; such as the
            columns ``colour=red`` and ``colour=blue``, which become the column ``colour``.

    Raises:
        ArgumentError: what is explained is no table.
    """
    names: list[str] = []
    attributions, values, levels = [], [], []
    for member, maps in enumerate(explanation.attributions):
        own = whose(explanation.attributions, explanation.inputs)[member]
        view = explanation.views[own] if own < len(explanation.views) else View()
        x = explanation.inputs[own]
        if drawing_of(view, x.ndim, not x.is_floating_point()).form != "table":
            raise ArgumentError("explanation: expected rows of a table; other maps are in attributions")
        maps, columns = maps.detach().cpu(), x[0].numel()
        attributions.append(maps.reshape(len(explanation), columns, -1).sum(2).double().numpy())
        values.append(x.detach().cpu().reshape(len(explanation), columns).double().numpy())
        words = dict(view.levels)
        levels += [tuple(words.get(k, ())) for k in range(columns)]
        for k in range(columns):
            name = view.names[k] if len(view.names) == columns else ""
            name = name or (f"column {k}" if len(explanation.attributions) == 1 else f"input {member}, {k}")
            names.append(name if name not in names else f"{name} (input {member})")
    made = TableColumns(tuple(names), np.concatenate(attributions, 1), np.concatenate(values, 1), tuple(levels))
    if not groups or explanation.feature_mask is None:
        return made
    return _grouped(made, torch.cat([ids.reshape(len(ids), -1) for ids in explanation.feature_mask], 1))


def _grouped(columns: TableColumns, feature_mask: Tensor) -> TableColumns:
    """Return columns of which those of one feature are one column."""
    if feature_mask.shape[1] != len(columns.names) or not bool((feature_mask == feature_mask[:1]).all()):
        return columns
    ids = feature_mask[0].cpu().numpy()
    groups = [np.flatnonzero(ids == label) for label in dict.fromkeys(ids[ids >= 0].tolist())]
    joined = [_joined(columns, places) for places in groups]
    return TableColumns(
        tuple(name for name, *_ in joined),
        np.stack([columns.attributions[:, places[0]] for places in groups], 1),
        np.stack([values for _, values, _ in joined], 1),
        tuple(levels for *_, levels in joined),
    )


def _joined(columns: TableColumns, places: np.ndarray) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Return the name, the values and the levels of several columns as one: its largest member is its level."""
    members = [columns.names[k] for k in places]
    if len(places) == 1:
        return members[0], columns.values[:, places[0]], columns.levels[places[0]]
    prefix = os.path.commonprefix(members)
    name = prefix.rstrip("=_-:. ")
    if not name or len(prefix) == len(name):  # no name that all members begin with, and a mark after it
        return " + ".join(members), columns.values[:, places].argmax(1).astype(float), tuple(members)
    levels = tuple(member[len(prefix) :] for member in members)
    return name, columns.values[:, places].argmax(1).astype(float), levels
