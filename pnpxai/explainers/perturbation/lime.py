"""Explains by a linear model that is fitted around each example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from pnpxai.attributors import Lime as Backend
from pnpxai.attributors.base import Configured
from pnpxai.attributors.perturbation.ridge import Ridge
from pnpxai.declare.declared import Choice, Range
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask

__all__ = ["Lime"]


class Lime(GroupedPerturbation):
    """Computes w that minimises sum_k p_k (F(z_k) - w z_k - c)^2 + |w|^2 over random sets z_k. Ribeiro et al., 2016.

    F is the score of the input with the features of z_k present, p_k the nearness of that input to the whole input
    (arXiv:1602.04938). The fit is a ridge regression (penalty 1), as in the authors' own program: its weights scale
    with the scores. A lasso with a fixed penalty of 0.01 gives maps of zeros where scores are small (15 of 24 on a
    small residual network with 30 samples).
    """

    n_samples: Annotated[int, Ge(1), Range(10, 100, step=10)] = 30
    """Number of random sets; a few times the number of features for a stable answer."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"  # named again for its place
    feature_mask_fn: Annotated[FeatureMask | str, Choice()] = "auto"
    perturb_fn: Callable[..., Any] | None = None
    """Draws a set, zeros and ones (1, features), as ``perturb_func`` of ``attributors.Lime``; by default each feature
    is present with probability one half."""

    stochastic: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``Lime`` on the features."""
        backend = Backend(self.forward_func, Ridge(alpha=1.0), perturb_func=self.perturb_fn)
        return backend.configured(n_samples=self.n_samples, **self.game())
