"""Explains by gradients integrated along a path from a baseline."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Ge

from pnpxai.attributors import IntegratedGradients as Backend
from pnpxai.attributors.base import Configured
from pnpxai.declare.declared import Choice, Range
from pnpxai.explainers.base import Explainer, baselines_by
from pnpxai.strategies.baselines import Baseline

__all__ = ["IntegratedGradients"]


class IntegratedGradients(Explainer):
    """Computes (x - x') * integral over a of dF/dx(x' + a (x - x')). Sundararajan et al., 2017 (arXiv:1703.01365).

    x is the input, x' the baseline and F the score; a goes from 0 to 1. The attributions sum to F(x) - F(x') up to the
    error of the quadrature.
    """

    n_steps: Annotated[int, Ge(1), Range(10, 100, step=10)] = 20
    """Number of points on the path."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """Baseline x', the start of the path."""

    first_choice: ClassVar[int | None] = 5
    repeated: ClassVar[bool] = True
    narrows_gap: ClassVar[str] = "n_steps"
    explains_up_to: ClassVar[int] = 320

    def attributor(self) -> Configured:
        """Return ``IntegratedGradients`` from the baseline."""
        return Backend(self.forward_func).configured(n_steps=self.n_steps, baselines=baselines_by(self.baseline_fn))
