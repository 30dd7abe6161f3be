"""The columns of an explained table: for each its name, its values and its attributions, groups counted once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.group_values import counted_once
from pnpxai.explainers.results.match_inputs import whose
from pnpxai.pictures import TableColumns, View, drawing_of, table_values

if TYPE_CHECKING:
    from pnpxai.explainers.results.explanation import Explanation

__all__ = ["table_columns"]


def table_columns(explanation: Explanation, *, groups: bool = True) -> TableColumns:
    """Return the columns of an explained table; several explained inputs stand side by side.

    Args:
        explanation: rows of one table, or of several tables and columns of categories.
        groups: columns that a feature mask joins count as one column, which holds the group's value once; such as the
            columns ``colour=red`` and ``colour=blue``, which become the column ``colour``.

    Raises:
        ArgumentError: what is explained is no table.
    """
    maps = explanation.attributions
    owners = whose(maps, explanation.inputs)
    views = [explanation.views[own] if own < len(explanation.views) else View() for own in owners]
    one_hot = any(view.groups for view in views)
    if one_hot and explanation.feature_mask is not None:
        maps = counted_once(maps, explanation.feature_mask)
    parts = [
        _of_member(explanation, maps[k], own, view) for k, (own, view) in enumerate(zip(owners, views, strict=True))
    ]
    names: list[str] = []
    for member, part in enumerate(parts):
        for k in range(part.values.shape[1]):
            name = part.names[k] if part.names else ""
            name = name or (f"column {k}" if len(parts) == 1 else f"input {member}, {k}")
            names.append(name if name not in names else f"{name} (input {member})")
    made = TableColumns(
        tuple(names),
        np.concatenate([part.attributions for part in parts], 1),
        np.concatenate([part.values for part in parts], 1),
        tuple(levels for part in parts for levels in part.levels),
        tuple(date for part in parts for date in part.dates),
    )
    if not groups or one_hot or explanation.feature_mask is None:
        return made
    return _grouped(made, torch.cat([ids.reshape(len(ids), -1) for ids in explanation.feature_mask], 1))


def _of_member(explanation: Explanation, maps: Tensor, own: int, view: View) -> TableColumns:
    """Return the columns of one explained input."""
    x = explanation.inputs[own]
    if drawing_of(view, x.ndim, not x.is_floating_point()).form != "table":
        raise ArgumentError("explanation: expected rows of a table; other maps are in attributions")
    rows, columns = len(explanation), x[0].numel()
    summed = maps.detach().cpu().reshape(rows, columns, -1).sum(2).double().numpy()
    return table_values(summed, x.detach().cpu().reshape(rows, columns).double().numpy(), view)


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
        tuple(len(places) == 1 and columns.dates[places[0]] for places in groups),
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
