"""Explains by class activation maps: the positions at which the last feature map speaks for the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from pnpxai import attributors
from pnpxai.declare.declared import Choice
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["ClassActivation", "EigenCAM", "GradCamPlusPlus", "HiResCAM", "LayerCAM", "ScoreCAM"]


class ClassActivation(Explainer, abstract=True):
    """Computes sum_c w_c A_c of a layer's channels A_c, resized to the input (examples, 1, ...).

    The layer is the last feature map on the way to the score; one example runs to find it. In a convolutional network
    it is the last convolution that keeps positions apart, with the normalisation, activation and skip connection after
    it. In a transformer it is the normalised tokens before the last attention, folded to the grid of patches without
    class, distillation and register tokens. ``layer`` names another layer, or several whose resized maps are averaged.

    Maps are signed. Most papers put a ReLU around the sum, which hides evidence against the output; post-processing can
    do the same (pooling ``possum``). Attention carries evidence from token to token, so in a transformer a map may
    point to other patches than those that the evidence came from. Methods with a gradient for each token (``HiResCAM``,
    ``LayerCAM``) do so less often than those with a mean gradient (``GradCam``).
    """

    interpolate_mode: Annotated[Literal["bilinear", "bicubic", "nearest"], Choice("bilinear", "bicubic")] = "bilinear"
    """Mode of resizing the layer's map to the input."""

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})
    needs_module: ClassVar[bool] = True
    layer_is_site: ClassVar[bool] = False
    drawn_signed: ClassVar[bool] = False

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse data that are not (examples, channels, positions) too."""
        if reason := super().reason_against(facts):
            return reason
        if traits is not None and (traits.modality in ("table", "text") or traits.channel_dim != 1):
            return f"maps positions of (examples, channels, ...), which this {traits.modality} does not have"
        return facts.no_feature_map


class GradCamPlusPlus(ClassActivation):
    """Computes sum_c w_c A_c, w_c = sum over positions of a_c * max(g_c, 0). Chattopadhay et al., 2018.

    g_c = dF/dA_c are the gradients of the score F, and a_c = g_c^2 / (2 g_c^2 + g_c^3 sum A_c) the weights of positions
    (arXiv:1710.11063). The ReLU on gradients is part of the method.
    """

    aliases: ClassVar[tuple[str, ...]] = ("GradCAM++", "GradCam++", "GradCAMPlusPlus", "GradCamPP")

    def attributor(self) -> attributors.GradCamPlusPlus:
        """Return ``GradCamPlusPlus`` at the layer."""
        return attributors.GradCamPlusPlus(self.model, self.layer, self.interpolate_mode)


class HiResCAM(ClassActivation):
    """Computes sum_c dF/dA_c * A_c, position by position. Draelos and Carin, 2020 (arXiv:2011.08891).

    If the part of the model after the layer is linear (a mean or a flattening, and a linear layer), the layer's map
    sums to the score F without its bias. Grad-CAM, with mean gradients, does not have this property.
    """

    aliases: ClassVar[tuple[str, ...]] = ("HiResCam",)

    def attributor(self) -> attributors.HiResCAM:
        """Return ``HiResCAM`` at the layer."""
        return attributors.HiResCAM(self.model, self.layer, self.interpolate_mode)


class LayerCAM(ClassActivation):
    """Computes sum_c max(dF/dA_c, 0) * A_c, position by position. Jiang et al., 2021 (doi:10.1109/TIP.2021.3089943).

    The method works at early layers too: name them with ``layer``. The ReLU on gradients is part of the method.
    """

    aliases: ClassVar[tuple[str, ...]] = ("LayerCam",)

    def attributor(self) -> attributors.LayerCAM:
        """Return ``LayerCAM`` at the layer."""
        return attributors.LayerCAM(self.model, self.layer, self.interpolate_mode)


class EigenCAM(ClassActivation):
    """Computes A v_1, with v_1 the first right singular vector of A. Muhammad and Yeasin, 2020 (arXiv:2008.00299).

    A (positions, channels) holds the values of the layer. The map shows what stands out in the layer; the target makes
    no difference. Its largest absolute value is positive.
    """

    centred: Annotated[bool, Choice(True, False)] = True
    """Subtract the mean over positions first. The paper does not, since its values come out of a ReLU; in a transformer
    v_1 would then follow the mean, which is the same at all positions."""

    aliases: ClassVar[tuple[str, ...]] = ("EigenCam",)
    explains_target: ClassVar[bool] = False

    def attributor(self) -> attributors.EigenCAM:
        """Return ``EigenCAM`` at the layer."""
        return attributors.EigenCAM(self.model, self.layer, self.interpolate_mode, self.centred)


class ScoreCAM(ClassActivation):
    """Computes sum_c w_c A_c, w = softmax over channels of F(x * s(A_c)). Wang et al., 2020 (arXiv:1910.01279).

    F is the score and x the input; s(A_c) is the channel resized to x and scaled to [0, 1]. No gradient is taken; the
    model runs once for each channel.
    """

    n_channels: Annotated[int, Ge(1)] | None = None
    """Number of channels, those with the largest spread over the positions; by default all."""

    aliases: ClassVar[tuple[str, ...]] = ("ScoreCam",)
    smallest: ClassVar[Mapping[str, object]] = {"n_channels": 16}

    def attributor(self) -> attributors.ScoreCAM:
        """Return ``ScoreCAM`` at the layer."""
        return attributors.ScoreCAM(self.model, self.layer, self.interpolate_mode, self.n_channels)
