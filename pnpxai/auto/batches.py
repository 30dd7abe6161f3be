"""Batches as the model's arguments, with what is to be explained of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pnpxai.auto.conversion import AsTensors, index_for_each
from pnpxai.auto.data import Data, batches, column_names
from pnpxai.auto.signatures import refuse_what_cannot_be_called, required, takes_any
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.engine.running.places import argument_names
from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples, inputs_and_label, largest
from pnpxai.modalities import Modality, SeveralModalities, modality_of
from pnpxai.modalities.base import reads_ids
from pnpxai.pictures import Display
from pnpxai.tensors import Tensors, batch_size, flat, map_tensors

if TYPE_CHECKING:
    from pnpxai.experiment import Stream

__all__ = ["Reading", "explained_part", "further_part"]

Part = tuple[Any, Any, Tensor | None, Any]  # inputs, targets, labels, masks of a batch
Extract = Callable[[Any], Any] | None


def explained_part(parts: tuple[Any, Any]) -> Any:
    """Return what is explained of inputs that were taken apart."""
    return parts[0]


def further_part(parts: tuple[Any, Any]) -> Any:
    """Return the model's further arguments of inputs that were taken apart."""
    return parts[1]


class Reading:
    """Reads data batch by batch, each once, as far as it is asked for.

    Args:
        model: the model.
        data: as for ``AutoExplanation``, like all that follows.
        modality: what is given of it.
        of_inputs: takes the inputs out of a batch.
        of_labels: takes the labels out of a batch.
        of_masks: takes what is known to matter out of a batch.
        of_output: says which outputs to explain.
        target_labels: explain the labels.
        target: explain this.
        explained: takes the explained arguments out of the inputs.
        further: takes the further arguments out of the inputs.
        known: facts for the modality, by the names of its fields.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        data: Data,
        modality: Any,
        of_inputs: Extract,
        of_labels: Extract,
        of_masks: Extract,
        of_output: Extract,
        target_labels: bool,
        target: Any,
        explained: Extract,
        further: Extract,
        known: Mapping[str, Any],
    ) -> None:
        self.model = model
        refuse_what_cannot_be_called(
            input_extractor=of_inputs, label_extractor=of_labels, mask_extractor=of_masks, target_extractor=of_output,
            forward_arg_extractor=explained, additional_forward_arg_extractor=further,
        )  # fmt: skip
        self._known = {name: value for name, value in known.items() if value not in (None, ())}
        names = column_names(data)
        if names and "feature_names" not in self._known:
            self._known["feature_names"] = names
        self._display = Display.of(self._known.get("display", getattr(modality, "display", None)))
        self._tokenizer = self._known.get("tokenizer", getattr(modality, "tokenizer", None))
        self._modality = modality
        self._of_inputs, self._of_labels, self._of_masks = of_inputs, of_labels, of_masks
        self._of_output = of_output or largest
        self._default_output = of_output is None
        self._target_labels, self._target = target_labels, target
        self._explained, self._further = explained, further
        self._module = module_of(model)
        parameter = next(self._module.parameters(), None) if self._module is not None else None
        self._device = None if parameter is None else parameter.device
        dtype = torch.float32 if parameter is None or not parameter.is_floating_point() else parameter.dtype
        self._reads_ids = reads_ids(model)
        self._as_tensors = AsTensors(self._tokenizer, self._display, dtype, self._module is None or self._reads_ids)
        self._source = batches(data, self._as_tensors)
        self._rest: Iterator[Any] = iter(self._source)
        self._parts: list[Part] = []
        self._left_out: dict[str, None] = {}

    @functools.cached_property
    def extractors(self) -> dict[str, Any]:
        """The extractors that explainers and metrics need."""
        taken = isinstance(self._first()[0], _Parts)
        return (
            {"forward_arg_extractor": explained_part, "additional_forward_arg_extractor": further_part} if taken else {}
        )

    @functools.cached_property
    def modality(self) -> Modality:
        """What the explained inputs are."""
        return self._completed(self._modality) if isinstance(self._modality, Modality) else self._recognised[0]

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was taken for granted, in words."""
        kind, why = self._recognised
        names = self.arguments().names
        shown = f"{', '.join(names)}: " if names else ""
        kinds = " and ".join(part.name for part in kind.parts) if isinstance(kind, SeveralModalities) else kind.name
        known = kind.traits.channel_dim is not None and not kind.traits.discrete
        axis = f", channels on axis {kind.traits.channel_dim}" if known else ""
        told = [f"{shown}{kinds} ({why}){axis}", f"explained: {self._said_target()}"]
        if self._left_out:
            told.append(f"not given to the model, which does not take them: {', '.join(self._left_out)}")
        return tuple(told)

    def examples(self, count: int | None) -> Examples:
        """Return the first examples, or all."""
        count = None if count is None else whole_number("count", count)
        while count is None or sum(len(flat(part[0])[0]) for part in self._parts) < count:
            try:
                self._parts.append(self._read(next(self._rest)))
            except StopIteration:
                break
        found = Examples.of(self._parts)
        return found if count is None else found.first(count)

    def stream(self, count: int | None) -> Examples | Stream:
        """Return the first examples, or all, read anew and not kept, where the data can be read again."""
        if isinstance(self._source, Iterator) or not hasattr(self._source, "__iter__"):
            return self.examples(count)
        from pnpxai.experiment.running.batches import Stream, members

        source, parts = self._source, {"inputs": itemgetter(0), "labels": itemgetter(2), "masks": itemgetter(3)}
        targets = None if self._first()[1] is None else itemgetter(1)  # there is but one output
        whole, single = getattr(source, "dataset", None), members(source)
        length = len(whole) if hasattr(whole, "__len__") else None  # type: ignore[arg-type]
        if isinstance(source, list):
            length = sum(len(tensors[0]) for tensors in map(flat, source) if tensors)
        if single is not None:
            whole, collate = single
            single = whole, lambda chosen: self._read(collate(chosen))
        return Stream(_Each(source, self._read), targets=targets, collected=single, length=length, count=count, **parts)

    def arguments(self) -> Arguments:
        """Return what the first batch means to the model."""
        return self._arguments(self._first()[0])

    def explained(self, count: int = 256) -> Tensors:
        """Return the explained tensors of the first examples."""
        found = self.each(count)
        if len({tuple(x.shape[1:]) for members in found for x in members[:1]}) > 1:  # texts of several lengths
            return found[0]
        return tuple(torch.cat(members) for members in zip(*found, strict=True))

    def each(self, count: int, numbers: Sequence[int] | None = None) -> list[Tensors]:
        """Return the explained tensors of the first examples, or of some of these, batch by batch."""
        found = self.examples(count)
        chosen = found if numbers is None else found.take(numbers)
        return [self._arguments(batch.inputs).explained for batch in chosen]

    @functools.cached_property
    def _recognised(self) -> tuple[Modality, str]:
        kind, why = modality_of(self._modality, self.arguments().explained, self.model)
        return self._completed(kind), why

    def _completed(self, kind: Modality) -> Modality:
        """Return the modality with the facts that were given beside it."""
        if isinstance(kind, SeveralModalities):
            found = self.arguments()
            return kind.completed(self._known, found.explained, found.names or argument_names(self.model))
        unknown = [name for name in self._known if name not in kind.defaults()]
        if unknown:
            raise ArgumentError(f"{unknown[0]}: {kind.name} data has none; it was told to be {kind.name}")
        return kind.having(self._known)

    def _first(self) -> Part:
        if not self._parts:
            self.examples(1)
        return self._parts[0]

    def _arguments(self, inputs: Any) -> Arguments:
        taken = isinstance(inputs, _Parts)
        return Arguments.read(inputs, *((explained_part, further_part) if taken else (None, None)), model=self.model)

    def _read(self, batch: Any) -> Part:
        parts = getattr(self._modality, "parts", self._modality)
        several = len(parts) if isinstance(parts, (tuple, list)) else 1
        given, label = inputs_and_label(batch, several, required(self.model))
        inputs = self._placed(given if self._of_inputs is None else self._of_inputs(batch))
        labels = self._placed(label if self._of_labels is None else self._of_labels(batch))
        masks = None if self._of_masks is None else self._placed(self._of_masks(batch))
        inputs = self._taken_apart(inputs, several)
        if self._target_labels and labels is None:
            raise ArgumentError("target_labels: the data holds no labels; give label_extractor=")
        return inputs, labels if self._target_labels else self._targets(inputs), labels, masks

    def _targets(self, inputs: Any) -> Any:
        arguments = self._arguments(inputs)
        size = batch_size(arguments.explained)
        if self._target is not None:
            if callable(self._target) and not isinstance(self._target, Tensor):
                return self._target
            return index_for_each(self._target, size)
        call = arguments.call()
        with borrowed(self.model, gradients=False):
            output = self.model(*call.args, **call.kwargs)
        return self._of_output(output)

    def _taken_apart(self, inputs: Any, several: int) -> Any:
        """Return inputs in a form that says what is explained of them."""
        if self._explained is not None or self._further is not None:
            explained = inputs if self._explained is None else self._explained(inputs)
            return _Parts((explained, () if self._further is None else self._further(inputs)))
        if not isinstance(inputs, Mapping):
            return inputs
        inputs = self._accepted(inputs)
        if self._alone():
            return inputs
        tensors = {
            name: value for name, value in inputs.items() if isinstance(value, Tensor) and "mask" not in str(name)
        }
        order = {name: k for k, name in enumerate(argument_names(self.model))}
        ids = [name for name in tensors if not tensors[name].is_floating_point()]
        first = sorted(ids, key=lambda name: order.get(name, len(order)))[:1]
        if all(tensors[name].ndim < 2 for name in ids):  # columns of categories, or the lengths of series
            first = ids if self._reads_ids else []
        chosen = [name for name in tensors if tensors[name].is_floating_point()] + first
        if len(chosen) < 2 or not first or (several > 1 and len(chosen) != several):
            return inputs
        rest = {name: value for name, value in inputs.items() if name not in chosen}
        return _Parts(({name: inputs[name] for name in chosen}, rest))

    def _alone(self) -> bool:
        return isinstance(self._modality, str) or (
            isinstance(self._modality, Modality) and not isinstance(self._modality, SeveralModalities)
        )

    def _accepted(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments that the model takes."""
        names = argument_names(self.model)
        kept = {name: value for name, value in inputs.items() if not names or name in names or takes_any(self.model)}
        self._left_out |= dict.fromkeys(str(name) for name in inputs if name not in kept)
        if not kept:
            raise ArgumentError(
                f"data: the model takes {', '.join(names)}; a batch holds {', '.join(map(str, inputs))}"
            )
        return kept

    def _placed(self, part: Any) -> Any:
        part = self._as_tensors(part)
        return part if self._device is None else map_tensors(lambda t: t.to(self._device), part)

    def _said_target(self) -> str:
        if self._target is not None:
            return f"target {getattr(self._target, '__name__', self._target)}"
        if self._target_labels:
            return "the true class"
        if self._first()[1] is None:
            return "the only output"
        return "the largest output of each example" if self._default_output else "what target_extractor says"


@dataclass(frozen=True)
class _Each:
    """What is read of each batch, anew each time it is gone through."""

    source: Iterable[Any]
    read: Callable[[Any], Part]

    def __iter__(self) -> Iterator[Part]:
        return map(self.read, self.source)


class _Parts(tuple):
    """Inputs that were taken apart: what is explained, and the model's further arguments."""

    __slots__ = ()
