"""A model on data: what explains it, tuned, compared, ranked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

from pnpxai.auto.frames import frame_of, in_large_batches
from pnpxai.auto.model_on_data import ModelOnData
from pnpxai.auto.steps import Steps
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.metrics.selection import ExplainerSpec, MetricSpec, as_explainer
from pnpxai.pictures import View
from pnpxai.recommender import Ranking, rank
from pnpxai.statistics import DecisionRule
from pnpxai.tables import TableSummary
from pnpxai.tuning import TuningResult, tune

if TYPE_CHECKING:
    from pnpxai.experiment import Experiment, Results

__all__ = ["AutoExplanation"]

_log = logging.getLogger("pnpxai")


class AutoExplanation(ModelOnData, Steps):
    """Explains a model on data, tunes, compares and ranks explainers. ``assumed`` says what was assumed about both.

    Args:
        model: the model: a tensor, a tuple, a mapping or a transformers output with ``logits`` comes out; or an
            estimator with ``predict_proba`` or ``predict`` over arrays or frames, such as a scikit-learn pipeline.
        data: a DataLoader, a Dataset, a tensor, a numpy array, a pandas frame, a picture or several, picture files (a
            path, a folder, a pattern, several paths), texts, a mapping
            or a tuple of these, a tuple (inputs, labels), or an iterable of batches.
        modality: "image", "text", "table", "series", a ``Modality``, or a tuple with one for each explained input; by
            default the first batch and the model tell.
        input_extractor: takes the inputs out of a batch; by default its first member, of a mapping all but the labels.
        label_extractor: takes the true classes out of a batch; by default its second member, of a mapping "labels".
        target_extractor: returns, of the model's output, which outputs to explain; by default the largest.
        target_labels: explain the true classes instead.
        mask_extractor: takes out of a batch which positions are known to matter, for metrics that need it.
        target: explain this output instead: an index, or a function of the model's output that gives one number for
            each example (for segmentation, detection, several heads).
        forward_arg_extractor: takes the explained arguments of the model out of the inputs.
        additional_forward_arg_extractor: takes the model's further arguments out of the inputs.
        layer: explain the values there, see ``Explainer``.
        tokenizer: makes ids of texts, and words of ids; it knows the mask and padding.
        display: how pictures were scaled: ``Display``, (mean, std), or a transform that has both; picture files go
            through the transform.
        class_names: of the model's outputs.
        feature_names: of columns, or of a series' channels; by default those of a frame.
        settings: further settings that explainers and metrics share where they have them.
        background: rows that stand for absence, such as some of the training data, in any form that data has; by
            default that is up to the kind of data: of tables the mean of all rows.
        table: what the columns of a frame hold, such as ``Table.of(frame, scaler=scaler)``; by default that is read
            from the data, but words and dates are then refused for models that take tensors.
        seed: fixes all that is drawn at random.
    """

    @functools.cached_property
    def experiment(self) -> Experiment:
        """The recommended explainers and the default metrics on the data, one combination at a time."""
        from pnpxai.experiment import Experiment

        data, explainers = self._reader.stream(None), list(self.recommended)
        return Experiment(self.model, data, self.traits, explainers, settings=self.settings, seed=self.seed)

    @overload
    def explain(
        self, explainer: None = None, *, count: int = 8, numbers: Sequence[int] | None = None
    ) -> dict[str, Explanation]: ...

    @overload
    def explain(
        self, explainer: ExplainerSpec, *, count: int = 8, numbers: Sequence[int] | None = None
    ) -> Explanation: ...

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
            return dict(self._explain_by_all(count, numbers))
        return self._explain(explainer, count, numbers)

    def summary(
        self, explainer: ExplainerSpec | None = None, *, rows: int | None = 1000, target: int | None = None
    ) -> TableSummary:
        """Explain rows of a table, and say what its columns contribute over all of them.

        Args:
            explainer: a name, class or configured explainer; by default integrated gradients where the model has
                gradients, else Shapley values.
            rows: how many rows, from the first; None for all.
            target: which output; by default that of the data, but of two classes the second for all rows, so that
                signs mean one thing.

        Raises:
            ArgumentError: the data is no table.
        """
        if explainer is None:
            names = [cls.__name__ for cls in self.stated.explainers]
            explainer = "IntegratedGradients" if "IntegratedGradients" in names else "ShapleyValues"
        chosen = (
            in_large_batches(self.examples(rows))
            if frame_of(self._reader.spec.data) is not None
            else self.examples(rows)
        )
        targets = [batch.targets for batch in chosen]
        if target is None and all(isinstance(t, Tensor) and t.ndim == 1 and int(t.max()) <= 1 for t in targets):
            target = 1
        if target is not None:
            chosen = Examples(tuple(replace(batch, targets=torch.full((len(batch),), target)) for batch in chosen))
        return TableSummary.of(self._explained(explainer, chosen, range(len(chosen))))

    def tune(
        self,
        explainer: ExplainerSpec | list[ExplainerSpec],
        metric: MetricSpec | list[MetricSpec] = "MultiScaleCorrelation",
        *,
        count: int | None = 64,
        **options: Any,
    ) -> TuningResult:
        """Search an explainer's settings for the best mean value of a metric.

        Args:
            explainer: a name, class or configured explainer; of a list, the explainer is searched too.
            metric: a name, class or configured metric, or what explaining costs ("seconds", "rows"); of a list, the
                front of the best is found.
            count: how many examples to use (half to search on, half to measure the gain on); None for all.
            **options: ``limits``, ``n_trials``, ``timeout``, ``sampler``, ``storage``, ``workers`` and what else
                ``pnpxai.tuning.tune`` takes.
        """
        self._refuse_blind(_listed(explainer))
        explainers = [as_explainer(e, self.model, self.settings) for e in _listed(explainer)]
        options = {"traits": self.traits, "seed": self.seed, "common": self.settings} | options
        candidates = explainers if isinstance(explainer, list) else explainers[0]
        return tune(candidates, self.examples(count), metric, **options)

    def rank(
        self, explainers: Sequence[ExplainerSpec] | None = None, *, count: int | None = 64, **options: Any
    ) -> Ranking:
        """Tune each explainer (by default all that fit) and rank them on held-out examples, as ``recommender.rank``."""
        chosen = list(self.recommended) if explainers is None else explainers
        self._refuse_blind(chosen)
        options = {"explainers": chosen, "seed": self.seed, "common": self.settings} | options
        return rank(self.model, self.examples(count), self.traits, **options)

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
        from pnpxai.experiment import compare

        chosen = list(self.recommended) if explainers is None else explainers
        self._refuse_blind(chosen)
        options = {"traits": self.traits, "rule": rule, "seed": self.seed, "common": self.settings} | options
        results = compare(self.model, self._reader.stream(count), chosen, metrics, **options)
        numbers = results.kept
        batches = self._reader.explained_by_batch(max(numbers) + 1, numbers) if numbers else []
        views = [View.joined(of) for of in zip(*(self._views(batch) for batch in batches), strict=True)]
        graphs = tuple(self._topologies[k] for k in numbers) if self._topologies else ()
        views = [replace(view, sources=self._reader.names(numbers), graphs=graphs).to_dict() for view in views]
        fitting = self.recommended if explainers is None else self.stated
        results = replace(results, facts=results.facts | {"views": views}, rejected=fitting.reasons)
        if options.get("folder") is not None:
            results.save(options["folder"])
        return results

    def _explain_by_all(self, count: int, numbers: Sequence[int] | None) -> Iterator[tuple[str, Explanation]]:
        for cls in self.recommended:
            try:
                yield cls.__name__, self._explain(cls, count, numbers)
            except ArgumentError as refusal:
                _log.warning("%s is left out: %s", cls.__name__, refusal)

    def _explain(self, spec: ExplainerSpec, count: int, numbers: Sequence[int] | None) -> Explanation:
        chosen = self.examples(count if numbers is None else max([0, *numbers]) + 1)
        chosen = chosen if numbers is None else chosen.take(numbers)
        return self._explained(spec, chosen, range(len(chosen)) if numbers is None else sorted(set(numbers)))

    def _explained(self, spec: ExplainerSpec, chosen: Examples, numbers: Sequence[int]) -> Explanation:
        """Return the explanation of examples with these numbers in the data."""
        self._refuse_blind([spec])
        names = self._reader.names(numbers)
        masks = [self._reader.attention_mask(batch.inputs) for batch in chosen]
        explainer: Explainer = getattr(spec, "explainer", None) or as_explainer(spec, self.model, self.settings)
        explanation = Explanation.joined(
            [explainer.explain(batch.inputs, batch.targets, seed=batch.stream(self.seed)) for batch in chosen]
        )
        views = self._views(explanation.inputs, names, masks, numbers)
        return replace(explanation, views=views, postprocessor=getattr(spec, "postprocessor", None))


def _listed(one_or_several: ExplainerSpec | list[ExplainerSpec]) -> list[ExplainerSpec]:
    return one_or_several if isinstance(one_or_several, list) else [one_or_several]
