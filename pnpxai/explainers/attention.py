"""Maps from attention: rollout, and rollout of relevance times gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from pnpxai import attributors
from pnpxai.attributors.attention.rollout import HeadFusion
from pnpxai.declare.declared import Choice, Range
from pnpxai.detector import ModelFacts
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["AttentionRollout", "TransformerAttribution"]

Interpolation = Annotated[Literal["bilinear", "bicubic", "nearest"], Choice("bilinear", "bicubic")]
Fusion = Annotated[HeadFusion, Choice("min", "max", "mean")]
Discard = Annotated[float, Ge(0), Lt(1), Range(0.0, 0.95, step=0.05)]


class OfAttention(Explainer, abstract=True):
    """What both share: the tokens' map, on the rows of those tokens that the score is read from.

    That is the class token where there is one, the last token of a decoder, the mean of all where all are read.
    """

    channel_dim: int | None = None
    """The axis of channels; by default the second of pictures and series, and the last of (examples, tokens, ...)."""

    needs: ClassVar[frozenset[str]] = frozenset({"attention"})
    needs_module: ClassVar[bool] = True
    needs_gradient: ClassVar[bool] = False
    layer_is_site: ClassVar[bool] = False

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse attention that says nothing of the input's positions, where that was seen."""
        return super().reason_against(facts, traits) or facts.no_attention_map

    def attributor(self) -> attributors.Attributor:
        """Return the backend; refuse a layer, which would mean nothing."""
        if self.layer is not None:
            raise ArgumentError(f"layer: {type(self).__name__} looks at the attention of all layers; leave it out")
        return self.backend()

    @abstractmethod
    def backend(self) -> attributors.Attributor:
        """Return the backend that the settings configure."""


class AttentionRollout(OfAttention):
    """Attention of all layers multiplied, each with half of the residual connection.

    Abnar and Zuidema, 2020 (arXiv:2005.00928). It says what was looked at, whichever output is asked for.
    """

    interpolate_mode: Interpolation = "bilinear"
    """How a grid of patches is resized to the input."""
    head_fusion_method: Fusion = "min"
    """What is kept of the heads of a layer: the smallest, largest or mean attention."""
    discard_ratio: Discard = 0.9
    """Fraction of the smallest weights of a layer to be left out, the residual connection aside."""

    explains_target: ClassVar[bool] = False

    def backend(self) -> attributors.AttentionRollout:
        """Return ``AttentionRollout``."""
        return attributors.AttentionRollout(
            self.model, self.head_fusion_method, self.discard_ratio, self.interpolate_mode, self.channel_dim
        )


class TransformerAttribution(OfAttention):
    """Relevance of attention times its gradient; the positive part is multiplied over the layers.

    Chefer et al., 2021 (arXiv:2012.09838), with the paper's rules: alpha-beta at layers, their biases left out; halves
    at products; branches by size at sums; norms and softmax pass relevance on.
    """

    interpolate_mode: Interpolation = "bilinear"
    """How a grid of patches is resized to the input."""
    head_fusion_method: Fusion = "mean"
    """What is kept of the heads of a layer: the smallest, largest or mean value."""
    discard_ratio: Discard = 0.9
    """Fraction of the smallest values of a layer to be left out, the residual connection aside."""
    alpha: Annotated[float, Ge(1)] = 2.0
    """How much positive contributions to a layer count."""
    beta: Annotated[float, Ge(0)] = 1.0
    """How much negative ones do: one less than alpha."""
    stabilizer: Annotated[float, Gt(0)] = 1e-6
    """Keeps the denominators of the rules away from zero."""

    rectified = True

    def check(self) -> None:
        """Refuse rules that would not conserve relevance."""
        super().check()
        if abs(self.alpha - self.beta - 1) > 1e-9:
            raise ArgumentError(f"beta: expected alpha - 1 = {self.alpha - 1}, got {self.beta}")

    def backend(self) -> attributors.TransformerAttribution:
        """Return ``TransformerAttribution`` with the alpha-beta rule."""
        return attributors.TransformerAttribution(
            self.model,
            self.head_fusion_method,
            self.discard_ratio,
            self.interpolate_mode,
            alpha=self.alpha,
            stabilizer=self.stabilizer,
            channel_dim=self.channel_dim,
        )
