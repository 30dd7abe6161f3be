"""Differences from a baseline, passed back operation by operation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.attributors import DeepLift as Backend
from pnpxai.attributors import DeepLiftShap as ShapBackend
from pnpxai.attributors.base import Configured, FromInputs
from pnpxai.declare.declared import Choice
from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.baseline_adapters import baselines_by, is_background, rows_by
from pnpxai.strategies.baselines import Baseline

__all__ = ["DeepLift", "DeepLiftShap"]


class DeepLift(Explainer):
    """DeepLIFT with the rescale rule. Shrikumar et al., 2017 (arXiv:1704.02685)."""

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """What the input is compared with."""

    needs_module: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``DeepLift`` from the baseline."""
        return Backend(self.forward_func).configured(baselines=baselines_by(self.baseline_fn))


class DeepLiftShap(Explainer):
    """DeepLIFT averaged over a background, close to Shapley values. Lundberg and Lee, 2017 (arXiv:1705.07874)."""

    background_data: Annotated[Any, BeforeValidator(Baseline.from_name)] = "zeros"
    """Rows (rows, ...) to compare each example with, a tensor for each explained argument, such as some of the training
    data (at a layer: its values there); or a baseline, of which each example has its own, unless it is a
    ``Background``."""

    needs_module: ClassVar[bool] = True

    def check(self) -> None:
        """Refuse a background that is neither rows nor a baseline."""
        super().check()
        given = self.background_data
        members = given if isinstance(given, tuple) and given else (given,)
        if not isinstance(given, Baseline) and not all(isinstance(m, Tensor) and m.ndim for m in members):
            raise ArgumentError(
                f"DeepLiftShap: background_data: expected a tensor (rows, ...), a tuple of them or a baseline, "
                f"got {type(given).__name__}"
            )

    def attributor(self) -> Configured:
        """Return ``DeepLiftShap`` on the rows, or on each example's own baseline."""
        given = self.background_data
        if is_background(given):
            given = FromInputs(lambda inputs: rows_by(self.background_data, inputs))
        if isinstance(given, Baseline):
            return Backend(self.forward_func).configured(baselines=baselines_by(given))
        return ShapBackend(self.forward_func).configured(baselines=given)
