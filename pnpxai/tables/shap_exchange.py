"""Explanations of tables as those of the library shap, for its plots, and back."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.results.table_columns import table_columns
from pnpxai.pictures import View

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ShapExplanation", "from_shap", "to_shap"]


class ShapExplanation(Protocol):
    """What of ``shap.Explanation`` is read."""

    values: ArrayLike
    """(rows, columns) the attributions."""
    base_values: ArrayLike
    """One number, or (rows,): what the attributions start from."""
    data: ArrayLike
    """(rows, columns) the values that the model read."""
    feature_names: Sequence[object] | None
    """The columns' names, or None."""


def to_shap(explanation: Explanation) -> ShapExplanation:
    """Return an explanation of rows of a table as shap has it, so that shap's own plots draw it.

    ``values`` are the attributions (rows, columns), ``base_values`` what they start from: the base value, or where the
    method knows none, what is left of the scores. ``display_data`` has words in place of the codes of categories.

    Raises:
        ArgumentError: what is explained is no table.
        MissingExtraError: shap is not installed.
    """
    try:
        shap = importlib.import_module("shap")
    except ImportError as missing:
        raise MissingExtraError("to_shap needs the library shap: pip install shap") from missing
    columns = table_columns(explanation)
    scores = np.broadcast_to(explanation.scores.detach().double().cpu().numpy(), (len(explanation),))
    base = scores - columns.attributions.sum(1)
    if explanation.base_value is not None:
        base = np.broadcast_to(explanation.base_value.detach().double().cpu().numpy(), (len(explanation),))
    shown = columns.values.astype(object)
    for k, (levels, date) in enumerate(zip(columns.levels, columns.dates, strict=True)):
        if levels or date:
            shown[:, k] = [columns.text(k, value) for value in columns.values[:, k].tolist()]
    return shap.Explanation(
        columns.attributions, base.copy(), columns.values, display_data=shown,
        feature_names=list(columns.names),
    )  # fmt: skip


def from_shap(values: ShapExplanation, *, explainer: str = "shap") -> Explanation:
    """Return what shap explained, rows of a table and one output, as an ``Explanation``.

    Args:
        values: with ``values`` (rows, columns), ``base_values`` and ``data``; of several outputs one, such as
            ``values[..., 1]``.
        explainer: what to call the method.

    Raises:
        ArgumentError: it has several outputs, or its rows hold no numbers.
    """
    attributions = np.atleast_2d(np.asarray(values.values, dtype=float))
    if attributions.ndim != 2:
        raise ArgumentError(
            f"values: expected (rows, columns), got {attributions.shape}; choose one output, such as values[..., 1]"
        )
    rows = len(attributions)
    try:
        data = np.asarray(values.data, dtype=float).reshape(rows, -1)
    except (TypeError, ValueError) as problem:
        raise ArgumentError("values.data: expected numbers; encode words before explaining them") from problem
    base = np.broadcast_to(np.asarray(values.base_values, dtype=float).reshape(-1), (rows,)).copy()
    names = values.feature_names if values.feature_names is not None else ()
    maps = torch.from_numpy(attributions)
    return Explanation(
        explainer, {}, (maps,), (torch.from_numpy(data),), None, torch.from_numpy(base) + maps.sum(1), None, 0.0,
        views=(View("table", None, names=tuple(map(str, names))),), base_value=torch.from_numpy(base),
    )  # fmt: skip
