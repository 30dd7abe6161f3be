"""Ids as what they become in the model, so that they can be disturbed a little."""

from __future__ import annotations

from dataclasses import dataclass

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.embeddings import owners_of
from pnpxai.engine.running.examples_axis import ExamplesFirst
from pnpxai.engine.running.places import find_places
from pnpxai.engine.running.site import AtSites
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.baseline_adapters import at_places, embedded, of_ids
from pnpxai.explainers.run import at_numbers
from pnpxai.tensors import batch_size

__all__ = ["Embedded"]


@dataclass(frozen=True)
class Embedded:
    """An explainer of ids as one of numbers: the values where the ids' explanation is made.

    Attributes:
        explainer: explains the model as a function of those values.
        arguments: the values.
        rows: how many rows finding them has run through the model.
    """

    explainer: Explainer
    arguments: Arguments
    rows: int = 0

    @classmethod
    def of(cls, explainer: Explainer, arguments: Arguments) -> Embedded:
        """Find the values: of numbers, these themselves; of ids, those at the explainer's layer, or at their embedding.

        Raises:
            UnsuitableError: the explainer explains the ids as they are. With the embedding as its layer it can be
                judged, but what stands in for a token there need not be a token: it gives other maps, so this is not
                done unasked.
        """
        if all(x.is_floating_point() for x in arguments.explained):
            return cls(explainer, arguments)
        model, size, rows = explainer.model, batch_size(arguments.explained), 0
        if not explainer.layer_is_site or (explainer.layer is None and not explainer.needs_gradient):
            raise UnsuitableError(
                f"{type(explainer).__name__}: it explains ids as they are, which cannot be disturbed a little. Give it "
                "layer=, the embedding, or give the model its embeddings (inputs_embeds of transformers)"
            )
        if explainer.layer is not None:
            places = find_places(model, explainer.layer)
        else:
            explainer, arguments = at_numbers(explainer, arguments)
            places, rows = find_places(model, explainer.layer), 1
        at = AtSites(model, places)
        read = at.read(arguments.call(), stop=True, size=size)
        first = ExamplesFirst.of(at, arguments.call(), read.values, size)
        values = first.there(read.values)
        owners = owners_of(places)
        settings: dict[str, object] = {
            name: embedded(
                baseline, arguments, lambda call: first.there(at.read(call, stop=True).values), values, owners
            )
            for name, baseline in of_ids(explainer.settings(), arguments).items()
        }
        rows += size * (1 + len(settings))
        if owners is not None:
            settings = at_places(explainer.settings(), arguments, owners) | settings
        moved = explainer.replace(
            model=at if first.still else first,
            layer=None,
            forward_arg_extractor=None,
            additional_forward_arg_extractor=None,
            **settings,
        )
        return cls(moved, Arguments(values, (read.call,)), rows)
