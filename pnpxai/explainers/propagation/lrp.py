"""Layer-wise relevance propagation with the usual composites of rules."""

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


def _canonizers(value: Any) -> Any:
    members = tuple(value) if isinstance(value, (list, tuple)) else value
    for member in members if isinstance(members, tuple) else ():
        if not callable(getattr(member, "apply", None)):
            raise ArgumentError(
                f"zennit_canonizers: expected canonizers such as zennit.canonizers.MergeBatchNorm(...), got {member!r}"
            )
    return members


def at_inputs(forward: Model) -> bool:
    """Tell whether it is the model's own inputs that are explained, not values inside of it."""
    forward = getattr(forward, "at", forward)
    return not isinstance(forward, AtSites) or all(isinstance(place, Argument) for place in forward.places)


def check_range(low: float, high: float) -> None:
    """Refuse an empty range of inputs."""
    if not low < high:
        raise ArgumentError(f"low: expected less than high ({high}), got {low}")


class CompositeLRP(Explainer, abstract=True):
    """What all share: the stabiliser, and how the model is brought into a form that the rules fit.

    Rules are found by the operations that run, so layers written as functions have theirs too. Sums, products, pooling
    and what of batch normalisation was not merged share in proportion to contributions.
    """

    stabilizer: Annotated[float, Gt(0)] = 1e-6
    """Keeps the denominators of the rules without an epsilon of their own away from zero."""
    zennit_canonizers: Annotated[tuple[Any, ...] | None, BeforeValidator(_canonizers)] = None
    """Canonizers of zennit to apply meanwhile; refused if they change the scores. Batch normalisation is merged into
    the layer before it without them, as the model runs."""

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
    """The epsilon rule at every layer; attention weights are taken for constants.

    Bach et al., 2015 (doi:10.1371/journal.pone.0130140); attention: Ali et al., 2022 (arXiv:2202.07304).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 0.25
    """Added to the size of every denominator: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = frozenset({"linear", "convolution", "recurrent", "attention"})

    def rules(self) -> Composite:
        """Return the epsilon rule for all layers."""
        epsilon = self._rule("epsilon", epsilon=self.epsilon)
        return Composite(convolution=epsilon, linear=epsilon)


class LRPEpsilonPlus(CompositeLRP):
    """z-plus rule at convolutions, epsilon rule elsewhere.

    Bach et al., 2015; Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = _CONVOLUTION

    def rules(self) -> Composite:
        """Return the rules of that name."""
        return Composite(self._rule("z_plus"), self._rule("epsilon", epsilon=self.epsilon))


class LRPEpsilonGammaBox(CompositeLRP):
    """Box rule at convolutions of the inputs, gamma rule at others, epsilon rule elsewhere.

    Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10).
    """

    low: float = -3.0
    """Smallest value that an input can have."""
    high: float = 3.0
    """Largest value that an input can have."""
    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""
    gamma: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 0.25
    """How much more positive weights count at convolutions."""

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
    """Positive contributions twice, less negative ones, at convolutions; epsilon rule elsewhere.

    Bach et al., 2015 (doi:10.1371/journal.pone.0130140).
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""

    needs: ClassVar[frozenset[str]] = _CONVOLUTION

    def rules(self) -> Composite:
        """Return the rules of that name."""
        return Composite(self._rule("alpha_beta"), self._rule("epsilon", epsilon=self.epsilon))
