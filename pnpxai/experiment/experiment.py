"""Explainers, post-processors and metrics on data, one combination at a time or all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import labels
from pnpxai.declare.marks import Settings
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError, did_you_mean
from pnpxai.example_targets import largest
from pnpxai.examples import Batch, Examples
from pnpxai.experiment.results import Results
from pnpxai.experiment.running.batches import Data, Stream
from pnpxai.experiment.running.comparison import DEFAULT_METRICS, compare
from pnpxai.experiment.running.work import Job
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.selection import ExplainerSpec, MetricSpec, as_explainer, as_metric
from pnpxai.migration import missing_attribute
from pnpxai.model_types import Attributions, Model, ModelInputs, ModelOutput
from pnpxai.recommender import by_facts
from pnpxai.recommender.fit import ModalitySpec, needed_traits
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tuning import TuningResult, tune

__all__ = ["Experiment"]

T = TypeVar("T", bound=Declared)
Id = int | str
"""An explainer, post-processor or metric: its place in the list, its class's name, or its label."""


class Experiment:
    """Explainers, post-processors and metrics on data. Each is chosen by its place in its list, or by name.

    Args:
        model: the model.
        data: a DataLoader, a Dataset, a tensor of inputs, a tuple (inputs, labels), or an iterable of batches.
        modality: facts about the explained inputs: ``Traits``, what has such ``traits``, a name such as "image", or a
            tuple with a modality for each.
        explainers: names, classes or configured explainers; by default all that fit.
        postprocessors: what makes maps of attributions; by default the one that suits the data.
        metrics: names, classes or configured metrics; by default ``DEFAULT_METRICS``.
        input_extractor: takes the inputs out of a batch; by default its first member, of a mapping all but labels.
        label_extractor: takes the true classes out of a batch; by default its second member, of a mapping "labels".
        target_extractor: says from the model's output what is explained; by default the largest.
        target_labels: explain the true classes instead.
        mask_extractor: takes what is known to matter out of a batch, for metrics that ask for it.
        settings: what all explainers and metrics share where they have it (extractors, layer, channel_dim).
        folder: a run folder, in which ``compare`` keeps what it computed.
        seed: fixes all draws.

    Raises:
        ArgumentError: a name is unknown, or the data is none of these.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        modality: ModalitySpec,
        explainers: Sequence[ExplainerSpec] | None = None,
        postprocessors: Sequence[PostProcessor] | None = None,
        metrics: Sequence[MetricSpec] | None = None,
        input_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        label_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        target_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        target_labels: bool = False,
        *,
        mask_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
        settings: Settings | None = None,
        folder: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        traits = needed_traits(getattr(modality, "traits", modality))
        self.model, self.traits, self.seed, self.folder = model, traits, seed, folder
        self.stream = Stream.of(
            data, input_extractor, label_extractor, target_labels=target_labels, mask_extractor=mask_extractor
        )
        self._common = traits.shared(settings)
        specs = by_facts(model, traits).explainers if explainers is None else explainers
        self.explainers: tuple[Explainer, ...] = tuple(as_explainer(spec, model, self._common) for spec in specs)
        self.postprocessors: tuple[PostProcessor, ...] = tuple(postprocessors or (PostProcessor.on(traits),))
        names = DEFAULT_METRICS if metrics is None else metrics
        self.metrics: tuple[Metric, ...] = tuple(as_metric(spec, model, self._common) for spec in names)
        self._targets = target_extractor
        predicted = None if self.stream.targets is not None else target_extractor or largest
        self._job = Job({}, {}, seed, model, predicted, self._common, torch.get_num_threads())

    if not TYPE_CHECKING:  # a type checker would take every name for one that there is
        __getattr__ = missing_attribute

    def predict_batch(self, data_ids: Sequence[int] | None = None) -> ModelOutput:
        """Return the model's outputs for some examples (their numbers; by default all)."""
        return _joined([select_output(self._job.output(batch)) for batch in self._batches(data_ids)])

    def explain_batch(self, data_ids: Sequence[int] | None, explainer_id: Id) -> Attributions:
        """Return an explainer's attributions of some examples."""
        explainer = _chosen(self.explainers, explainer_id, "explainer_id")
        return _joined([self._attributions(batch, explainer) for batch in self._batches(data_ids)])

    def postprocess_batch(
        self, data_ids: Sequence[int] | None, explainer_id: Id, postprocessor_id: Id = 0
    ) -> Attributions:
        """Return the maps that a post-processor makes of an explainer's attributions."""
        return _chosen(self.postprocessors, postprocessor_id, "postprocessor_id")(
            self.explain_batch(data_ids, explainer_id)
        )

    def evaluate_batch(
        self, data_ids: Sequence[int] | None, explainer_id: Id, postprocessor_id: Id = 0, metric_id: Id = 0
    ) -> Tensor:
        """Return (examples,) what a metric says of an explainer's maps."""
        return self.run_batch(explainer_id, postprocessor_id, metric_id, data_ids)["evaluation"]

    def run_batch(
        self, explainer_id: Id, postprocessor_id: Id = 0, metric_id: Id = 0, data_ids: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Explain examples, make maps and judge them.

        Args:
            explainer_id: place or name of an explainer.
            postprocessor_id: place or name of a post-processor.
            metric_id: place or name of a metric.
            data_ids: the examples' numbers; by default all.

        Returns:
            inputs, labels, outputs, targets, explainer, explanation, postprocessor, postprocessed, metric, evaluation.
        """
        explainer = _chosen(self.explainers, explainer_id, "explainer_id")
        postprocessor = _chosen(self.postprocessors, postprocessor_id, "postprocessor_id")
        metric = _chosen(self.metrics, metric_id, "metric_id")
        candidate = Candidate("", explainer, postprocessor)
        of_batches: dict[str, list[object]] = {}
        for batch in self._batches(data_ids):
            attributions = self._attributions(batch, explainer)
            maps = postprocessor(attributions)
            measured = candidate.measure(metric, batch, maps, self.seed)
            parts = {
                "inputs": batch.inputs, "labels": batch.labels, "outputs": select_output(self._job.output(batch)),
                "targets": batch.targets, "explanation": attributions, "postprocessed": maps,
                "evaluation": measured.values,
            }  # fmt: skip
            for name, part in parts.items():
                of_batches.setdefault(name, []).append(part)
        used = {"explainer": explainer, "postprocessor": postprocessor, "metric": metric}
        return used | {name: _joined(parts) for name, parts in of_batches.items()}

    def optimize(
        self,
        data_ids: Sequence[int] | None,
        explainer_id: Id,
        metric_id: Id = 0,
        direction: str | None = None,
        sampler: str = "auto",
        n_trials: int = 50,
        timeout: float | None = None,
        **options: Any,
    ) -> TuningResult:
        """Search an explainer's settings for the best mean value of a metric; see ``pnpxai.tuning.tune``.

        Args:
            data_ids: the examples' numbers; by default all.
            explainer_id: place or name of an explainer.
            metric_id: place or name of a metric.
            direction: not needed, as a metric knows its own; another than that is refused.
            sampler: how settings are chosen.
            n_trials: number of trials.
            timeout: stop after so many seconds.
            options: further arguments of ``tune``.
        """
        metric = _chosen(self.metrics, metric_id, "metric_id")
        own = "maximize" if metric.higher_is_better else "minimize"
        if direction not in (None, own):
            raise ArgumentError(f"direction: {type(metric).__name__} is to {own}, got {direction!r}")
        defaults = {"postprocessor": self.postprocessors[0], "traits": self.traits, "seed": self.seed}
        explainer = _chosen(self.explainers, explainer_id, "explainer_id")
        examples = Examples(tuple(self._batches(data_ids)))
        return tune(
            explainer, examples, metric, sampler=sampler, n_trials=n_trials, timeout=timeout, **(defaults | options)
        )

    def compare(self, **options: Any) -> Results:
        """Compare all explainers, each with each post-processor, by all metrics; see ``pnpxai.experiment.compare``."""
        several = len(self.postprocessors) > 1
        candidates = [
            Candidate(label + (f" / {_short(post)}" if several else ""), explainer, post)
            for label, explainer in zip(labels(self.explainers), self.explainers, strict=True)
            for post in self.postprocessors
        ]
        defaults = {
            "traits": self.traits, "seed": self.seed, "folder": self.folder, "common": self._common,
            "target_extractor": self._targets,
        }  # fmt: skip
        return compare(self.model, self.stream, candidates, self.metrics, **(defaults | options))

    def _batches(self, data_ids: Sequence[int] | None) -> list[Batch]:
        batches = list(self.stream) if data_ids is None else self.stream.take(data_ids)
        return [self._job.placed(batch) for batch in batches]

    def _attributions(self, batch: Batch, explainer: Explainer) -> Attributions:
        return explainer.attribute(batch.inputs, batch.targets, seed=batch.stream(self.seed))


def _chosen(members: Sequence[T], chosen: Id, name: str) -> T:
    """Return the member with this place or name."""
    if isinstance(chosen, str):
        names = labels(members)
        named = [m for m, label in zip(members, names, strict=True) if chosen in (label, type(m).__name__)]
        if not named:
            raise ArgumentError(f"{name}: no {chosen!r}{did_you_mean(chosen, names)}")
        return named[0]
    if isinstance(chosen, bool) or not isinstance(chosen, Integral) or not 0 <= chosen < len(members):
        raise ArgumentError(f"{name}: expected a name, or a number from 0 to {len(members) - 1}, got {chosen!r}")
    return members[chosen]


def _short(postprocessor: PostProcessor) -> str:
    parts = (postprocessor.pooling_fn, postprocessor.normalization_fn)
    return ", ".join(part if isinstance(part, str) else part.name for part in parts)


def _joined(parts: Sequence[Attributions]) -> Attributions:
    """Join what was computed batch by batch: tensors of one shape to a tensor, others to a list."""
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    if isinstance(first, tuple):
        return tuple(_joined(members) for members in zip(*parts, strict=True))
    same = isinstance(first, Tensor) and all(p.shape[1:] == first.shape[1:] for p in parts)
    return torch.cat(list(parts)) if same else list(parts)
