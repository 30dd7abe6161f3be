"""Explains by gradients of noisy copies of the input: their mean, mean square or variance."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from pnpxai.attributors import NoiseTunnel, RelativeNoise, Saliency
from pnpxai.attributors.base import Configured
from pnpxai.declare.declared import Range
from pnpxai.engine.running.score import Target
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.sampled import Sampled
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs

__all__ = ["SmoothGrad", "SmoothGradSquared", "VarGrad"]


class NoisyGradient(Explainer, abstract=True):
    """Adds Gaussian noise to copies of the inputs (or of the layer's values), except to the last copy."""

    stochastic: ClassVar[bool] = True
    repeated: ClassVar[bool] = True
    noise_level: Annotated[float, Ge(0), Range(0.05, 0.95, step=0.05)] = 0.1
    """Standard deviation of the noise, as a fraction of each example's range (max - min), or of ``column_spread``."""
    n_iter: Annotated[int, Ge(1), Range(10, 100, step=10)] = 20
    """Number of copies."""
    column_spread: Tensor | None = dataclasses.field(default=None, kw_only=True)
    """Spread of each column of a table over the data (columns,), since every column has its own unit. ``auto_explain``
    sets it to the standard deviations without outliers."""

    def _tunnel(self, kind: Literal["smoothgrad", "smoothgrad_sq", "vargrad"]) -> Configured:
        gradient = Saliency(self.forward_func).configured(abs=False)
        noise = RelativeNoise(self.noise_level, self.column_spread)
        settings = {"nt_type": kind, "nt_samples": self.n_iter, "stdevs": noise, "last_clean": True}
        return NoisyBackend(NoiseTunnel(gradient), settings)


class NoisyBackend(Configured):
    """Is a ``NoiseTunnel`` whose ``forward`` can return the mean and the mean square together, as in PnPXAI 0.1."""

    def forward(
        self,
        forward_args: ModelInputs,
        targets: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_squared: bool = False,
    ) -> Attributions:
        """Return ``attribute`` of arguments in PnPXAI 0.1's order; with ``return_squared`` mean and mean square."""
        arguments = {"target": targets, "additional_forward_args": additional_forward_args}
        if not return_squared:
            return self.attribute(forward_args, **arguments)
        return tuple(
            self.attribute(forward_args, **arguments, nt_type=kind) for kind in ("smoothgrad", "smoothgrad_sq")
        )


class SmoothGrad(Sampled, NoisyGradient):
    """Computes the mean of dF/dx(x + e) under noise e ~ N(0, s^2). Smilkov et al., 2017 (arXiv:1706.03825)."""

    draws: ClassVar[str | None] = "n_iter"

    def attributor(self) -> Configured:
        """Return a ``NoiseTunnel`` that takes the mean."""
        return self._tunnel("smoothgrad")


class VarGrad(NoisyGradient):
    """Computes the variance of dF/dx(x + e) under noise e ~ N(0, s^2). Adebayo et al., 2018 (arXiv:1810.03307)."""

    def attributor(self) -> Configured:
        """Return a ``NoiseTunnel`` that takes the variance."""
        return self._tunnel("vargrad")


class SmoothGradSquared(Sampled, NoisyGradient):
    """Computes the mean of (dF/dx(x + e))^2 under noise e ~ N(0, s^2). Hooker et al., 2019 (arXiv:1806.10758)."""

    draws: ClassVar[str | None] = "n_iter"

    def attributor(self) -> Configured:
        """Return a ``NoiseTunnel`` that takes the mean of squares."""
        return self._tunnel("smoothgrad_sq")
