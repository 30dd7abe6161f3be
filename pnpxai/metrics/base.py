"""What all metrics share: one number per example, or NaN with a reason; a direction; a cost in forward rows."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from pnpxai.attributors.base import check_inputs
from pnpxai.declare.declared import Bound, Declared
from pnpxai.engine.running.arguments import Arguments, Extractor
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.positions import Masks, attended, position_masks, sensors_apart, with_channels
from pnpxai.metrics.sample import Sample
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.model_types import Model
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tensors import Tensors, as_tuple, batch_size, rows_of

__all__ = ["Measurement", "Metric", "Sample"]

Category = Literal["faithfulness", "robustness", "complexity", "randomisation", "axioms", "localisation"]


@dataclass(frozen=True)
class Measurement:
    """A metric on a batch.

    Attributes:
        values: (examples,) numbers, NaN where the metric is undefined.
        reasons: for each example, why it is undefined, or None.
        curves: what the numbers come from, by name, (examples, points).
    """

    values: Tensor
    reasons: tuple[str | None, ...]
    curves: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def where(
        cls, defined: Tensor | Sequence[bool], values: Tensor, reason: str, curves: dict[str, Tensor] | None = None
    ) -> Measurement:
        """Return values that are undefined, for one reason, wherever ``defined`` does not hold."""
        return cls(values, tuple(None if ok else reason for ok in defined), curves or {})


class Metric(Declared, abstract=True, keyword_only=True):
    """Judges attributions example by example; what an example gets never depends on its batch mates."""

    model: Annotated[Model, Bound]
    """The explained model."""
    explainer: Annotated[Explainer | None, Bound] = None
    """Makes the attributions where none are given, and again where the metric needs it."""
    channel_dim: int | None = dataclasses.field(default=1, kw_only=True)
    """The axis of channels, which belong to one position: they are added up, and removed together. None where there are
    none; inputs of two dimensions (tables, token ids) have none in any case."""
    each_channel: bool | None = dataclasses.field(default=None, kw_only=True)
    """Whether each channel of a position is a position of its own. By default the sensors of a series are: of numbers
    with shape (examples, channels, steps), channels first."""
    postprocessor: PostProcessor | None = dataclasses.field(default=None, kw_only=True)
    """Turns the explainer's attributions into the maps that are judged."""
    forward_arg_extractor: Extractor = dataclasses.field(default=None, kw_only=True)
    """As the explainer's, from which it is taken where there is one."""
    additional_forward_arg_extractor: Extractor = dataclasses.field(default=None, kw_only=True)
    """As the explainer's, from which it is taken where there is one."""

    higher_is_better: ClassVar[bool]
    """True if larger values mean better attributions."""
    category: ClassVar[Category]
    """The property of a map that it measures."""
    needs_explainer: ClassVar[bool] = False
    """Whether it explains again, so that attributions alone are not enough."""
    needs_masks: ClassVar[bool] = False
    """Whether it compares with what is known to matter: ``masks`` of ``measure``."""

    @abstractmethod
    def judge(self, sample: Sample) -> Measurement:
        """Return the measurement of a checked sample."""

    @abstractmethod
    def cost(self, inputs: object) -> int:
        """Return how many rows ``measure(inputs, targets, attributions)`` runs through the model, nothing shared."""

    def measure(
        self,
        inputs: object,
        targets: Target,
        attributions: Tensor | Tensors | None = None,
        *,
        masks: object = None,
        attention_mask: object = None,
        seed: int | RandomStream = 0,
        shared: SharedRuns | None = None,
    ) -> Measurement:
        """Judge attributions of a batch.

        Args:
            inputs: what the explainer was given.
            targets: which output was explained. A function sees the raw output, so a metric that follows
                probabilities follows what the function returns instead.
            attributions: the maps, with or without an axis of channels; by default the explainer makes them.
            masks: what is known to matter, (examples, *positions) truth values; a tuple with one (or None) for each
                input where there are several.
            attention_mask: the positions that count, in the same form: the others are no features, whatever a map
                says of them. By default what a mask among the model's arguments says, if that fits.
            seed: fixes what is drawn at random.
            shared: keeps what does not depend on the maps for the next measurement of the same examples.

        Raises:
            ArgumentError: attributions are missing and there is no explainer, it explains another model, or something
                does not fit the inputs.
        """
        name = type(self).__name__
        if self.needs_explainer and self.explainer is None:
            raise UnsuitableError(f"{name}: explains again, so it needs explainer=")
        if self.needs_masks and masks is None:
            raise UnsuitableError(f"{name}: compares with what is known to matter, so measure(..., masks=) is needed")
        explains = self.explainer is not None and (self.needs_explainer or attributions is None)
        if explains and self.explaining().model is not self.model:
            raise ArgumentError(f"{name}: explainer: expected one of the judged model, got one of another model")
        if attributions is None:
            attributions = self.explained(self.arguments(inputs), targets, seed)
        maps = as_tuple(attributions, "attributions")
        with borrowed(self.model, gradients=False):
            arguments = self.arguments(inputs)
            score = arguments.score(self.model, targets, self.followed())
            check_inputs(arguments.explained, score)
            if batch_size(maps, "attributions") != score.size:
                raise ShapeError(f"attributions: expected {score.size} examples, got {maps[0].shape[0]}")
            explained, dim = arguments.explained, self.channel_dim
            attention = (
                attended(arguments, dim, self.model)
                if attention_mask is None
                else position_masks(attention_mask, explained, dim, "attention_mask")
            )
            truth = None if masks is None else position_masks(masks, explained, dim, "masks")
            apart = self._apart(explained, truth)
            counted, nothing = _with_positions(with_channels(attention, explained, dim, apart), score.size)
            undefined = [
                "attributions hold NaN or infinity" if bad else "no position counts" if none else None
                for bad, none in zip(_not_finite(maps, score.size), nothing, strict=True)
            ]
            sample = Sample(
                arguments,
                score,
                tuple(torch.nan_to_num(m.detach(), 0.0, 0.0, 0.0) for m in maps),
                RandomStream.of(seed),
                SharedRuns() if shared is None else shared,
                dim,
                apart,
                counted,
                None if truth is None else with_channels(truth, explained, dim, apart),
            )
            judged = self.judge(sample)
            reasons = tuple(bad or reason for bad, reason in zip(undefined, judged.reasons, strict=True))
            values = judged.values.detach().clone()
            values[torch.tensor([reason is not None for reason in reasons], device=values.device)] = float("nan")
        return Measurement(values, reasons, judged.curves)

    def evaluate(
        self,
        inputs: object,
        targets: Target,
        attributions: Tensor | Tensors | None = None,
        *,
        masks: object = None,
        attention_mask: object = None,
    ) -> Tensor:
        """Return (examples,) the values of ``measure``."""
        return self.measure(inputs, targets, attributions, masks=masks, attention_mask=attention_mask).values

    def explained(self, arguments: Arguments, targets: Target, seed: int | RandomStream = 0) -> Tensor | Tensors:
        """Return the explainer's maps."""
        if self.explainer is None:
            raise ArgumentError(f"{type(self).__name__}: expected attributions, or an explainer that makes them")
        attributions = self.explainer.attribute_arguments(arguments, targets, seed)
        return attributions if self.postprocessor is None else self.postprocessor(attributions)

    def _apart(self, explained: Tensors, truth: Masks | None) -> tuple[bool, ...]:
        """Return for each input whether its channels are apart: never where what matters is known without them."""
        known = truth or (None,) * len(explained)
        apart = sensors_apart(explained, self.channel_dim, self.each_channel)
        return tuple(own and (t is None or t.ndim == x.ndim) for own, t, x in zip(apart, known, explained, strict=True))

    def followed(self) -> Callable[[Tensor], Tensor] | None:
        """Return what is made of the model's output before the target selects from it, None for nothing."""
        return getattr(self, "prob_fn", None)

    def explaining(self) -> Explainer:
        """Return the explainer.

        Raises:
            UnsuitableError: there is none.
        """
        if self.explainer is None:
            raise UnsuitableError(f"{type(self).__name__}: explains again, so it needs explainer=")
        return self.explainer

    def arguments(self, inputs: object) -> Arguments:
        """Return what ``inputs`` mean to the model."""
        source = self if self.explainer is None else self.explainer
        return Arguments.read(
            inputs, source.forward_arg_extractor, source.additional_forward_arg_extractor, source.model
        )

    def examples(self, inputs: object) -> int:
        """Return the number of examples in ``inputs``."""
        return batch_size(self.arguments(inputs).explained)


def _with_positions(counted: Masks, size: int) -> tuple[Masks, list[bool]]:
    """Return masks in which every example has positions that count, and which examples had none."""
    known = [c for c in counted if c is not None]
    if len(known) < len(counted):
        return counted, [False] * size
    none = ~torch.stack([rows_of(c).any(1) for c in known]).any(0)
    return tuple(c | none.reshape(-1, *[1] * (c.ndim - 1)) for c in known), none.tolist()


def _not_finite(maps: Sequence[Tensor], size: int) -> list[bool]:
    return [any(not bool(torch.isfinite(m[k]).all()) for m in maps) for k in range(size)]
