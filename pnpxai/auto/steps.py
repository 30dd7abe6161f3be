"""An experiment's steps at the front door."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pnpxai.migration import missing_attribute
from pnpxai.model_types import Attributions, ModelOutput
from pnpxai.tuning import TuningResult

if TYPE_CHECKING:
    from pnpxai.experiment import Experiment

__all__ = ["Steps"]


class Steps(ABC):
    """Runs one explainer, post-processor or metric at a time, chosen by number or by name."""

    if not TYPE_CHECKING:  # a type checker would take every name for one that there is
        __getattr__ = missing_attribute

    @functools.cached_property
    @abstractmethod
    def experiment(self) -> Experiment:
        """Experiment that runs the steps."""

    def predict_batch(self, data_ids: Sequence[int] | None = None) -> ModelOutput:
        """Return the model's outputs; see ``Experiment.predict_batch``."""
        return self.experiment.predict_batch(data_ids)

    def explain_batch(self, data_ids: Sequence[int] | None, explainer_id: int | str) -> Attributions:
        """Return an explainer's attributions; see ``Experiment.explain_batch``."""
        return self.experiment.explain_batch(data_ids, explainer_id)

    def postprocess_batch(
        self, data_ids: Sequence[int] | None, explainer_id: int | str, postprocessor_id: int | str = 0
    ) -> Attributions:
        """Return an explainer's maps; see ``Experiment.postprocess_batch``."""
        return self.experiment.postprocess_batch(data_ids, explainer_id, postprocessor_id)

    def evaluate_batch(
        self,
        data_ids: Sequence[int] | None,
        explainer_id: int | str,
        postprocessor_id: int | str = 0,
        metric_id: int | str = 0,
    ) -> Tensor:
        """Return what a metric says of an explainer's maps; see ``Experiment.evaluate_batch``."""
        return self.experiment.evaluate_batch(data_ids, explainer_id, postprocessor_id, metric_id)

    def run_batch(
        self,
        explainer_id: int | str,
        postprocessor_id: int | str = 0,
        metric_id: int | str = 0,
        data_ids: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """Explain examples, make maps and judge them; see ``Experiment.run_batch``."""
        return self.experiment.run_batch(explainer_id, postprocessor_id, metric_id, data_ids)

    def optimize(
        self,
        data_ids: Sequence[int] | None,
        explainer_id: int | str,
        metric_id: int | str = 0,
        direction: str | None = None,
        sampler: str = "auto",
        n_trials: int = 50,
        timeout: float | None = None,
        **options: Any,
    ) -> TuningResult:
        """Search an explainer's settings, as ``tune`` does; see ``Experiment.optimize``."""
        return self.experiment.optimize(
            data_ids, explainer_id, metric_id, direction, sampler, n_trials, timeout, **options
        )
