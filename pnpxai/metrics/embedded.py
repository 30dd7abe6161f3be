"""Ids as what they become in the model, so that they can be disturbed a little."""

from __future__ import annotations

from dataclasses import dataclass

from pnpxai.engine.arguments import Arguments
from pnpxai.engine.embeddings import at_embeddings
from pnpxai.engine.places import find_places
from pnpxai.engine.rows import ExamplesFirst
from pnpxai.engine.site import AtSites
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
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
            UnsuitableError: the explainer changes the ids instead.
        """
        if all(x.is_floating_point() for x in arguments.explained):
            return cls(explainer, arguments)
        model, size, rows = explainer.model, batch_size(arguments.explained), 0
        if not explainer.layer_is_site or (explainer.layer is None and not explainer.needs_gradient):
            raise UnsuitableError(
                f"{type(explainer).__name__}: it changes ids, which cannot be disturbed a little. Give it layer=, the "
                "embedding, or give the model its embeddings (inputs_embeds of transformers)"
            )
        if explainer.layer is not None:
            places = find_places(model, explainer.layer)
        else:
            places, arguments = at_embeddings(model, arguments)
            rows = 1
        at = AtSites(model, places)
        read = at.read(arguments.call(), stop=True, size=size)
        first = ExamplesFirst.of(at, read.values, size)
        moved = explainer.replace(
            model=at if first.still else first,
            layer=None,
            forward_arg_extractor=None,
            additional_forward_arg_extractor=None,
        )
        return cls(moved, Arguments(first.there(read.values), (read.call,)), rows + size)
