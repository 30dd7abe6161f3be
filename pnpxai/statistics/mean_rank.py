"""The lowest rank, averaged over metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from pnpxai.declare.encoding import unlabelled
from pnpxai.errors import ArgumentError
from pnpxai.statistics.decision import Decision, DecisionRule, decision_by_ranks
from pnpxai.statistics.ranks import ranks

__all__ = ["MeanRank"]


class MeanRank(DecisionRule):
    """Lowest per-example rank, averaged over metrics, with one chance of error over all that is said.

    The best beats every control, and the set holds all that cannot be told from it; see ``decision_by_ranks``.
    """

    metrics: tuple[str, ...] = ("AbPC", "FaithfulnessCorrelation")
    """The metrics that decide (those that were measured), by label; by a class's name, all of that class."""
    level: Annotated[float, Gt(0), Lt(1)] = 0.95
    """Confidence of all statements together, and of each interval."""
    n_draws: Annotated[int, Ge(100)] = 2000
    """Draws of the intervals of mean ranks."""
    seed: int = 0
    """Seed of these draws."""

    def decide(
        self,
        values: Mapping[str, Mapping[str, Sequence[float]]],
        directions: Mapping[str, bool],
        controls: Sequence[str] = (),
    ) -> Decision:
        """Return the decision; see ``DecisionRule``."""
        named = (label for name in self.metrics for label in values if name in (label, unlabelled(label)))
        deciding = tuple(dict.fromkeys(named)) or tuple(values)
        if not deciding:
            raise ArgumentError("metrics: expected at least one that was measured, got none")
        labels = list(values[deciding[0]])
        tables = {m: np.stack([np.asarray(values[m][label], float) for label in labels], -1) for m in deciding}
        rank = np.mean([ranks(t, higher_is_better=directions[m]) for m, t in tables.items()], axis=0)
        columns = {label: rank[:, k] for k, label in enumerate(labels)}
        mute = [label for k, label in enumerate(labels) if all(np.isnan(t[:, k]).all() for t in tables.values())]
        return decision_by_ranks(
            columns, deciding, controls=controls, mute=mute, level=self.level, n_draws=self.n_draws, seed=self.seed
        )
