"""Takes a batch through an explainer: places it at the layer, and brings attributions to the form of the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from pnpxai.attributors.base import Outcome
from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.embeddings import at_embeddings, by_argument, columns_among, owners_of, run_first
from pnpxai.engine.running.examples_axis import ExamplesFirst, TurnedPlaces
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.engine.running.site import AtSites, Site, find_places
from pnpxai.explainers.baseline_adapters import at_places, embedded, of_columns, of_ids, of_rows
from pnpxai.explainers.tolerance import within_tolerance
from pnpxai.model_types import Attributions, Positional
from pnpxai.tensors import Tensors, as_tuple, batch_size, check_finite, take_rows

if TYPE_CHECKING:
    from pnpxai.explainers.base import Explainer

__all__ = ["Run", "at_numbers", "records"]


@dataclass(frozen=True)
class Run:
    """Holds a batch that is ready to be explained.

    Attributes:
        explainer: the explainer, whose ``forward_func`` takes the values and the further arguments.
        inputs: the explained arguments of the model.
        values: the explained tensors, examples first: these arguments, or the values at a layer.
        extra: the further arguments of ``forward_func``.
        back: moves the examples' axis of attributions to where the layer has it.
    """

    explainer: Explainer
    inputs: Tensors
    values: Tensors
    extra: Positional
    back: Callable[[Tensors], Tensors]

    @classmethod
    def of(cls, explainer: Explainer, arguments: Arguments, *, stop: bool = False) -> Run:
        """Return the run of an explainer on a model's arguments; the model must be borrowed.

        Args:
            explainer: the explainer.
            arguments: the model's arguments.
            stop: end the pass that reads a layer at the layer, since nothing will be explained.
        """
        explainer, arguments = at_numbers(explainer, arguments)
        if explainer.layer is None or not explainer.layer_is_site:
            if arguments.names:
                model, arguments = arguments.by_position(explainer.model)
                explainer = explainer.replace(model=model)
            owners = owners_of(explainer.model.places) if isinstance(explainer.model, AtSites) else None
            back = _unmoved if owners is None else partial(by_argument, owners=owners)
            return cls(explainer, arguments.explained, arguments.explained, arguments.extra, back)
        at = AtSites(explainer.model, find_places(explainer.model, explainer.layer))
        owners = owners_of(at.places)
        size = batch_size(arguments.explained)
        call = arguments.call()
        read = at.read(call, replay=not stop and records(explainer, arguments), stop=stop, size=size)
        first = ExamplesFirst.of(at, call, read.values, size)
        values = first.there(read.values)
        changes: dict[str, object] = {
            name: embedded(
                baseline, arguments, lambda call: first.there(at.read(call, stop=True).values), values, owners
            )
            for name, baseline in of_ids(explainer.settings(), arguments).items()
        }
        if not first.still:
            changes["layer"] = TurnedPlaces.of(first)
        if owners is not None:
            changes = at_places(explainer.settings(), arguments, owners) | changes
        explainer = explainer.replace(**changes) if changes else explainer
        back = first.back if owners is None else partial(by_argument, owners=owners)
        return cls(explainer, arguments.explained, values, (read.call,), back)

    def take(self, rows: Tensor) -> Run:
        """Return the run of some of the examples; ``detailed`` alone may follow, not ``given_back``."""
        size = batch_size(self.values)
        explainer = self.explainer
        if baselines := of_rows(explainer.settings(), rows):
            explainer = explainer.replace(**baselines)
        values, extra = take_rows((self.values, self.extra), rows, size)
        return replace(self, explainer=explainer, values=values, extra=extra)

    def having(self, **settings: object) -> Run:
        """Return the run of the same values with other settings of the explainer."""
        return replace(self, explainer=self.explainer.replace(**settings))

    def attributions(self, targets: Target, seed: int | RandomStream) -> Tensors:
        """Return the attributions, in the form of the inputs or the layer."""
        if self.tolerance is not None:
            return self.given_back(self.detailed(targets, seed).attributions)
        result = self.explainer.attributor().attribute(self.values, **self._arguments(targets, seed))
        return self.given_back(result)

    @property
    def tolerance(self) -> float | None:
        """Standard error up to which samples are drawn; None where their number is set."""
        return getattr(self.explainer, "tolerance", None)

    def detailed(self, targets: Target, seed: int | RandomStream) -> Outcome:
        """Return the attributions, with the examples first, and all that is known of their exactness."""
        if self.tolerance is None:
            return self.once(targets, seed)
        return within_tolerance(self, self.tolerance, self.explainer.draws or "", targets, seed)

    def once(self, targets: Target, seed: int | RandomStream) -> Outcome:
        """Return what ``detailed`` does, of as many samples as are set."""
        return self.explainer.attributor().attribute_detailed(self.values, **self._arguments(targets, seed))

    def given_back(self, attributions: Attributions, *, whole: bool = True) -> Tensors:
        """Return attributions in the form of the inputs or the layer; with ``whole=False`` some may be NaN."""
        members = self.back(as_tuple(attributions, "attributions"))
        if whole:
            check_finite("attributions", members)
        return members

    def _arguments(self, targets: Target, seed: int | RandomStream) -> dict[str, object]:
        arguments: dict[str, object] = {"target": targets, "additional_forward_args": self.extra}
        return arguments | {"seed": seed} if self.explainer.stochastic else arguments


def at_numbers(explainer: Explainer, arguments: Arguments) -> tuple[Explainer, Arguments]:
    """Return the explainer at the embeddings of ids, if it differentiates, and the arguments that it explains there."""
    if not explainer.needs_gradient or not explainer.layer_is_site or explainer.layer is not None:
        return explainer, arguments
    for explained in arguments.explained:
        if not explained.is_floating_point():
            with borrowed(explainer.model, gradients=False):
                places, arguments = at_embeddings(explainer.model, arguments)
            baselines = of_columns(explainer.settings(), arguments, columns_among(places))
            return explainer.replace(layer=places, **baselines), arguments
    return explainer, arguments


def records(explainer: Explainer, arguments: Arguments) -> bool:
    """Return whether the part of the model before the layer is recorded, which takes three runs to verify."""
    places = find_places(explainer.model, explainer.layer)
    sites = all(isinstance(place, Site) for place in places)
    return explainer.repeated and sites and not run_first(places, arguments)


def _unmoved(values: Tensors) -> Tensors:
    return values
