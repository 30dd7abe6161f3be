"""Explains by the gradient, and by the gradient times the input."""

from __future__ import annotations

from pnpxai.attributors import InputXGradient, Saliency
from pnpxai.attributors.base import Configured
from pnpxai.explainers.base import Explainer

__all__ = ["Gradient", "GradientXInput"]


class Gradient(Explainer):
    """Computes dF/dx, the gradient of the score, with signs. Simonyan et al., 2014 (arXiv:1312.6034)."""

    def attributor(self) -> Configured:
        """Return ``Saliency`` without absolute values."""
        return Saliency(self.forward_func).configured(abs=False)


class GradientXInput(Explainer):
    """Computes x * dF/dx, the input times the gradient of the score. Shrikumar et al., 2016 (arXiv:1605.01713)."""

    def attributor(self) -> InputXGradient:
        """Return ``InputXGradient``."""
        return InputXGradient(self.forward_func)
