"""Several inputs of a model, and how the kind of each is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from pnpxai.declare.registry import by_name, every
from pnpxai.errors import ArgumentError
from pnpxai.modalities.base import Modality
from pnpxai.pictures import View
from pnpxai.strategies.baselines import EachBaseline, Zeros
from pnpxai.traits import Traits

__all__ = ["SeveralModalities", "modality_of"]


class SeveralModalities(Modality):
    """Several inputs of a model, each of its own kind."""

    name: ClassVar[str] = "several"
    parts: tuple[Modality, ...]
    """One for each explained input."""

    def check(self) -> None:
        """Refuse a single one, and channels on different axes, which explainers and metrics cannot tell apart."""
        if len(self.parts) < 2 or any(isinstance(part, SeveralModalities) for part in self.parts):
            raise ArgumentError(f"modality: expected one, or a tuple of several, got {self.parts!r}")
        axes = {part.traits.channel_dim for part in self.parts if not part.traits.discrete} - {None}
        if len(axes) > 1:
            told = " and ".join(f"{part.name} on axis {part.traits.channel_dim}" for part in self.parts)
            raise ArgumentError(
                f"modality: expected channels on the same axis of all inputs, got {told}; wrap the model in a module "
                "that takes them so and turns them round: model(image, series.transpose(1, 2))"
            )

    @property
    def traits(self) -> Traits:
        """The facts of the first input, with those of the others."""
        first, *others = (part.traits for part in self.parts)
        return Traits(
            first.modality, first.channel_dim, first.positions, first.discrete, tuple(others),
            tuple(strategy for one in (first, *others) for strategy in one.ready),
        )  # fmt: skip

    @classmethod
    def recognised(cls, values: Tensor, model: Any) -> tuple[Modality, str] | None:
        """One input is never several."""
        return None

    def completed(
        self, known: Mapping[str, Any], inputs: Sequence[Tensor], arguments: Sequence[str]
    ) -> SeveralModalities:
        """Return it with facts for the parts that have a field for them.

        Args:
            known: the facts. Names of columns are shared out among tables, if there are as many as columns in all.
            inputs: examples of every input.
            arguments: the names of the model's arguments: without others, names of single columns.
        """
        self._fit(inputs)
        given, parts, start = tuple(known.get("feature_names", ())), [], 0
        widths = [
            x.shape[1:].numel() if part.name == "table" else 0 for part, x in zip(self.parts, inputs, strict=True)
        ]
        for part, width, x, name in zip(self.parts, widths, inputs, [*arguments, *[""] * len(inputs)], strict=False):
            names = {}
            if width and len(given) == sum(widths):
                names = {"feature_names": given[start : start + width]}
            elif x.ndim == 1 and name and not given:
                names = {"feature_names": (name,)}
            parts.append(part.having({**known, **names}))
            start += width
        return SeveralModalities(tuple(parts))

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return how the first input is drawn."""
        return self.parts[0].view(values, classes)

    def common(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Return what all inputs need, each with a baseline of its own."""
        self._fit(inputs)
        found: dict[str, Any] = {}
        for part, values in zip(reversed(self.parts), reversed(inputs), strict=True):
            found |= part.common([values])
        starts = [part.baseline(values) for part, values in zip(self.parts, inputs, strict=True)]
        axes = [part.traits.channel_dim for part in self.parts if not part.traits.discrete]
        found["channel_dim"] = next((axis for axis in axes if axis is not None), None)
        found.pop("baseline_fn", None)
        if not all(isinstance(start, Zeros) for start in starts):
            found["baseline_fn"] = EachBaseline(tuple(starts))
        return found

    def views(self, inputs: Sequence[Tensor], classes: tuple[str, ...] = ()) -> tuple[View, ...]:
        """Return how every input is drawn."""
        self._fit(inputs)
        return tuple(part.view(values, classes) for part, values in zip(self.parts, inputs, strict=True))

    def _fit(self, inputs: Sequence[Tensor]) -> None:
        if len(inputs) != len(self.parts):
            names = " and ".join(part.name for part in self.parts)
            raise ArgumentError(f"modality: expected {len(self.parts)} explained inputs ({names}), got {len(inputs)}")


def modality_of(given: Any, inputs: Sequence[Tensor], model: Any) -> tuple[Modality, str]:
    """Return the modality of inputs, and why it is that.

    Args:
        given: a modality, its name ("image", "text", "table", "series"), a tuple with one for each input, or None.
        inputs: a batch of every explained input.
        model: the model.

    Raises:
        ArgumentError: none, or more than one, can be told.
    """
    if isinstance(given, (tuple, list)) or (given is None and len(inputs) > 1):
        members = given if given is not None else [None] * len(inputs)
        if len(members) != len(inputs):
            raise ArgumentError(f"modality: expected one for each of {len(inputs)} explained inputs, got {given!r}")
        found = [modality_of(one, [values], model) for one, values in zip(members, inputs, strict=True)]
        return SeveralModalities(tuple(one for one, _ in found)), "; ".join(why for _, why in found)
    if isinstance(given, Modality):
        return given, "as given"
    kinds = every(Modality) if given is None else [by_name(Modality, given, "modality")]
    answers = [answer for kind in kinds if (answer := kind.recognised(inputs[0], model)) is not None]
    if not answers and given is not None and kinds[0] is not SeveralModalities:
        return kinds[0].named(inputs[0], model), "as given"
    if len(answers) == 1:
        return answers[0]
    what = f"{inputs[0].dtype} of shape {tuple(inputs[0].shape)}"
    told = " or ".join(f"{one.name} ({why})" for one, why in answers) or "none of them"
    raise ArgumentError(
        f"modality: cannot be told from {what}: {told}; give modality='image', 'text', 'table', 'series'"
    )
