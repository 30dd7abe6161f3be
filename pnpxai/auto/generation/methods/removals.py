"""Methods that make units absent and look at what the scores of the response lose."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge

from pnpxai.attributors.perturbation.designs import Budget, Estimator, design_of
from pnpxai.attributors.perturbation.estimates import estimated
from pnpxai.auto.generation.methods.base import ResponseMethod, UnitValues
from pnpxai.auto.generation.task import Task

__all__ = ["PromptLeaveOneOut", "PromptShapleyValues"]


class PromptLeaveOneOut(ResponseMethod):
    """a_i = F(all) - F(all but i): what a unit's score loses if one unit of the prompt is absent.

    Li et al., 2016 (arXiv:1612.08220). Evidence that stands twice is not seen: each one alone is not missed.
    """

    def values(self, task: Task) -> UnitValues:
        """Return the values of a task, from one row for each player and one for the whole."""
        count = len(task.players)
        found = task.scores(torch.cat([torch.ones(1, count, dtype=torch.bool), ~torch.eye(count, dtype=torch.bool)]))
        return UnitValues((found[:1] - found[1:]).T, found[0])


class PromptShapleyValues(ResponseMethod):
    r"""a_i = \sum_S |S|! (n - |S| - 1)! / n! (F(S + i) - F(S)): a unit's mean gain over all orders in which units join.

    Shapley, 1953. Exact up to 12 players, else by the estimators of ``ShapleyValues``, at its default budget; one
    forward pass of a coalition serves all units of the response.
    """

    n_samples: Annotated[int, Ge(2)] | Literal["auto"] = "auto"
    """Number of coalitions, as of ``ShapleyValues``."""
    estimator: Estimator = "auto"
    """How values are estimated; "permutation" and "leverage" have a standard error."""
    seed: int = 0
    """Of which coalitions are drawn."""

    def values(self, task: Task) -> UnitValues:
        """Return the values of a task; they sum to F(all) - F(none)."""
        design, method = design_of(Budget(self.n_samples, self.estimator), len(task.players), self.seed)
        found = task.scores(design.present)
        estimate = estimated(design, found.T, method)
        scores, base = found[design.full], found[design.empty]
        gap = scores - base - estimate.values.sum(1)
        return UnitValues(estimate.values, scores, gap=gap, base=base, standard_error=estimate.standard_error)
