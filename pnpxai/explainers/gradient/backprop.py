"""Explains by gradients through ReLUs that pass back only positive values."""

from __future__ import annotations

from typing import ClassVar

from pnpxai.attributors import Deconvolution as DeconvolutionBackend
from pnpxai.attributors import GuidedBackprop as GuidedBackpropBackend
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["Deconvolution", "GuidedBackprop"]


class ThroughReLU(Explainer, abstract=True):
    """Refuses models without a ReLU, for which both methods would be the plain gradient."""

    needs_module: ClassVar[bool] = True

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse models without a ReLU."""
        if facts.is_module and not facts.rectified:
            return f"changes what ReLUs pass back; {facts.name} has none, so it would be the plain gradient"
        return super().reason_against(facts, traits)


class GuidedBackprop(ThroughReLU):
    """Computes the gradient with ReLUs that pass back [x > 0] * max(g, 0). Springenberg et al., 2015 (arXiv:1412.6806).

    x is the input of a ReLU, and g the gradient that arrives at its output. The method is made for convolutions: in a
    network of small linear layers, the map is easily zero everywhere.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})

    def attributor(self) -> GuidedBackpropBackend:
        """Return ``GuidedBackprop``."""
        return GuidedBackpropBackend(self.forward_func, needs_relu=True)


class Deconvolution(ThroughReLU):
    """Computes the gradient with ReLUs that pass back max(g, 0). Zeiler and Fergus, 2014 (arXiv:1311.2901).

    g is the gradient that arrives at the output of a ReLU; its input plays no part.
    """

    def attributor(self) -> DeconvolutionBackend:
        """Return ``Deconvolution``."""
        return DeconvolutionBackend(self.forward_func, needs_relu=True)
