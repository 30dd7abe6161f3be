"""What is known of a model on data before anything is explained: the data's kind, shared settings, what fits."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

import torch
from torch import Tensor

from pnpxai.auto.background import background_of
from pnpxai.auto.batch_reader import BatchReader
from pnpxai.auto.blind_columns import blind_columns
from pnpxai.auto.data import Data
from pnpxai.auto.data_spec import DataSpec
from pnpxai.auto.default_targets import needed_ids
from pnpxai.auto.estimators import Estimator, as_estimator, fitted_columns, is_estimator, model_of_estimator
from pnpxai.auto.explained_arguments import Extract
from pnpxai.auto.frames import as_pandas, columns_of, frame_of, in_order
from pnpxai.auto.graph_model import GraphModel, explained_of_graph, rest_of_graph
from pnpxai.auto.graphs import graphs_of, label_of_graph
from pnpxai.declare.encoding import rounded_text
from pnpxai.declare.marks import Settings
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target, select_output
from pnpxai.errors import ArgumentError
from pnpxai.examples import Batch, Examples
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.selection import ExplainerSpec, as_explainer
from pnpxai.modalities import GraphModality, Modality, ModalitySpec
from pnpxai.modalities.base import BASELINES
from pnpxai.model_types import Layer, Model, Tokenizer
from pnpxai.pictures import View
from pnpxai.recommender import Recommendation, by_facts, dry_run
from pnpxai.strategies.baselines import Baseline
from pnpxai.tables.table import Table
from pnpxai.tensors import Tensors
from pnpxai.traits import Traits

__all__ = ["ModelOnData"]


class ModelOnData:
    """Holds a model and data, and finds out what suits both. The arguments are those of ``AutoExplanation``."""

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
        target: Target = None,
        forward_arg_extractor: Extract = None,
        additional_forward_arg_extractor: Extract = None,
        layer: Layer = None,
        tokenizer: Tokenizer = None,
        display: object = None,
        class_names: Sequence[str] = (),
        feature_names: Sequence[str] = (),
        settings: Settings | None = None,
        background: Data = None,
        table: Table | None = None,
        seed: int = 0,
    ) -> None:
        data, encoding, table_given = as_pandas(data), table, table is not None
        model = as_estimator(model, data)
        if is_estimator(model):
            data = fitted_columns(model, data)
            model = model_of_estimator(model, data, table)
            class_names, encoding = class_names or model.class_names, model.table
        if not callable(model) or isinstance(model, type):
            raise ArgumentError(f"model: expected a model, got {type(model).__name__}")
        graphs = graphs_of(model, data, modality)
        self._topologies = () if graphs is None else tuple(graph.topology() for graph in graphs)
        if graphs is not None:
            modality = modality if isinstance(modality, GraphModality) else GraphModality()
            model = GraphModel(model, modality.players, graphs[0])
            data = [(graph.inputs(modality.players), graph.label) for graph in graphs]
            input_extractor, label_extractor = itemgetter(0), label_extractor or label_of_graph
            forward_arg_extractor, additional_forward_arg_extractor = explained_of_graph, rest_of_graph
        table = encoding if frame_of(data) is not None and encoding is not None else columns_of(data, table)
        if isinstance(class_names, str) or isinstance(feature_names, str):
            raise ArgumentError("class_names, feature_names: expected a list of names, got a single one")
        self.model = model
        self.seed = seed
        self._background = in_order(as_pandas(background), table)
        self._own_settings = {} if layer is None else {"layer": layer}
        self._own_settings |= settings or {}
        facts = {"tokenizer": tokenizer, "display": display, "feature_names": tuple(feature_names)}
        spec = DataSpec(
            data, modality, input_extractor, label_extractor, mask_extractor, target_extractor, target_labels, target,
            forward_arg_extractor, additional_forward_arg_extractor, facts, self._names_of_classes(class_names), table,
            table_given, encoding,
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
    def settings(self) -> Settings:
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

    def _views(
        self,
        inputs: Tensors,
        names: tuple[str, ...] = (),
        masks: Sequence[Tensor | None] = (),
        numbers: Sequence[int] = (),
    ) -> tuple[View, ...]:
        graphs = tuple(self._topologies[k] for k in numbers) if self._topologies else ()
        views = [replace(view, sources=names, graphs=graphs) for view in self.modality.views(inputs, self.class_names)]
        known = [mask for mask in masks if mask is not None]
        if known and len(known) == len(masks):
            width = max(mask.shape[1] for mask in known)
            rows = torch.cat([torch.nn.functional.pad(mask, (0, width - mask.shape[1])) for mask in known]).bool()
            fits = [x.shape[:2] == rows.shape for x in inputs]
            views = [v.without(rows.cpu().numpy()) if fit else v for v, fit in zip(views, fits, strict=True)]
        return tuple(views)
