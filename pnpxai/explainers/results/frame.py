"""Writes the explanation of a table as a pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pnpxai.explainers.results.table_columns import table_columns

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

    columns = table_columns(explanation, groups=False)
    parts: dict[str, object] = dict(zip(columns.names, columns.attributions.T, strict=True))
    targets = explanation.targets.tolist() if isinstance(explanation.targets, Tensor) else None
    if isinstance(targets, list) and len(targets) == len(explanation):
        classes = explanation.views[0].classes if explanation.views else ()
        parts["target"] = [classes[t] if isinstance(t, int) and 0 <= t < len(classes) else t for t in targets]
    return pd.DataFrame(parts | {"score": explanation.scores.expand(len(explanation)).cpu().numpy()})
