"""Several inputs of a model, and how the kind of each is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.declare.registry import by_name, every
from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import BASELINES, Modality
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.strategies.baselines import EachBaseline, Zeros
from pnpxai.traits import Traits

__all__ = ["ModalitySpec", "SeveralModalities", "modality_of"]

ModalitySpec: TypeAlias = Modality | str | Sequence[Modality | str | None] | None
"""What a user says data is: a modality, its name, one for each input, or nothing."""


class SeveralModalities(Modality):
    """Several inputs of a model, each of its own kind."""

    name: ClassVar[str] = "several"
    parts: tuple[Modality, ...]
    """One for each explained input."""

    def check(self) -> None:
        """Refuse a single input, and channels on different axes: explainers and metrics take one axis for all."""
        if len(self.parts) < 2 or any(isinstance(part, SeveralModalities) for part in self.parts):
            raise ArgumentError(f"modality: expected one, or a tuple of several, got {self.parts!r}")
        axes = {part.traits.channel_dim for part in self.parts if not part.traits.discrete} - {None}
        if len(axes) > 1:
            places = " and ".join(f"{part.name} on axis {part.traits.channel_dim}" for part in self.parts)
            raise ArgumentError(
                f"modality: expected channels on the same axis of all inputs, got {places}; wrap the model in a module "
                "that takes them so and turns them round: model(image, series.transpose(1, 2))"
            )

    @property
    def all_rows_needed(self) -> bool:
        """Whether the defaults of a part are computed from all examples."""
        return any(part.all_rows_needed for part in self.parts)

    @property
    def traits(self) -> Traits:
        """The facts of the first input, with those of the others."""
        first, *others = (part.traits for part in self.parts)
        return Traits(
            first.modality, first.channel_dim, first.positions, first.discrete, tuple(others),
            tuple(strategy for one in (first, *others) for strategy in one.ready),
        )  # fmt: skip

    @classmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Return None: one input is never several."""
        return None

    def completed(self, known: Settings, inputs: Sequence[Tensor], arguments: Sequence[str]) -> SeveralModalities:
        """Return a copy whose parts have the facts that they have a field for.

        Args:
            known: the facts. Names are shared out among parts whose positions have names, if there is one for each.
            inputs: examples of every input.
            arguments: the names of the model's arguments: without others, names of single columns.
        """
        self._fit(inputs)
        feature_names, parts, start = tuple(known.get("feature_names", ())), [], 0
        widths = [
            x.shape[1:].numel() if part.names_positions else 0 for part, x in zip(self.parts, inputs, strict=True)
        ]
        for part, width, x, name in zip(self.parts, widths, inputs, [*arguments, *[""] * len(inputs)], strict=False):
            names = {}
            if width and len(feature_names) == sum(widths):
                names = {"feature_names": feature_names[start : start + width]}
            elif x.ndim == 1 and name and not feature_names:
                names = {"feature_names": (name,)}
            parts.append(part.having({**known, **names}))
            start += width
        return SeveralModalities(tuple(parts))

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return how the first input is drawn."""
        return self.parts[0].view(values, classes)

    def common(self, inputs: Sequence[Tensor]) -> Settings:
        """Return what all inputs need, each with a baseline of its own."""
        self._fit(inputs)
        settings: Settings = {}
        for part, values in zip(reversed(self.parts), reversed(inputs), strict=True):
            settings |= part.common([values])
        starts = [part.baseline(values) for part, values in zip(self.parts, inputs, strict=True)]
        axes = [part.traits.channel_dim for part in self.parts if not part.traits.discrete]
        settings["channel_dim"] = next((axis for axis in axes if axis is not None), None)
        settings = {name: value for name, value in settings.items() if name not in BASELINES}
        if not all(isinstance(start, Zeros) for start in starts):
            settings |= dict.fromkeys(BASELINES, EachBaseline(tuple(starts)))
        return settings

    def views(self, inputs: Sequence[Tensor], classes: tuple[str, ...] = ()) -> tuple[View, ...]:
        """Return how every input is drawn."""
        self._fit(inputs)
        return tuple(part.view(values, classes) for part, values in zip(self.parts, inputs, strict=True))

    def _fit(self, inputs: Sequence[Tensor]) -> None:
        if len(inputs) != len(self.parts):
            names = " and ".join(part.name for part in self.parts)
            raise ArgumentError(f"modality: expected {len(self.parts)} explained inputs ({names}), got {len(inputs)}")


def modality_of(spec: ModalitySpec, inputs: Sequence[Tensor], model: Model) -> tuple[Modality, str]:
    """Return the modality of inputs, and the reason in words.

    Args:
        spec: a modality, its name, a tuple with one for each input, or None.
        inputs: a batch of every explained input.
        model: the model.

    Raises:
        ArgumentError: no modality, or more than one, fits.
    """
    if isinstance(spec, Modality):
        return spec, "as given"
    if (spec is None and len(inputs) > 1) or (spec is not None and not isinstance(spec, str)):
        specs = [None] * len(inputs) if spec is None else spec
        if len(specs) != len(inputs):
            raise ArgumentError(f"modality: expected one for each of {len(inputs)} explained inputs, got {spec!r}")
        members = [modality_of(one, [values], model) for one, values in zip(specs, inputs, strict=True)]
        return SeveralModalities(tuple(one for one, _ in members)), "; ".join(why for _, why in members)
    classes = every(Modality) if spec is None else [by_name(Modality, spec, "modality")]
    answers = [answer for cls in classes if (answer := cls.recognised(inputs[0], model)) is not None]
    if not answers and spec is not None and classes[0] is not SeveralModalities:
        return classes[0].named(inputs[0], model), "as given"
    if len(answers) == 1:
        return answers[0]
    values = f"{inputs[0].dtype} of shape {tuple(inputs[0].shape)}"
    fitting = " or ".join(f"{one.name} ({why})" for one, why in answers) or "none of them"
    names = ", ".join(repr(cls.name) for cls in every(Modality) if cls is not SeveralModalities)
    raise ArgumentError(f"modality: cannot be told from {values}: {fitting}; give modality={names}")
