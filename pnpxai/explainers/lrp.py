"""Layer-wise relevance propagation with the usual composites of rules."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import BeforeValidator

from pnpxai.attributors import LRP as Backend
from pnpxai.declare import Range
from pnpxai.explainers.base import Explainer

__all__ = ["LRPEpsilonPlus"]

Canonizers = Annotated[
    tuple[Any, ...] | None, BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]


class CompositeLRP(Explainer, abstract=True):
    """What all share: the stabiliser, and how the model is brought into a form that the rules fit."""

    stabilizer: Annotated[float, Gt(0)] = 1e-6
    """Keeps the denominators of the rules without an epsilon of their own away from zero."""
    zennit_canonizers: Canonizers = None
    """zennit canonizers; by default batch normalisation is merged into the layer before it."""

    needs_module: ClassVar[bool] = True

    def _canonizers(self) -> list[Any]:
        from zennit.canonizers import SequentialMergeBatchNorm

        given = self.zennit_canonizers
        return [SequentialMergeBatchNorm()] if given is None else list(given)


class LRPEpsilonPlus(CompositeLRP):
    """z-plus rule at convolutions, epsilon rule elsewhere.

    Bach et al., 2015; Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = frozenset({"convolution"})

    def attributor(self) -> Backend:
        """Return ``LRP`` with zennit's composite of that name."""
        from zennit.composites import EpsilonPlus
        from zennit.rules import Epsilon
        from zennit.types import BatchNorm

        composite = EpsilonPlus(
            epsilon=self.epsilon,
            stabilizer=self.stabilizer,
            # what could not be merged is a linear layer like any other
            layer_map=[(BatchNorm, Epsilon(epsilon=self.epsilon))],
            canonizers=self._canonizers(),
        )
        return Backend(self.forward_func, composite, epsilon=self.epsilon)
