"""Reads data batch by batch: the model's arguments, and which output of each example is explained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pnpxai.auto.batch_targets import BatchTargets
from pnpxai.auto.conversion import AsTensors
from pnpxai.auto.data import Data, batches, column_names, example_names
from pnpxai.auto.data_kinds import recognised_modality, with_facts
from pnpxai.auto.data_spec import DataSpec, ReadBatch
from pnpxai.auto.default_targets import generation_keywords
from pnpxai.auto.estimators import EstimatorModel
from pnpxai.auto.explained_arguments import (
    TakenApart,
    accepted_keywords,
    explained_part,
    further_part,
    take_apart,
)
from pnpxai.auto.picture_files import PictureFiles, opened, picture_paths
from pnpxai.auto.picture_scaling import PictureScaling
from pnpxai.auto.signatures import required
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.padding import padding_masks
from pnpxai.errors import ArgumentError
from pnpxai.example_targets import Labels, inputs_and_label, labels_as_targets
from pnpxai.examples import Examples
from pnpxai.modalities import GraphModality, Modality, SeveralModalities, TabularModality
from pnpxai.modalities.base import picture_channels, reads_ids
from pnpxai.model_types import Model, ModelInputs
from pnpxai.pictures import Display
from pnpxai.targets import TargetValue
from pnpxai.tensors import Tensors, flat, map_tensors

if TYPE_CHECKING:
    from pnpxai.experiment import Stream

__all__ = ["BatchReader"]

_MOST_ROWS = 100_000
"""Rows of which a default baseline is computed at most."""


class BatchReader:
    """Reads each batch of the data once, as far as examples are needed.

    Args:
        model: the model.
        spec: the data as the user describes it.
    """

    def __init__(self, model: Model, spec: DataSpec) -> None:
        self.model, self.spec = model, spec
        self._facts = {name: value for name, value in (spec.facts or {}).items() if value not in (None, ())}
        if (names := column_names(spec.data)) and "feature_names" not in self._facts:
            self._facts["feature_names"] = names
        scaling = self._picture_scaling()
        tokenizer = self._facts.get("tokenizer", getattr(spec.modality, "tokenizer", None))
        module = module_of(model)
        parameter = next(module.parameters(), None) if module is not None else None
        self._device = None if parameter is None else parameter.device
        dtype = torch.float32 if parameter is None or not parameter.is_floating_point() else parameter.dtype
        if isinstance(model, EstimatorModel):  # which may tell numbers apart that are alike in single precision
            dtype = torch.float64
        ids = module is None or reads_ids(model)
        channels = picture_channels(model)
        self._as_tensors = AsTensors(tokenizer, scaling, channels, dtype, ids, spec.encoding, spec.class_names)
        paths = picture_paths(spec.data)
        data = (
            opened(spec.data, texts=tokenizer is not None)
            if paths is None
            else PictureFiles(*paths, scaling, channels=channels)
        )
        self._names, self.skipped = example_names(data), getattr(data, "skipped", {})
        self._source = batches(data, self._as_tensors)
        self._unread: Iterator[ModelInputs] = iter(self._source)
        self._failed: list[ModelInputs] = []
        self._batches: list[ReadBatch] = []
        self._left_out: dict[str, None] = {}
        self._targets = BatchTargets(model, spec, self.arguments_of)

    def _picture_scaling(self) -> PictureScaling:
        how = self._facts.get("display", getattr(self.spec.modality, "display", None))
        transform = how if callable(how) and not isinstance(how, Display) else None
        return PictureScaling(display=Display.of(how), transform=transform)

    def names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """Return the file names of examples, none where the data has no names."""
        return tuple(self._names[number] for number in numbers) if self._names else ()

    @functools.cached_property
    def extractors(self) -> dict[str, Callable[[TakenApart], ModelInputs]]:
        """The extractors that explainers and metrics need, by the names of their settings."""
        if not isinstance(self._first().inputs, TakenApart):
            return {}
        return {"forward_arg_extractor": explained_part, "additional_forward_arg_extractor": further_part}

    @functools.cached_property
    def modality(self) -> Modality:
        """What kind of data the explained inputs are."""
        modality = self.spec.modality
        if not isinstance(modality, Modality):
            return self._with_columns(self._recognised[0])
        return self._with_columns(with_facts(self.model, modality, self._facts, self.arguments))

    def _with_columns(self, modality: Modality) -> Modality:
        """Return the kind of data with what its frame's columns hold, as far as the user did not say otherwise."""
        if self.spec.table is None or not isinstance(modality, TabularModality):
            return modality
        said = {"feature_names"} if (self.spec.facts or {}).get("feature_names") else set()
        said |= modality.settings(changed_only=True).keys() - {"feature_names"}
        facts = self.spec.table.facts() | {"joined": self.spec.table_given}
        return modality.having({name: value for name, value in facts.items() if name not in said})

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was not said but assumed, in words."""
        modality, why = self._recognised
        if isinstance(modality, GraphModality):
            why = f"{modality.players} are explained; GraphModality(players=...) asks for nodes, features or edges"
        names = self.arguments().names
        of_arguments = f"{', '.join(names)}: " if names else ""
        kinds = modality.parts if isinstance(modality, SeveralModalities) else (modality,)
        has_channels = modality.traits.channel_dim is not None and not modality.traits.discrete
        axis = f", channels on axis {modality.traits.channel_dim}" if has_channels else ""
        lines = [
            f"{of_arguments}{' and '.join(kind.name for kind in kinds)} ({why}){axis}",
            f"explained: {self._targets.in_words(self._first().targets)}",
        ]
        if self.spec.table is not None and isinstance(self.modality, TabularModality):
            lines += self.spec.table.in_words()
        if self.skipped:
            lines.append(f"left out: {'; '.join(reason.removeprefix('data: ') for reason in self.skipped.values())}")
        if self._left_out:
            lines.append(f"not given to the model, which does not take them: {', '.join(self._left_out)}")
        return tuple(lines)

    def examples(self, count: int | None) -> Examples:
        """Return the first examples, or all."""
        count = None if count is None else whole_number("count", count)
        known = sum(len(flat(batch.inputs)[0]) for batch in self._batches)
        while count is None or known < count:
            batch = self._failed.pop() if self._failed else next(self._unread, None)
            if batch is None:
                break
            self._failed.append(batch)  # a batch that fails is read again, so that it fails with the same words
            self._batches.append(self._read(batch, known))
            known += len(flat(self._batches[-1].inputs)[0])
            self._failed.pop()
        examples = Examples.of(self._batches)
        return examples if count is None else examples.first(count)

    def stream(self, count: int | None) -> Examples | Stream:
        """Return the first examples, or all; data that can be gone through again is read anew and not stored."""
        follows_order = isinstance(self.spec.target, TargetValue) and self.spec.target.is_per_example
        if follows_order or isinstance(self._source, Iterator) or not hasattr(self._source, "__iter__"):
            return self.examples(count)
        from pnpxai.experiment.running.batches import Stream, members

        source, parts = self._source, {"inputs": itemgetter(0), "labels": itemgetter(2), "masks": itemgetter(3)}
        targets = None if self._first().targets is None else itemgetter(1)  # None: the model has one output
        whole, single = getattr(source, "dataset", None), members(source)
        length = len(whole) if hasattr(whole, "__len__") else None  # type: ignore[arg-type]
        if isinstance(source, list):
            length = sum(len(tensors[0]) for tensors in map(flat, source) if tensors)
        if single is not None:
            whole, collate = single
            single = whole, lambda rows: self._read(collate(rows))
        return Stream(_ReadAgain(source, self._read), targets=targets, collected=single, length=length, count=count,
                      in_memory=isinstance(source, list), **parts)  # fmt: skip

    def attention_mask(self, inputs: ModelInputs) -> Tensor | None:
        """Return (examples, tokens) which tokens of a batch are attended to; None if the model is not told."""
        forward, arguments = self.arguments_of(inputs).by_position(self.model)
        hidden = next(padding_masks(forward, arguments.explained, arguments.extra), None)
        return None if hidden is None else ~hidden

    def arguments(self) -> Arguments:
        """Return what the first batch means to the model."""
        return self.arguments_of(self._first().inputs)

    def explained(self, count: int = 256) -> Tensors:
        """Return the explained tensors of the first examples."""
        read = self.explained_by_batch(count)
        if len({tuple(x.shape[1:]) for members in read for x in members[:1]}) > 1:  # texts of several lengths
            return read[0]
        return tuple(torch.cat(members) for members in zip(*read, strict=True))

    def rows_of_defaults(self) -> Tensors:
        """Return the explained tensors from which the default baseline is computed.

        If the kind of data needs all examples, they are gone through without running the model, up to a limit. Data
        that can be gone through once only is represented by its first examples.
        """
        if not self.modality.all_rows_needed or isinstance(self._source, Iterator):
            return self.explained()
        return self._rows(self._source)

    def background_rows(self, data: Data) -> Tensors:
        """Return the explained tensors of further data in any of the forms that data has, such as training rows."""
        source = batches(data, self._as_tensors)
        if not isinstance(source, Iterable):
            raise ArgumentError(f"background: expected rows like those of the data, got {type(data).__name__}")
        return self._rows(source)

    def _rows(self, source: Iterable[ModelInputs]) -> Tensors:
        parts: list[Tensors] = []
        for batch in source:
            parts.append(tuple(x.detach().cpu() for x in self.arguments_of(self._inputs(batch)[0]).explained))
            if sum(len(part[0]) for part in parts) >= _MOST_ROWS:
                break
        if not parts:
            raise ArgumentError("background: expected at least one row, got none")
        return tuple(torch.cat(members)[:_MOST_ROWS] for members in zip(*parts, strict=True))

    def explained_by_batch(self, count: int, numbers: Sequence[int] | None = None) -> list[Tensors]:
        """Return the explained tensors of the first examples, or of those with some numbers, batch by batch."""
        examples = self.examples(count)
        examples = examples if numbers is None else examples.take(numbers)
        return [self.arguments_of(batch.inputs).explained for batch in examples]

    @functools.cached_property
    def _recognised(self) -> tuple[Modality, str]:
        return recognised_modality(self.model, self.spec.modality, self._facts, self.arguments())

    def _first(self) -> ReadBatch:
        if not self._batches:
            self.examples(1)
        return self._batches[0]

    def arguments_of(self, inputs: ModelInputs) -> Arguments:
        """Return what a batch's inputs mean to the model."""
        extract = (explained_part, further_part) if isinstance(inputs, TakenApart) else (None, None)
        return Arguments.read(inputs, *extract, model=self.model)

    def _inputs(self, batch: ModelInputs) -> tuple[ModelInputs, Labels]:
        """Return a batch's inputs as the model's arguments, and its true classes as they are."""
        spec = self.spec
        inputs, labels = inputs_and_label(batch, spec.count, required(self.model))
        inputs = self._placed(inputs if spec.input_extractor is None else spec.input_extractor(batch))
        return self._taken_apart(inputs), labels

    def _read(self, batch: ModelInputs, start: int = 0) -> ReadBatch:
        """Return a batch whose first example has the number ``start`` in the data."""
        spec = self.spec
        inputs, labels = self._inputs(batch)
        labels = self._placed_labels(labels if spec.label_extractor is None else spec.label_extractor(batch))
        masks = None if spec.mask_extractor is None else self._placed(spec.mask_extractor(batch))
        if spec.target_labels and labels is None:
            raise ArgumentError("target_labels: the data holds no labels; give label_extractor=")
        targets = labels_as_targets(labels) if spec.target_labels else self._targets.of(inputs, start)
        return ReadBatch(inputs, targets, labels, masks)

    def _taken_apart(self, inputs: ModelInputs) -> ModelInputs:
        """Return inputs in a form that shows which of them are explained."""
        explained, further = self.spec.forward_arg_extractor, self.spec.additional_forward_arg_extractor
        if explained is not None or further is not None:
            pair = inputs if explained is None else explained(inputs), () if further is None else further(inputs)
            return TakenApart(pair)
        if not isinstance(inputs, Mapping):
            return inputs
        ids = inputs.get("input_ids")
        inputs = {**generation_keywords(self.model, ids if isinstance(ids, Tensor) else None), **inputs}
        accepted = accepted_keywords(self.model, inputs)
        self._left_out |= dict.fromkeys(str(name) for name in inputs if name not in accepted)
        return accepted if self.spec.is_one_input else take_apart(self.model, accepted, self.spec.count)

    def _placed(self, part: Data) -> ModelInputs:
        """Return a part of a batch as tensors on the model's device."""
        part = self._as_tensors(part)
        return part if self._device is None else map_tensors(lambda t: t.to(self._device), part)

    def _placed_labels(self, labels: Labels) -> ModelInputs:
        """Return true classes as tensors on the model's device; words need the names of the classes."""
        if isinstance(labels, (list, tuple)) and labels and isinstance(labels[0], str) and not self.spec.class_names:
            raise ArgumentError(
                f"class_names: labels such as {labels[0]!r} need the names of the model's classes, in the order of its "
                "outputs"
            )
        return self._placed(self._as_tensors.labels(labels))


@dataclass(frozen=True)
class _ReadAgain:
    """Batches that are read anew each time that someone goes through them."""

    source: Iterable[ModelInputs]
    read: Callable[[ModelInputs], ReadBatch]

    def __iter__(self) -> Iterator[ReadBatch]:
        return map(self.read, self.source)
