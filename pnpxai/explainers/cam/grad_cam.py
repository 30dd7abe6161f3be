"""Explains by class activation maps with mean gradients as weights, alone and times guided backpropagation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pnpxai.attributors import UpsampledGradCam, UpsampledGuidedGradCam
from pnpxai.declare.declared import Choice
from pnpxai.detector import ModelFacts
from pnpxai.explainers.cam.class_activation import ClassActivation
from pnpxai.traits import Traits

__all__ = ["GradCAM", "GradCam", "GuidedGradCam"]


class GradCam(ClassActivation):
    """Computes sum_c w_c A_c, w_c = mean over positions of dF/dA_c. Selvaraju et al., 2017 (arXiv:1610.02391)."""

    first_choice: ClassVar[int | None] = 1
    aliases: ClassVar[tuple[str, ...]] = ("GradCAM",)

    def attributor(self) -> UpsampledGradCam:
        """Return ``UpsampledGradCam`` at the layer."""
        return UpsampledGradCam(self.model, self.layer, self.interpolate_mode)


GradCAM = GradCam


class GuidedGradCam(ClassActivation):
    """Computes guided backpropagation times max(Grad-CAM, 0). Selvaraju et al., 2017 (arXiv:1610.02391).

    The map has the shape of the input. The ReLUs, on gradients and around the map, are part of the method.
    """

    interpolate_mode: Annotated[  # type: ignore[assignment]
        Literal["nearest", "area", "bilinear", "bicubic"], Choice("nearest", "area")
    ] = "nearest"
    """Mode of resizing the layer's map to the input."""

    aliases: ClassVar[tuple[str, ...]] = ("GuidedGradCAM",)
    rectified = True

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse models without a ReLU too."""
        if reason := super().reason_against(facts, traits):
            return reason
        if not facts.rectified:
            return f"changes what ReLUs pass back; {facts.name} has none"
        if traits is not None and any(one.discrete for one in traits.each):
            return "differentiates the inputs themselves, and ids are among them"
        return None

    def attributor(self) -> UpsampledGuidedGradCam:
        """Return ``UpsampledGuidedGradCam`` at the layer."""
        return UpsampledGuidedGradCam(self.model, self.layer, self.interpolate_mode)
