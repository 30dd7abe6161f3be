"""Explains by relevance propagation with rules to choose, rules for attention, and relative relevance."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from pydantic import BeforeValidator

from pnpxai.attributors import LRP as Backend
from pnpxai.attributors.propagation.composites import Composite, Make, RuleName
from pnpxai.attributors.propagation.rap import relative_composite
from pnpxai.declare.declared import Choice, Range
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.propagation.lrp import CompositeLRP, at_inputs, check_range

__all__ = ["LRP", "RAP", "AttnLRP"]

PartRule = Annotated[
    Literal["epsilon", "gamma", "alpha_beta", "z_plus", "w_square", "flat"],
    Choice("epsilon", "gamma", "alpha_beta", "z_plus"),
]


def _composite(value: object) -> object:
    if value != "auto" and not (callable(getattr(value, "module_map", None)) and hasattr(value, "canonizers")):
        raise ArgumentError(f"composite: expected 'auto' or a composite of zennit, got {value!r}")
    return value


class LRP(CompositeLRP):
    """Passes relevance back with a rule for each part of a model, which tuning can search.

    Bach et al., 2015 (doi:10.1371/journal.pone.0130140). Montavon et al., 2019 (doi:10.1007/978-3-030-28954-6_10),
    describe the rules and where each is useful.
    """

    composite: Annotated[Any, BeforeValidator(_composite)] = "auto"
    """Rules: "auto" uses the settings below; a composite of zennit has rules for the modules that it names."""
    convolution: PartRule = "gamma"
    """Rule of convolutions; "alpha_beta" has alpha 2 and beta 1."""
    linear: PartRule = "epsilon"
    """Rule of linear layers, including those inside attention and recurrent cells."""
    first: Annotated[Literal["same", "flat", "box", "w_square"], Choice("same", "flat", "box")] = "same"
    """Rule of convolutions of the inputs; "same" is the rule of other convolutions."""
    attention: Literal["taylor", "constant"] = "taylor"
    """Rule of attention: "taylor" gives relevance to queries and keys; "constant" takes its weights for constants."""
    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule: larger values drop weak, contradicting contributions."""
    gamma: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 0.25
    """Additional weight of positive weights under the gamma rule: w becomes w + gamma * max(w, 0)."""
    low: float = -3.0
    """Smallest value that an input can have, for the box rule."""
    high: float = 3.0
    """Largest value that an input can have, for the box rule."""

    first_choice: ClassVar[int | None] = 3
    needs: ClassVar[frozenset[str]] = frozenset({"linear", "convolution", "recurrent", "attention"})

    def check(self) -> None:
        """Refuse an empty range of inputs."""
        super().check()
        check_range(self.low, self.high)

    def attributor(self) -> Backend:
        """Return ``LRP`` with these rules, or those of zennit's composite."""
        if self.composite == "auto":
            return super().attributor()
        return Backend(self.forward_func, self.composite, epsilon=self.stabilizer)

    def rules(self) -> Composite:
        """Return the rules of the settings."""

        def rule(name: RuleName) -> Make:
            return self._rule(name, epsilon=self.epsilon, gamma=self.gamma, low=self.low, high=self.high)

        first = None if self.first == "same" else rule(self.first)
        return Composite(rule(self.convolution), rule(self.linear), first=first, attention=self.attention)


class AttnLRP(CompositeLRP):
    """Passes relevance through attention: R_i = x_i (R_i - s_i sum_j R_j) at a softmax s. Achtibat et al., 2024.

    Each factor of a product gets half, and norms count as scales (arXiv:2402.05602). The first-order Taylor term at the
    softmax leaves a remainder, which an explanation reports.
    """

    epsilon: Annotated[float, Ge(0), Range(1e-6, 1.0, log=True)] = 1e-6
    """Stabiliser of the epsilon rule at linear layers and convolutions."""

    first_choice: ClassVar[int | None] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"attention"})

    def rules(self) -> Composite:
        """Return the epsilon rule for layers and the Taylor rule for attention."""
        epsilon = self._rule("epsilon", epsilon=self.epsilon)
        return Composite(epsilon, epsilon, attention="taylor")


class RAP(Explainer):
    """Passes relevance back relative to its mean: inputs that helped the output less than others become negative.

    Nam et al., 2020 (arXiv:1904.00605). Biases get nothing, so that relevance sums to the score, up to about 1e-4 of it
    (the part of the stabiliser). Parameters that act as values, such as a transformer's class token and positions, keep
    their share, which ``explain(...).sinks`` reports as ``bias``. Branches that meet share by size, position by
    position: the proportions in the authors' program have no bound. Beyond the paper, gates and attention weights count
    as constants.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"linear", "convolution"})
    needs_module: ClassVar[bool] = True

    def attributor(self) -> Backend:
        """Return ``LRP`` with the rules of the paper."""
        return Backend(self.forward_func, relative_composite(1e-9, boxed=at_inputs(self.forward_func)), epsilon=1e-6)
