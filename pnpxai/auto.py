"""Model and data in, answers out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from pnpxai.engine.arguments import Arguments
from pnpxai.engine.guard import borrowed, module_of
from pnpxai.engine.score import select_output
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.explanation import Explanation
from pnpxai.metrics.choose import ExplainerSpec, MetricSpec, as_explainer, as_metric
from pnpxai.recommender import Ranking, Recommendation, rank, recommend
from pnpxai.statistics import DecisionRule
from pnpxai.tensors import flat, map_tensors
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune

__all__ = ["AutoExplanation", "AutoExplanationForImageClassification"]

_log = logging.getLogger("pnpxai")
Data = DataLoader | Dataset | Tensor | tuple[Any, Any] | Iterable[Any]


class AutoExplanation:
    """Explains a model on data: what fits, tuned, compared.

    Args:
        model: the model.
        data: a DataLoader, a Dataset, a tensor of inputs, a tuple (inputs, labels), or an iterable of batches.
        traits: facts about the explained inputs.
        input_extractor: takes the inputs out of a batch; by default its first member.
        label_extractor: takes the true classes out of a batch; by default its second member, if it has one.
        target_extractor: says which outputs to explain, from the model's output; by default the largest.
        target_labels: explain the true classes instead.
        settings: what all explainers and metrics share where they have it (extractors, layer).
        seed: fixes all that is drawn at random.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        data: Data,
        traits: Traits,
        *,
        input_extractor: Callable[[Any], Any] | None = None,
        label_extractor: Callable[[Any], Any] | None = None,
        target_extractor: Callable[[Any], Any] | None = None,
        target_labels: bool = False,
        settings: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        if not callable(model):
            raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
        self.model = model
        self.traits = traits
        self.seed = seed
        self._loader = _batches(data)
        self._extractors = input_extractor or _first, label_extractor or _second, target_extractor or _largest
        self._target_labels = target_labels
        self._common: dict[str, Any] = {"channel_dim": traits.channel_dim} | (settings or {})
        self._read: Examples | None = None
        self._read_all = False

    @property
    def recommended(self) -> Recommendation:
        """Which explainers fit the model and data, and why the others do not."""
        return recommend(self.model, self.traits)

    def examples(self, count: int | None = None) -> Examples:
        """Return the first examples of the data (all, if no count is given), with targets. Data is read once.

        Raises:
            ArgumentError: there are none.
        """
        enough = self._read_all or (count is not None and self._read is not None and len(self._read) >= count)
        if not enough:
            parts, seen = [], 0
            self._read_all = True
            for batch in self._loader:
                if count is not None and seen >= count:
                    self._read_all = False
                    break
                parts.append(self._part(batch))
                seen += len(flat(parts[-1][0])[0])
            self._read = Examples.of(parts)
        assert self._read is not None  # noqa: S101
        return self._read if count is None else self._read.first(count)

    def explain(
        self, explainer: ExplainerSpec | None = None, *, count: int = 8, numbers: Sequence[int] | None = None
    ) -> Explanation | dict[str, Explanation]:
        """Explain examples with one explainer, or with all that fit.

        Args:
            explainer: a name, class, configured explainer or tuning result; None for all that fit.
            count: how many examples, from the first.
            numbers: which examples, instead.

        Returns:
            an explanation; with several explainers, one for each, by name (one that refuses what its facts allowed is
            left out, and logged with its reason).
        """
        if explainer is None:
            return self._explain_by_all(count, numbers)
        return self._explain(explainer, count, numbers)

    def tune(
        self,
        explainer: ExplainerSpec,
        metric: MetricSpec = "AbPC",
        *,
        n_trials: int = 20,
        timeout: float | None = None,
        sampler: str = "auto",
        count: int | None = 64,
        show_progress: bool = True,
    ) -> TuningResult:
        """Search an explainer's settings for the best mean value of a metric; see ``pnpxai.tuning.tune``.

        Args:
            explainer: a name, class or configured explainer.
            metric: a name, class or configured metric.
            n_trials: number of trials.
            timeout: stop after so many seconds.
            sampler: how settings are chosen.
            count: how many examples to use (half to search on, half to measure the gain on); None for all.
            show_progress: show a progress bar.
        """
        return tune(
            as_explainer(explainer, self.model, self._common),
            self.examples(count),
            as_metric(metric, self.model, self._common),
            traits=self.traits,
            n_trials=n_trials,
            timeout=timeout,
            sampler=sampler,
            seed=self.seed,
            show_progress=show_progress,
        )

    def rank(
        self, explainers: Sequence[ExplainerSpec] | None = None, *, count: int | None = 64, **options: Any
    ) -> Ranking:
        """Tune each explainer (by default all that fit) and rank them on held-out examples, as ``recommender.rank``."""
        return rank(
            self.model,
            self.examples(count),
            self.traits,
            **({"explainers": explainers, "seed": self.seed, "common": self._common} | options),
        )

    def compare(
        self,
        explainers: Sequence[ExplainerSpec] | None = None,
        metrics: Sequence[MetricSpec] | None = None,
        *,
        count: int | None = None,
        rule: DecisionRule | None = None,
        **options: Any,
    ) -> Results:
        """Compare explainers (by default all that fit) on the examples; see ``pnpxai.experiment.compare``."""
        given = {"traits": self.traits, "rule": rule, "seed": self.seed, "common": self._common}
        return compare(self.model, self.examples(count), explainers, metrics, **(given | options))

    def _explain_by_all(self, count: int, numbers: Sequence[int] | None) -> dict[str, Explanation]:
        found = {}
        for cls in self.recommended:
            try:
                found[cls.__name__] = self._explain(cls, count, numbers)
            except ArgumentError as refusal:
                _log.warning("%s is left out: %s", cls.__name__, refusal)
        return found

    def _explain(self, spec: ExplainerSpec, count: int, numbers: Sequence[int] | None) -> Explanation:
        chosen = self.examples(count if numbers is None else max(numbers) + 1)
        chosen = chosen if numbers is None else chosen.take(numbers)
        explainer: Explainer = getattr(spec, "explainer", None) or as_explainer(spec, self.model, self._common)
        return Explanation.joined(
            [explainer.explain(batch.inputs, batch.targets, seed=batch.stream(self.seed)) for batch in chosen]
        )

    def _part(self, batch: Any) -> tuple[Any, Tensor | None, Tensor | None]:
        of_inputs, of_labels, of_targets = self._extractors
        module = module_of(self.model)
        first = next(module.parameters(), None) if module is not None else None
        place = (lambda t: t.to(first.device)) if first is not None else (lambda t: t)
        inputs, labels = (map_tensors(place, _as_tensors(part(batch))) for part in (of_inputs, of_labels))
        if self._target_labels:
            if labels is None:
                raise ArgumentError("target_labels: the data holds no labels; give label_extractor=")
            return inputs, labels, labels
        call = Arguments.read(
            inputs,
            self._common.get("forward_arg_extractor"),
            self._common.get("additional_forward_arg_extractor"),
        ).call()
        with borrowed(self.model, gradients=False):
            output = self.model(*call.args, **call.kwargs)
        return inputs, of_targets(output), labels


