"""The sparse linear surrogate of ContextCite."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from pnpxai.auto.generation.methods.base import ResponseMethod, UnitValues
from pnpxai.auto.generation.task import Task
from pnpxai.engine.running.seeds import draws

__all__ = ["ContextCite"]

_REFITS, _FOLDS = 50, 10
_PAIRED = 3
"""From so many ablations for each unit, half of them complete the others: what pairs of units add then cancels out."""


class ContextCite(ResponseMethod):
    r"""logit p(response | S) = b + \sum_i a_i [i in S]: a sparse linear fit to random ablations (Lasso).

    Cohen-Wang et al., 2024 (arXiv:2409.00729). p is the probability of the unit of the response, which ablations hold
    fixed. Ablations differ from each other, and the whole prompt is one of what is fitted; the penalty is chosen by
    cross-validation, standard errors by refits to ablations drawn with replacement.
    """

    n_samples: Annotated[int, Ge(8)] = 64
    """Number of random ablations; of few units there may be fewer."""
    keep: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Chance of a unit to be present in an ablation."""
    seed: int = 0
    """Of which ablations are drawn."""

    def values(self, task: Task) -> UnitValues:
        """Return the coefficients; a note says so if they predict left-out ablations badly."""
        present = self._present(len(task.players))
        found = task.scores(present)
        fits = [self._fit(present.numpy(), column) for column in self._scale(task, found).T.numpy()]
        values = torch.tensor(np.stack([fit[0] for fit in fits]))
        errors = torch.tensor(np.stack([fit[1] for fit in fits]))
        worst = min(fit[2] for fit in fits)
        notes = ()
        if worst < 0.5:
            notes = (
                f"the linear surrogate predicts left-out ablations with R2 {worst:.2f} at worst: units interact, or "
                f"n_samples={self.n_samples} is too few",
            )
        scale = "logit of the probability" if _of_probabilities(task) else ""
        return UnitValues(values, found[0], standard_error=errors, scale=scale, notes=notes)

    def _present(self, count: int) -> Tensor:
        """Return (ablations, units) which units are there: first all, then others, none of them twice."""
        whole = torch.ones(1, count, dtype=torch.bool)
        if 2**count <= self.n_samples + 1:
            numbers = torch.arange(2**count).flip(0)
            return (numbers[:, None] >> torch.arange(count)) % 2 == 1
        drawn = draws(self.seed, "ContextCite", count).uniform((2 * self.n_samples, count)) < self.keep
        if self.keep == 0.5 and self.n_samples >= _PAIRED * count:
            drawn = torch.stack([drawn, ~drawn], 1).flatten(0, 1)
        distinct = dict.fromkeys(map(tuple, torch.cat([whole, drawn]).tolist()))
        return torch.tensor(list(distinct)[: self.n_samples + 1])

    def _scale(self, task: Task, scores: Tensor) -> Tensor:
        if not _of_probabilities(task):
            return scores
        log_p = scores.clamp_max(-1e-12)
        return log_p - torch.log(-torch.expm1(log_p))

    def _fit(self, present: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return coefficients, their standard errors, and the share of variance explained in left-out ablations."""
        from sklearn.linear_model import Lasso, LassoCV
        from sklearn.model_selection import KFold

        x = present.astype(float)
        spread = y.std()
        if spread < 1e-12 or x.shape[1] == 0:
            return np.zeros(x.shape[1]), np.zeros(x.shape[1]), 1.0
        scale = x.std(0)
        scale[scale == 0] = 1.0
        z, target = (x - x.mean(0)) / scale, (y - y.mean()) / spread
        folds = KFold(min(_FOLDS, len(z)), shuffle=True, random_state=self.seed)
        alphas = np.geomspace(1.0, 1e-4, 30)
        make: Any = LassoCV  # its types know no grid of penalties
        chosen = make(alphas=alphas, cv=folds, max_iter=20_000, tol=1e-6).fit(z, target)
        draw = np.random.default_rng(self.seed)
        refits = []
        for _ in range(_REFITS):
            rows = draw.integers(len(z), size=len(z))
            refits.append(Lasso(alpha=chosen.alpha_, max_iter=20_000).fit(z[rows], target[rows]).coef_)
        explained = 1 - float(chosen.mse_path_.mean(1).min()) / float(target.var())
        factor = spread / scale
        return chosen.coef_ * factor, np.std(refits, axis=0) * factor, explained


def _of_probabilities(task: Task) -> bool:
    return task.score == "log_probability" and task.against is None
