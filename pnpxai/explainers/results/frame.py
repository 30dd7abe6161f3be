"""Writes the explanation of a table as a pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.match_inputs import whose
from pnpxai.pictures import View, drawing_of

if TYPE_CHECKING:
    import pandas as pd

    from pnpxai.explainers.results.explanation import Explanation

__all__ = ["frame_of"]


def frame_of(explanation: Explanation) -> pd.DataFrame:
    """Return one row for each example and one column for each column of the table, with target and score.

    Raises:
        ArgumentError: what is explained is not a table.
    """
    import pandas as pd

    parts: dict[str, Any] = {}
    for member, maps in enumerate(explanation.attributions):
        own = whose(explanation.attributions, explanation.inputs)[member]
        view = explanation.views[own] if own < len(explanation.views) else View()
        x = explanation.inputs[own]
        if drawing_of(view, x.ndim, not x.is_floating_point()).form != "table":
            raise ArgumentError("to_frame: expected tables; other maps are in attributions")
        columns = maps.reshape(len(explanation), x[0].numel(), -1).sum(2).cpu()
        names = view.names if len(view.names) == columns.shape[1] else ()
        for k in range(columns.shape[1]):
            unnamed = f"column {k}" if len(explanation.attributions) == 1 else f"input {member}, {k}"
            name = names[k] if names else unnamed
            parts[name if name not in parts else f"{name} (input {member})"] = columns[:, k].numpy()
    targets = explanation.targets.tolist() if isinstance(explanation.targets, Tensor) else None
    if isinstance(targets, list) and len(targets) == len(explanation):
        classes = explanation.views[0].classes if explanation.views else ()
        parts["target"] = [classes[t] if isinstance(t, int) and 0 <= t < len(classes) else t for t in targets]
    return pd.DataFrame(parts | {"score": explanation.scores.expand(len(explanation)).cpu().numpy()})