class AutoExplanationForImageClassification(AutoExplanation):
    """Explains an image classifier; the arguments are those of ``AutoExplanation``, in the original's order.

    Args:
        model: maps pictures (examples, channels, height, width) to class scores.
        data: as for ``AutoExplanation``.
        input_extractor: takes the pictures out of a batch.
        label_extractor: takes the true classes out of a batch.
        target_extractor: says which outputs to explain.
        target_labels: explain the true classes instead.
        channel_dim: the axis of channels.
        settings: what all explainers and metrics share.
        seed: fixes all that is drawn at random.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        data: Data,
        input_extractor: Callable[[Any], Any] | None = None,
        label_extractor: Callable[[Any], Any] | None = None,
        target_extractor: Callable[[Any], Any] | None = None,
        target_labels: bool = False,
        channel_dim: int = 1,
        *,
        settings: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            model,
            data,
            Traits.image(channel_dim),
            input_extractor=input_extractor,
            label_extractor=label_extractor,
            target_extractor=target_extractor,
            target_labels=target_labels,
            settings=settings,
            seed=seed,
        )


def _batches(data: Any) -> Iterable[Any]:
    if isinstance(data, tuple) and len(data) == 2:
        data = TensorDataset(*(torch.as_tensor(part) for part in data))
    elif hasattr(data, "__array__") or isinstance(data, Tensor):
        data = TensorDataset(torch.as_tensor(data))
    if isinstance(data, (Dataset, IterableDataset)):
        return DataLoader(data, batch_size=32)
    if not isinstance(data, Iterable):
        raise ArgumentError(
            f"data: expected a DataLoader, a Dataset, tensors or an iterable of batches, got {type(data).__name__}"
        )
    return data


def _as_tensors(part: Any) -> Any:
    return torch.as_tensor(part) if type(part).__module__ == "numpy" else part


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def _second(batch: Any) -> Any:
    return batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None


def _largest(output: Any) -> Tensor | None:
    scores = select_output(output)
    return None if scores.ndim < 2 or scores.shape[-1] == 1 else scores.argmax(-1)
