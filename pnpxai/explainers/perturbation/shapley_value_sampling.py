"""Shapley values from random orders of features."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Ge

from pnpxai.attributors import ShapleyValueSampling as Backend
from pnpxai.attributors.base import Configured
from pnpxai.declare.declared import Range
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation

__all__ = ["ShapleyValueSampling"]


class ShapleyValueSampling(GroupedPerturbation):
    """Mean gain of score when a feature joins those before it in a random order.

    Castro et al., 2009 (doi:10.1016/j.cor.2008.04.004); Strumbelj and Kononenko, 2010. Unbiased for any number of
    orders; each runs the model once for every feature.
    """

    n_samples: Annotated[int, Ge(1), Range(5, 50, step=5)] = 10
    """Number of orders."""

    stochastic: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``ShapleyValueSampling`` of the features."""
        return Backend(self.forward_func).configured(n_samples=self.n_samples, **self.game())
