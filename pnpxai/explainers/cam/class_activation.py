"""Class activation maps: where the last feature map speaks for the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from pnpxai import attributors
from pnpxai.declare.declared import Choice
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["ClassActivation", "EigenCAM", "GradCamPlusPlus", "HiResCAM", "LayerCAM", "ScoreCAM"]


class ClassActivation(Explainer, abstract=True):
    """A layer's channels are weighted, summed and resized to the input, (examples, 1, ...).

    The layer is the last feature map on the way to the score, found by running one example: the last convolution that
    keeps positions apart, with the normalisation, activation and skip connection that follow it; of a transformer the
    normalised tokens that go into the last attention, folded to the grid of patches without class, distillation and
    register tokens. ``layer`` names another, or several, whose resized maps are averaged.

    Maps are signed. Most papers put a ReLU around the sum, which hides evidence against the output; that is left to
    post-processing (``possum`` and its like). Attention carries evidence from token to token, so in transformers a map
    may point elsewhere than to the patch that the evidence came from; of gradients, those at each token (``HiResCAM``,
    ``LayerCAM``) miss it less often than their mean (``GradCam``).
    """

    interpolate_mode: Annotated[Literal["bilinear", "bicubic", "nearest"], Choice("bilinear", "bicubic")] = "bilinear"
    """How the layer's map is resized to the input."""

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})
    needs_module: ClassVar[bool] = True
    layer_is_site: ClassVar[bool] = False

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse data without positions behind channels too."""
        if reason := super().reason_against(facts):
            return reason
        if traits is not None and (traits.modality in ("table", "text") or traits.channel_dim != 1):
            return f"maps positions of (examples, channels, ...), which this {traits.modality} does not have"
        return facts.no_feature_map


class GradCamPlusPlus(ClassActivation):
    """Channels weighted by a weighted mean of their positive gradients. Chattopadhay et al., 2018 (arXiv:1710.11063).

    The ReLU on gradients is part of the weights.
    """

    aliases: ClassVar[tuple[str, ...]] = ("GradCAM++", "GradCam++", "GradCAMPlusPlus", "GradCamPP")

    def attributor(self) -> attributors.GradCamPlusPlus:
        """Return ``GradCamPlusPlus`` at the layer."""
        return attributors.GradCamPlusPlus(self.model, self.layer, self.interpolate_mode)


class HiResCAM(ClassActivation):
    """Every value of the layer times its own gradient. Draelos and Carin, 2020 (arXiv:2011.08891).

    Shows where the model looked, as Grad-CAM with its mean gradients need not: where all that follows the layer is
    linear (a mean or a flattening and a linear layer), the layer's map sums to the score without the bias.
    """

    aliases: ClassVar[tuple[str, ...]] = ("HiResCam",)

    def attributor(self) -> attributors.HiResCAM:
        """Return ``HiResCAM`` at the layer."""
        return attributors.HiResCAM(self.model, self.layer, self.interpolate_mode)


class LayerCAM(ClassActivation):
    """Every value of the layer times the positive part of its own gradient. Jiang et al., 2021.

    doi:10.1109/TIP.2021.3089943. Made for early layers too: name them with ``layer``. The ReLU on gradients is part of
    the weights.
    """

    aliases: ClassVar[tuple[str, ...]] = ("LayerCam",)

    def attributor(self) -> attributors.LayerCAM:
        """Return ``LayerCAM`` at the layer."""
        return attributors.LayerCAM(self.model, self.layer, self.interpolate_mode)


class EigenCAM(ClassActivation):
    """The layer's values along their first principal direction. Muhammad and Yeasin, 2020 (arXiv:2008.00299).

    It shows what stands out in the layer, whichever output is explained: the target makes no difference. What stands
    out most is positive.
    """

    centred: Annotated[bool, Choice(True, False)] = True
    """Subtract the mean over positions first. Without, as in the paper, whose values come out of a ReLU, the direction
    is that of the mean, which in transformers is what does not stand out."""

    aliases: ClassVar[tuple[str, ...]] = ("EigenCam",)
    explains_target: ClassVar[bool] = False

    def attributor(self) -> attributors.EigenCAM:
        """Return ``EigenCAM`` at the layer."""
        return attributors.EigenCAM(self.model, self.layer, self.interpolate_mode, self.centred)


class ScoreCAM(ClassActivation):
    """Channels weighted by what the model scores on the input times the channel. Wang et al., 2020 (arXiv:1910.01279).

    The weights are positive, a softmax over the channels; no gradient of the score is taken. It runs the model once for
    each channel.
    """

    n_channels: Annotated[int, Ge(1)] | None = None
    """How many channels to take, those that spread most over the positions; all by default."""

    aliases: ClassVar[tuple[str, ...]] = ("ScoreCam",)
    smallest: ClassVar[Mapping[str, Any]] = {"n_channels": 16}

    def attributor(self) -> attributors.ScoreCAM:
        """Return ``ScoreCAM`` at the layer."""
        return attributors.ScoreCAM(self.model, self.layer, self.interpolate_mode, self.n_channels)
