"""Explains by the gradients of the input and of all biases, in one map."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pnpxai.attributors import FullGrad as Backend
from pnpxai.attributors.base import Configured
from pnpxai.declare.declared import Choice
from pnpxai.detector import ModelFacts
from pnpxai.explainers.base import Explainer
from pnpxai.traits import Traits

__all__ = ["FullGrad"]


class FullGrad(Explainer):
    """Computes psi(x * dF/dx) + sum over biases b of psi(b * dF/db). Srinivas and Fleuret, 2019 (arXiv:1905.00780).

    psi takes absolute values, rescales them to 0 ... 1 and resizes them to the input. The map is not signed.
    """

    pooling_method: Annotated[Literal["abssum", "possum"], Choice("abssum", "possum")] = "abssum"
    """Pooling over channels: the sum of absolute values, or of positive values only."""
    interpolate_mode: Annotated[Literal["bilinear", "bicubic", "nearest"], Choice("bilinear", "bicubic", "nearest")] = (
        "bilinear"
    )
    """Mode of resizing a layer's map to the input."""

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})
    needs_module: ClassVar[bool] = True

    @classmethod
    def reason_against(cls, facts: ModelFacts, traits: Traits | None = None) -> str | None:
        """Refuse attention, whose tokens are not a map of the input."""
        reason = super().reason_against(facts, traits)
        if reason is None and traits is not None and any(one.discrete for one in traits.each):
            return "adds up maps of convolutions, which ids do not have"
        if reason is None and facts.has("attention"):
            return f"adds up maps of convolutions; between the patches and the score of {facts.name} lie tokens"
        return reason

    def attributor(self) -> Configured:
        """Return ``FullGrad``."""
        return Backend(self.forward_func).configured(
            pooling_method=self.pooling_method, interpolate_mode=self.interpolate_mode
        )
