"""Class activation maps from gradients."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pnpxai.attributors import UpsampledGradCam
from pnpxai.declare import Choice
from pnpxai.explainers.base import Explainer

__all__ = ["GradCam"]


class GradCam(Explainer):
    """The last convolution's channels weighted by mean gradient, resized. Selvaraju et al., 2017 (arXiv:1610.02391).

    Signed: the paper's ReLU, which hides evidence against the class, is left to post-processing. The layer is the last
    convolution that the score depends on and that keeps positions apart, unless ``layer`` names another.
    """

    interpolate_mode: Annotated[Literal["bilinear", "bicubic", "nearest"], Choice("bilinear", "bicubic")] = "bilinear"
    """How the layer's map is resized to the input."""

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})
    needs_module: ClassVar[bool] = True
    layer_is_site: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ("GradCAM",)

    def attributor(self) -> UpsampledGradCam:
        """Return a Grad-CAM at the layer."""
        return UpsampledGradCam(self.model, self.layer, self.interpolate_mode)


GradCAM = GradCam
