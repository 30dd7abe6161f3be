"""Explains by differences from a baseline, passed back operation by operation."""

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
    """Computes (x - x') * m with multipliers m by the rescale rule. Shrikumar et al., 2017 (arXiv:1704.02685).

    m follows from the chain rule with (y - y') / (z - z') in the place of an activation's derivative: z and y are its
    input and output for the input x, z' and y' those for the baseline x'. The attributions sum to F(x) - F(x').
    """

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """Baseline x'."""

    needs_module: ClassVar[bool] = True

    def attributor(self) -> Configured:
        """Return ``DeepLift`` from the baseline."""
        return Backend(self.forward_func).configured(baselines=baselines_by(self.baseline_fn))


class DeepLiftShap(Explainer):
    """Computes the mean of DeepLIFT over baselines, close to SHAP. Lundberg and Lee, 2017 (arXiv:1705.07874)."""

    background_data: Annotated[Any, BeforeValidator(Baseline.from_name)] = "zeros"
    """Rows (rows, ...) with which each example is compared, one tensor for each explained argument, such as some of the
    training data (at a layer, its values there). Or a baseline: with a ``Background`` its rows, with any other the
    example's own baseline."""

    needs_module: ClassVar[bool] = True

    def check(self) -> None:
        """Refuse a background that is neither rows nor a baseline."""
        super().check()
        background = self.background_data
        members = background if isinstance(background, tuple) and background else (background,)
        if not isinstance(background, Baseline) and not all(isinstance(m, Tensor) and m.ndim for m in members):
            raise ArgumentError(
                f"DeepLiftShap: background_data: expected a tensor (rows, ...), a tuple of them or a baseline, "
                f"got {type(background).__name__}"
            )

    def attributor(self) -> Configured:
        """Return ``DeepLiftShap`` on the rows, or on each example's own baseline."""
        background = self.background_data
        if is_background(background):
            background = FromInputs(lambda inputs: rows_by(self.background_data, inputs))
        if isinstance(background, Baseline):
            return Backend(self.forward_func).configured(baselines=baselines_by(background))
        return ShapBackend(self.forward_func).configured(baselines=background)
