"""Explains by Shapley values: by any estimator, by a weighted fit, and by random orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Ge

from pnpxai.attributors import KernelShap as KernelShapBackend
from pnpxai.attributors import ShapleyValues as ShapleyValuesBackend
from pnpxai.attributors import ShapleyValueSampling as SamplingBackend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.attributors.perturbation.stand_ins import Rows
from pnpxai.declare.declared import Choice
from pnpxai.explainers.baseline_adapters import stand_ins
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation
from pnpxai.explainers.sampled import Sampled
from pnpxai.strategies.base import for_each
from pnpxai.strategies.baselines import Baseline, EachBaseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.token_baselines import Token
from pnpxai.tensors import Tensors

EstimatorName: TypeAlias = Literal["auto", "exact", "permutation", "leverage", "odd"]

__all__ = ["KernelShap", "ShapleyValueSampling", "ShapleyValues"]


class ShapleyValues(Sampled, GroupedPerturbation):
    """Computes phi_i, the mean of F(S + i) - F(S) over all orders of the features. Shapley, 1953.

    S holds the features before i in an order, and F(S) is the score with S present. Values are exact where all
    coalitions fit the budget. Otherwise a regression on pairs of a coalition and its complement is used, which fits
    interactions of odd order too (arXiv:2602.01399). With less than two coalitions for each feature and two more,
    orders run forwards and backwards; above 2,402 coalitions, a weighted regression is used on pairs drawn by leverage
    scores (arXiv:2410.01917).
    """

    n_samples: Annotated[int, Ge(2)] | Literal["auto"] = "auto"
    """Number of coalitions, the empty and the full one included. "auto" takes all of them while coalitions x rows of a
    background are at most 4,096, else 16 for each feature up to 512 in all, or eight for each feature (at most 4,096,
    at least two for each feature)."""
    estimator: EstimatorName = "auto"
    """Estimator of the values; all but "exact" have a standard error."""

    smallest: ClassVar[Mapping[str, object]] = {"n_samples": 64}

    def attributor(self) -> Configured:
        """Return ``ShapleyValues`` of the features."""
        return ShapleyValuesBackend(self.forward_func).configured(
            n_samples=self.n_samples, estimator=self.estimator, **self.game()
        )


class KernelShap(Sampled, GroupedPerturbation):
    """Computes Shapley values by a weighted linear fit. Lundberg and Lee, 2017 (arXiv:1705.07874).

    The fit minimises sum_S k(S) (F(S) - phi_0 - sum_{i in S} phi_i)^2 over coalitions S with the Shapley kernel k.
    Values, budget and estimators are those of ``ShapleyValues``.
    """

    n_samples: Annotated[int, Ge(2)] | Literal["auto"] = "auto"
    """Number of coalitions, as in ``ShapleyValues``."""
    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"  # named again for its place
    feature_mask_fn: Annotated[FeatureMask | str, Choice()] = "auto"
    mask_token_id: Annotated[int, Ge(0)] | None = None
    """Token id in the place of absent token ids, instead of ``baseline_fn``."""
    estimator: EstimatorName = "auto"
    """Estimator of the values, as in ``ShapleyValues``."""

    first_choice: ClassVar[int | None] = 4
    smallest: ClassVar[Mapping[str, object]] = {"n_samples": 64}

    def attributor(self) -> Configured:
        """Return ``KernelShap`` on the features."""
        settings = self.game()
        if self.mask_token_id is not None:
            settings["baselines"] = FromInputs(self._with_token)
        return KernelShapBackend(self.forward_func).configured(
            n_samples=self.n_samples, estimator=self.estimator, **settings
        )

    def _with_token(self, inputs: Tensors) -> Tensors | Rows:
        numbers = for_each(self.baseline_fn, inputs)
        token = Token(self.mask_token_id or 0)
        each = tuple(fn if x.is_floating_point() else token for fn, x in zip(numbers, inputs, strict=True))
        return stand_ins(EachBaseline(each), inputs)


class ShapleyValueSampling(Sampled, GroupedPerturbation):
    """Computes the mean of F(S + i) - F(S) over random orders; S holds the features before i. Castro et al., 2009.

    doi:10.1016/j.cor.2008.04.004; Strumbelj and Kononenko, 2010. The estimate is unbiased for any number of orders, and
    has a standard error from six orders on. Each order runs the model once for every feature; every second order is
    the order before it backwards. Values are exact where there are not more coalitions than that.
    """

    n_samples: Annotated[int, Ge(1)] | Literal["auto"] = "auto"
    """Number of orders; "auto" takes as many as run the coalitions of ``ShapleyValues``."""

    smallest: ClassVar[Mapping[str, object]] = {"n_samples": 1}

    def attributor(self) -> Configured:
        """Return ``ShapleyValueSampling`` of the features."""
        return SamplingBackend(self.forward_func).configured(n_samples=self.n_samples, **self.game())
