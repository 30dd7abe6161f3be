"""A model on data: what explains it, tuned, compared, ranked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

from pnpxai.auto.background import background_of
from pnpxai.auto.batch_reader import BatchReader
from pnpxai.auto.blind_columns import blind_columns
from pnpxai.auto.data import Data
from pnpxai.auto.data_spec import DataSpec
from pnpxai.auto.default_targets import needed_ids
from pnpxai.auto.estimators import Estimator, is_estimator, model_of_estimator
from pnpxai.auto.explained_arguments import Extract
from pnpxai.auto.steps import Steps
from pnpxai.declare.encoding import rounded_text
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.metrics.selection import ExplainerSpec, MetricSpec, as_explainer
from pnpxai.modalities import Modality, ModalitySpec
from pnpxai.modalities.base import BASELINES
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.recommender import Ranking, Recommendation, by_facts, dry_run, rank
from pnpxai.statistics import DecisionRule
from pnpxai.strategies.baselines import Baseline
from pnpxai.tables import TableSummary
from pnpxai.tensors import Tensors
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune

if TYPE_CHECKING:
    from pnpxai.experiment import Experiment, Results

__all__ = ["AutoExplanation"]

_log = logging.getLogger("pnpxai")


class AutoExplanation(Steps):
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
        seed: fixes all that is drawn at random.
    """

    def __init__(
        self,
        model: Model | Estimator,
        data: Data,
        modality: ModalitySpec = None,
        input_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        *,
        mask_extractor: Extract = None,
        target: Any = None,
        forward_arg_extractor: Extract = None,
        additional_forward_arg_extractor: Extract = None,
        layer: Any = None,
        tokenizer: Any = None,
        display: Any = None,
        class_names: Sequence[str] = (),
        feature_names: Sequence[str] = (),
        settings: dict[str, Any] | None = None,
        background: Data = None,
        seed: int = 0,
    ) -> None:
        if is_estimator(model):
            estimator: Any = model
            model = model_of_estimator(estimator, data)
            class_names = class_names or model.class_names
        if not callable(model) or isinstance(model, type):
            raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
        if isinstance(class_names, str) or isinstance(feature_names, str):
            raise ArgumentError("class_names, feature_names: expected a list of names, got a single one")
        self.model = model
        self.seed = seed
        self._background = background
        self._own_settings = {} if layer is None else {"layer": layer}
        self._own_settings |= settings or {}
        facts = {"tokenizer": tokenizer, "display": display, "feature_names": tuple(feature_names)}
        spec = DataSpec(
            data, modality, input_extractor, label_extractor, mask_extractor, target_extractor, target_labels, target,
            forward_arg_extractor, additional_forward_arg_extractor, facts, self._names_of_classes(class_names),
        )  # fmt: skip
        self._reader = BatchReader(model, spec)

    @property
    def modality(self) -> Modality:
        """What kind of data it is."""
        return self._reader.modality

    @property
    def traits(self) -> Traits:
        """The facts about the data that strategies and explainers use."""
        return self.modality.traits

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the outputs: as given, or as a transformers model's configuration has them."""
        return self._reader.spec.class_names

    def _names_of_classes(self, class_names: Sequence[str]) -> tuple[str, ...]:
        names = getattr(getattr(self.model, "config", None), "id2label", None)
        if class_names or not isinstance(names, Mapping):
            return tuple(class_names)
        return tuple(str(names[k]) for k in sorted(names))

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was assumed about the data and the model, in words."""
        shared = {name: value for name, value in self.settings.items() if not name.endswith("_extractor")}
        used = ", ".join(f"{name}={rounded_text(value, self)}" for name, value in shared.items())
        background = () if self._background is None else (self._absence[1],)
        return (*self._reader.assumed, *background, f"explainers and metrics share: {used}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """Files that were left out of the data, each with the reason."""
        return tuple(reason.removeprefix("data: ") for reason in self._reader.skipped.values())

    def __repr__(self) -> str:
        name = getattr(self.model, "__name__", type(self.model).__name__)
        return "\n".join([f"{type(self).__name__} of {name}", *(f"  {line}" for line in self.assumed)])

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Settings that explainers and metrics share, where they have them."""
        defaults = self.modality.common(self._reader.rows_of_defaults())
        if self._background is not None:
            defaults |= dict.fromkeys(BASELINES, self._absence[0])
        if held := needed_ids(self.model):
            defaults["held_ids"] = held
        ready = {strategy.name: strategy for strategy in self.traits.ready}
        own = {n: ready.get(v, v) if isinstance(v, str) else v for n, v in self._own_settings.items()}
        return defaults | self._reader.extractors | own

    @functools.cached_property
    def _absence(self) -> tuple[Baseline, str]:
        """The background that was given, and what it is in words."""
        return background_of(self._reader.background_rows(self._background), self.seed)

    @functools.cached_property
    def _blind(self) -> str:
        """Why explainers that need gradients do not fit, where gradients do not pass through a column; else empty."""
        arguments = self._reader.arguments()
        pairs = blind_columns(self.model, arguments)
        if not pairs or "layer" in self._own_settings:
            return ""
        views = self._views(arguments.explained)
        names = [views[k].names[column] if views[k].names else f"column {column}" for k, column in pairs]
        return (
            f"needs gradients, and none pass through {', '.join(names)}: the model reads them as codes (a cast to "
            "whole numbers, a rounding or a comparison), so that they would seem not to matter; choose an explainer "
            "that perturbs, such as KernelShap or FeatureAblation, or give codes to the model as a tensor of their own"
        )

    def _refuse_blind(self, specs: Sequence[ExplainerSpec]) -> None:
        """Refuse explainers that would find nothing in columns that matter.

        Raises:
            ArgumentError: names the explainer and the columns.
        """
        if not self._blind:
            return
        for spec in specs:
            explainer = getattr(spec, "explainer", None) or as_explainer(spec, self.model, self.settings)
            if explainer.needs_gradient and not explainer.control:
                raise ArgumentError(f"{type(explainer).__name__}: {self._blind}")

    @functools.cached_property
    def recommended(self) -> Recommendation:
        """Which explainers explained the first example within their law, how long it took, and why the others did not.

        Those that state that they fit are tried once, on the first example or a short version of it; see ``dry_run``.
        """
        fitting = self.stated
        (batch,) = self.examples(1)
        settings = self.traits.shared(self.settings)
        return fitting.after(dry_run(fitting.explainers, self.model, batch.inputs, batch.targets, settings))

    @functools.cached_property
    def stated(self) -> Recommendation:
        """Which explainers fit by what they state, and by what is seen of the model on one example."""
        fitting = by_facts(self.model, self.traits, inputs=self._reader.arguments())
        if not self._blind:
            return fitting
        blind = {cls.__name__: self._blind for cls in fitting.explainers if cls.needs_gradient}
        explainers = tuple(cls for cls in fitting.explainers if not cls.needs_gradient)
        return replace(fitting, explainers=explainers, reasons=fitting.reasons | blind)

    @functools.cached_property
    def is_classifier(self) -> bool:
        """Whether the model gives several numbers for each example, one for each class."""
        (batch,) = self.examples(1)
        call = self.arguments_of(batch).call()
        with borrowed(self.model, gradients=False), torch.no_grad():
            output = self.model(*call.args, **call.kwargs)
        try:
            scores = select_output(output)
        except ArgumentError:
            return False
        return scores.ndim == 2 and scores.shape[1] > 1

    def names(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """Return the file names of examples, none where the data has no names."""
        return self._reader.names(numbers)

    def arguments_of(self, batch: Batch) -> Arguments:
        """Return what a batch of ``examples()`` means to the model."""
        return self._reader.arguments_of(batch.inputs)

    @functools.cached_property
    def experiment(self) -> Experiment:
        """The recommended explainers and the default metrics on the data, one combination at a time."""
        from pnpxai.experiment import Experiment

        data, explainers = self._reader.stream(None), list(self.recommended)
        return Experiment(self.model, data, self.traits, explainers, settings=self.settings, seed=self.seed)

    def affordable(self, rows: int) -> list[type[Explainer]]:
        """Return the explainers that state that they fit, and by their declared cost run few rows for each example.

        Args:
            rows: how many rows an explainer may run through the model to explain one example, with its defaults.
        """
        (batch,) = self.examples(1)
        explainers = [as_explainer(cls, self.model, self.settings) for cls in self.stated.explainers]
        return [type(explainer) for explainer in explainers if explainer.cost(batch.inputs) <= rows]

    def examples(self, count: int | None = None) -> Examples:
        """Return the first examples of the data (all, if no count is given), with targets. Data is read once.

        Raises:
            ArgumentError: there are none.
        """
        return self._reader.examples(count)

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
        chosen = self.examples(rows)
        targets = [batch.targets for batch in chosen]
        if target is None and all(isinstance(t, Tensor) and t.ndim == 1 and int(t.max()) <= 1 for t in targets):
            target = 1
        if target is not None:
            chosen = Examples(tuple(replace(batch, targets=torch.full((len(batch),), target)) for batch in chosen))
        return TableSummary.of(self._explained(explainer, chosen, range(len(chosen))))

    def tune(
        self,
        explainer: ExplainerSpec | list[ExplainerSpec],
        metric: MetricSpec | list[MetricSpec] = "AbPC",
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
        views = [replace(view, sources=self._reader.names(numbers)).to_dict() for view in views]
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
        views = self._views(explanation.inputs, names, masks)
        return replace(explanation, views=views, postprocessor=getattr(spec, "postprocessor", None))

    def _views(
        self, inputs: Tensors, names: tuple[str, ...] = (), masks: Sequence[Tensor | None] = ()
    ) -> tuple[View, ...]:
        views = [replace(view, sources=names) for view in self.modality.views(inputs, self.class_names)]
        known = [mask for mask in masks if mask is not None]
        if known and len(known) == len(masks):
            width = max(mask.shape[1] for mask in known)
            rows = torch.cat([torch.nn.functional.pad(mask, (0, width - mask.shape[1])) for mask in known]).bool()
            fits = [x.shape[:2] == rows.shape for x in inputs]
            views = [v.without(rows.cpu().numpy()) if fit else v for v, fit in zip(views, fits, strict=True)]
        return tuple(views)


def _listed(one_or_several: ExplainerSpec | list[ExplainerSpec]) -> list[ExplainerSpec]:
    return one_or_several if isinstance(one_or_several, list) else [one_or_several]
