"""Explains by layer-wise relevance propagation with the usual composites of rules."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import BeforeValidator

from pnpxai.attributors import LRP as Backend
from pnpxai.attributors.propagation.composites import Composite, Make, RuleName, rule_named
from pnpxai.declare.declared import Range
from pnpxai.engine.running.places import Argument
from pnpxai.engine.running.site import AtSites
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.model_types import Model

__all__ = ["CompositeLRP", "LRPEpsilonAlpha2Beta1", "LRPEpsilonGammaBox", "LRPEpsilonPlus", "LRPUniformEpsilon"]

_CONVOLUTION = frozenset({"convolution"})


def _canonizers(value: object) -> object:
    members = tuple(value) if isinstance(value, (list, tuple)) else value
    for member in members if isinstance(members, tuple) else ():
        if not callable(getattr(member, "apply", None)):
            raise ArgumentError(
                f"zennit_canonizers: expected canonizers such as zennit.canonizers.MergeBatchNorm(...), got {member!r}"
            )
    return members


def at_inputs(forward: Model) -> bool:
    """Return whether the model's own inputs are explained, instead of values inside the model."""
    forward = getattr(forward, "at", forward)
    return not isinstance(forward, AtSites) or all(isinstance(place, Argument) for place in forward.places)


def check_range(low: float, high: float) -> None:
    """Refuse an empty range of inputs."""
    if not low < high:
        raise ArgumentError(f"low: expected less than high ({high}), got {low}")


class CompositeLRP(Explainer, abstract=True):
    """Passes relevance back by a composite of rules; subclasses say which rule each kind of layer has.

    The operations that run decide the rule, so layers that are written as functions have rules too. Sums, products,
    pooling, and batch normalisation that could not be merged into a layer share relevance in proportion to
    contributions.
    """

    stabilizer: Annotated[float, Gt(0)] = 1e-6
    """Number added to the denominators of rules that have no epsilon, so that none is zero."""
    zennit_canonizers: Annotated[tuple[Any, ...] | None, BeforeValidator(_canonizers)] = None
    """Canonizers of zennit that are applied meanwhile; they are refused if they change the scores. Batch normalisation
    is merged into the layer before it without them."""

    needs_module: ClassVar[bool] = True

    @abstractmethod
    def rules(self) -> Composite:
        """Return the rules."""

    def attributor(self) -> Backend:
        """Return ``LRP`` with the rules."""
        rules = replace(self.rules(), canonizers=self.zennit_canonizers or ())
        if not at_inputs(self.forward_func):
            rules = replace(rules, first=None)
        return Backend(self.forward_func, rules, epsilon=self.stabilizer)

    def _rule(self, name: RuleName, **settings: Any) -> Make:
        return rule_named(name, stabilizer=self.stabilizer, **settings)


class LRPUniformEpsilon(CompositeLRP):
    """Computes R_i = sum_j x_i w_ij / (z_j + epsilon sign(z_j)) R_j at every layer. Bach et al., 2015.

    z_j = sum_i x_i w_ij + b_j is an output of the layer (doi:10.1371/journal.pone.0130140). Attention weights count as
    constants (Ali et al., 2022, arXiv:2202.07304).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 0.25
    """Stabiliser: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = frozenset({"linear", "convolution", "recurrent", "attention"})

    def rules(self) -> Composite:
        """Return the epsilon rule for all layers."""
        epsilon = self._rule("epsilon", epsilon=self.epsilon)
        return Composite(convolution=epsilon, linear=epsilon)


class LRPEpsilonPlus(CompositeLRP):
    """Applies the z-plus rule at convolutions, R_i = sum_j (x_i w_ij)^+ / z_j^+ R_j, and the epsilon rule elsewhere.

    Bach et al., 2015; Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10). ^+ takes positive contributions only.
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = _CONVOLUTION

    def rules(self) -> Composite:
        """Return the rules of that name."""
        return Composite(self._rule("z_plus"), self._rule("epsilon", epsilon=self.epsilon))


class LRPEpsilonGammaBox(CompositeLRP):
    """Applies the box rule at convolutions of the inputs, the gamma rule at others, the epsilon rule elsewhere.

    Constants that the model puts around its inputs, such as zeros, have one possible value, and so get nothing.
    Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10).
    """

    low: float = -3.0
    """Smallest value that an input can have."""
    high: float = 3.0
    """Largest value that an input can have."""
    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""
    gamma: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 0.25
    """Additional weight of positive weights at convolutions: w becomes w + gamma * max(w, 0)."""

    needs: ClassVar[frozenset[str]] = _CONVOLUTION

    def check(self) -> None:
        """Refuse an empty range of inputs."""
        super().check()
        check_range(self.low, self.high)

    def rules(self) -> Composite:
        """Return the rules of that name."""
        return Composite(
            self._rule("gamma", gamma=self.gamma),
            self._rule("epsilon", epsilon=self.epsilon),
            first=self._rule("box", low=self.low, high=self.high),
        )


class LRPEpsilonAlpha2Beta1(CompositeLRP):
    """Applies the rule alpha = 2, beta = 1 at convolutions, and the epsilon rule elsewhere.

    R_i = sum_j (2 (x_i w_ij)^+ / z_j^+ - (x_i w_ij)^- / z_j^-) R_j: positive contributions count twice, and negative
    ones are subtracted. Bach et al., 2015 (doi:10.1371/journal.pone.0130140).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = _CONVOLUTION

    def rules(self) -> Composite:
        """Return the rules of that name."""
        return Composite(self._rule("alpha_beta"), self._rule("epsilon", epsilon=self.epsilon))
