"""Gradients through ReLUs that let only positive evidence back."""

from __future__ import annotations

from typing import ClassVar

from pnpxai.attributors import Deconvolution as DeconvolutionBackend
from pnpxai.attributors import GuidedBackprop as GuidedBackpropBackend
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["Deconvolution", "GuidedBackprop"]


class ThroughReLU(Explainer, abstract=True):
    """What both share: without a ReLU they are the plain gradient."""

    needs_module: ClassVar[bool] = True

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse models without a ReLU."""
        if facts.is_module and not facts.rectified:
            return f"changes what ReLUs pass back; {facts.name} has none, so it would be the plain gradient"
        return super().reason_against(facts, traits)


class GuidedBackprop(ThroughReLU):
    """The gradient, with ReLUs that pass back only what is positive. Springenberg et al., 2015 (arXiv:1412.6806).

    Made for convolutions: of the few units of a linear layer, none may pass anything back.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})

    def attributor(self) -> GuidedBackpropBackend:
        """Return ``GuidedBackprop``."""
        return GuidedBackpropBackend(self.forward_func, needs_relu=True)


class Deconvolution(ThroughReLU):
    """The gradient, with ReLUs applied to what comes back. Zeiler and Fergus, 2014 (arXiv:1311.2901)."""

    def attributor(self) -> DeconvolutionBackend:
        """Return ``Deconvolution``."""
        return DeconvolutionBackend(self.forward_func, needs_relu=True)
