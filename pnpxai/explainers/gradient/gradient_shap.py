"""Gradients at random points between baselines and noisy inputs."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from pnpxai.attributors import GradientShap as Backend
from pnpxai.attributors import RelativeNoise
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.attributors.gradient.random_points import Distribution, OwnBaselines
from pnpxai.declare.declared import Choice, Range
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.baseline_adapters import is_background, rows_by, starts_by
from pnpxai.strategies.baselines import Baseline
from pnpxai.tensors import Tensors

__all__ = ["GradientShap"]


class GradientShap(Explainer):
    """Expected gradients. Erion et al., 2021 (arXiv:1906.10670); Lundberg and Lee, 2017 (arXiv:1705.07874).

    The gradient at random points between a baseline and noisy copies of the input, times their difference, averaged.
    Of a ``Background`` each point draws a row anew; of any other baseline each example has its own.
    """

    n_samples: Annotated[int, Ge(1), Range(10, 100, step=10)] = 20
    """Number of random points."""
    noise_level: Annotated[float, Ge(0), Range(0.0, 0.5, step=0.05)] = 0.1
    """Standard deviation of the noise, as a fraction of each example's range (max - min), or of ``column_spread``."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """Where the lines start."""
    column_spread: Tensor | None = dataclasses.field(default=None, kw_only=True)
    """Of tables, how far each column spreads over the data (columns,): columns with units of their own need noise of
    their own. ``auto_explain`` sets it to the standard deviations without values far out."""

    stochastic: ClassVar[bool] = True
    repeated: ClassVar[bool] = True
    narrows_gap: ClassVar[str] = "n_samples"
    aliases: ClassVar[tuple[str, ...]] = ("ExpectedGradients",)

    def attributor(self) -> Configured:
        """Return ``GradientShap`` from the baselines."""
        return Backend(self.forward_func).configured(
            n_samples=self.n_samples,
            stdevs=RelativeNoise(self.noise_level, self.column_spread),
            baselines=FromInputs(self._distribution),
        )

    def _distribution(self, inputs: Tensors) -> Distribution:
        given = self.baseline_fn
        return rows_by(given, inputs) if is_background(given) else OwnBaselines(starts_by(given, inputs))


ExpectedGradients = GradientShap
