"""Class activation maps weighted by mean gradients, alone and with guided backpropagation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pnpxai.attributors import UpsampledGradCam, UpsampledGuidedGradCam
from pnpxai.declare.declared import Choice
from pnpxai.detector import ModelFacts
from pnpxai.explainers.cam.class_activation import ClassActivation
from pnpxai.traits import Traits

__all__ = ["GradCAM", "GradCam", "GuidedGradCam"]


class GradCam(ClassActivation):
    """The last feature map's channels weighted by mean gradient, resized. Selvaraju et al., 2017 (arXiv:1610.02391)."""

    first_choice: ClassVar[int | None] = 1
    aliases: ClassVar[tuple[str, ...]] = ("GradCAM",)

    def attributor(self) -> UpsampledGradCam:
        """Return ``UpsampledGradCam`` at the layer."""
        return UpsampledGradCam(self.model, self.layer, self.interpolate_mode)


GradCAM = GradCam


class GuidedGradCam(ClassActivation):
    """Guided backpropagation times the positive part of Grad-CAM. Selvaraju et al., 2017 (arXiv:1610.02391).

    In the shape of the input. The ReLUs, at gradients and around the map, are part of the definition.
    """

    interpolate_mode: Annotated[  # type: ignore[assignment]
        Literal["nearest", "area", "bilinear", "bicubic"], Choice("nearest", "area")
    ] = "nearest"
    """How the layer's map is resized to the input."""

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
