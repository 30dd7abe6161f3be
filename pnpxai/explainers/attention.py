"""Explains by attention maps: rollout, and rollout of relevance times gradient."""

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
    """Multiplies maps of attention over the layers, and reads the rows of the tokens from which the score is computed.

    These are the class token where there is one, the last token of a decoder, or all tokens, whose mean is taken.
    """

    channel_dim: int | None = None
    """Axis of channels; by default the second of pictures and series, and the last of (examples, tokens, ...)."""

    needs: ClassVar[frozenset[str]] = frozenset({"attention"})
    needs_module: ClassVar[bool] = True
    needs_gradient: ClassVar[bool] = False
    layer_is_site: ClassVar[bool] = False

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse models whose attention was seen not to run over the input's positions."""
        return super().reason_against(facts, traits) or facts.no_attention_map

    def attributor(self) -> attributors.Attributor:
        """Return the backend. A ``layer`` is refused, since the method uses the attention of all layers."""
        if self.layer is not None:
            raise ArgumentError(f"layer: {type(self).__name__} looks at the attention of all layers; leave it out")
        return self.backend()

    @abstractmethod
    def backend(self) -> attributors.Attributor:
        """Return the backend that the settings configure."""


class AttentionRollout(OfAttention):
    """Computes the product over layers of (A + I) / 2, A a layer's attention. Abnar and Zuidema, 2020.

    I stands for the residual connection (arXiv:2005.00928). The map shows which positions were looked at; the target
    makes no difference.
    """

    interpolate_mode: Interpolation = "bilinear"
    """Mode of resizing the grid of patches to the input."""
    head_fusion_method: Fusion = "min"
    """Attention of a layer: the smallest, largest or mean attention of its heads."""
    discard_ratio: Discard = 0.9
    """Fraction of a layer's weights that are set to zero, the smallest first; the residual connection is kept."""

    explains_target: ClassVar[bool] = False

    def backend(self) -> attributors.AttentionRollout:
        """Return ``AttentionRollout``."""
        return attributors.AttentionRollout(
            self.model, self.head_fusion_method, self.discard_ratio, self.interpolate_mode, self.channel_dim
        )


class TransformerAttribution(OfAttention):
    """Computes the product over layers of I + max(R * dF/dA, 0). Chefer et al., 2021 (arXiv:2012.09838).

    R is the relevance of a layer's attention A, and F the score. The rules of relevance are those of the paper:
    alpha-beta at layers, without biases; half for each factor of a product; shares by size at sums; norms and softmax
    pass relevance on unchanged.
    """

    interpolate_mode: Interpolation = "bilinear"
    """Mode of resizing the grid of patches to the input."""
    head_fusion_method: Fusion = "mean"
    """Value of a layer: the smallest, largest or mean value of its heads."""
    discard_ratio: Discard = 0.9
    """Fraction of a layer's values that are set to zero, the smallest first; the residual connection is kept."""
    alpha: Annotated[float, Ge(1)] = 2.0
    """Weight of positive contributions to a layer."""
    beta: Annotated[float, Ge(0)] = 1.0
    """Weight of negative contributions, which must be alpha - 1."""
    stabilizer: Annotated[float, Gt(0)] = 1e-6
    """Number added to the denominators of the rules, so that none is zero."""

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
