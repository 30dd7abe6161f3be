"""Shapley values from a weighted fit, and from random orders."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from pnpxai.attributors import KernelShap as Backend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.declare.declared import Choice, Range
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation
from pnpxai.strategies.base import for_each
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.token_baselines import Token
from pnpxai.tensors import Tensors, own

__all__ = ["KernelShap"]


class KernelShap(GroupedPerturbation):
    """Shapley values of the features by a weighted linear fit. Lundberg and Lee, 2017 (arXiv:1705.07874).

    Exact where ``n_samples`` allows for all ``2**features`` sets of them.
    """

    n_samples: Annotated[int, Ge(2), Range(10, 50, step=10)] = 30
    """Number of sets of features, the empty and the full one included."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"  # named again for its place
    feature_mask_fn: Annotated[FeatureMask | str, Choice()] = "auto"
    mask_token_id: Annotated[int, Ge(0)] | None = None
    """The id that stands in for absent token ids, instead of ``baseline_fn``."""
    paired: bool = False
    """Draw sets in pairs with their complements: about half the error once there are a few times as many sets as
    features, a larger one below."""

    stochastic: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``KernelShap`` on the features."""
        settings: dict[str, Any] = self.game()
        if self.mask_token_id is not None:
            settings["baselines"] = FromInputs(self._with_token)
        return Backend(self.forward_func).configured(n_samples=self.n_samples, paired=self.paired, **settings)

    def _with_token(self, inputs: Tensors) -> Tensors:
        numbers = for_each(self.baseline_fn, inputs)
        token = Token(self.mask_token_id or 0)
        return tuple(
            fn(own(x)) if x.is_floating_point() else token(own(x)) for fn, x in zip(numbers, inputs, strict=True)
        )
