"""Explains by gradients at random points between baselines and noisy inputs."""

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
from pnpxai.explainers.baseline_adapters import is_background, rows_by, starts_by
from pnpxai.explainers.sampled import Sampled
from pnpxai.strategies.baselines import Baseline
from pnpxai.tensors import Tensors

__all__ = ["GradientShap"]


class GradientShap(Sampled):
    """Computes E[(x - x') * dF/dx(x' + a (x - x'))] over random x' and a. Erion et al., 2021 (arXiv:1906.10670).

    These expected gradients approximate SHAP values (Lundberg and Lee, 2017, arXiv:1705.07874). F is the score, x the
    input with noise, and a is uniform in [0, 1]. The baseline x' is a row of a ``Background``, drawn anew for each
    point; with any other ``baseline_fn`` it is the example's own baseline.
    """

    n_samples: Annotated[int, Ge(1), Range(10, 100, step=10)] = 20
    """Number of random points."""
    noise_level: Annotated[float, Ge(0), Range(0.0, 0.5, step=0.05)] = 0.1
    """Standard deviation of the noise, as a fraction of each example's range (max - min), or of ``column_spread``."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """Baseline x'."""
    column_spread: Tensor | None = dataclasses.field(default=None, kw_only=True)
    """Spread of each column of a table over the data (columns,), since every column has its own unit. ``auto_explain``
    sets it to the standard deviations without outliers."""

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
        rule = self.baseline_fn
        return rows_by(rule, inputs) if is_background(rule) else OwnBaselines(starts_by(rule, inputs))


ExpectedGradients = GradientShap
