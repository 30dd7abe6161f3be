"""Defines the bases of explainers that only run the model on perturbed inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from pnpxai.attributors.base import FromInputs
from pnpxai.declare.declared import Choice
from pnpxai.engine.running.examples_axis import ExamplesFirst
from pnpxai.engine.running.site import AtSites, Place, Site, find_places
from pnpxai.engine.seeing.module_kinds import CONVOLUTIONS
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.baseline_adapters import stand_ins_by
from pnpxai.strategies.base import for_each
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask, channel_axis
from pnpxai.tensors import Tensors, own

__all__ = ["GroupedPerturbation", "Perturbation"]


class Perturbation(Explainer, abstract=True):
    """Replaces parts of the input by a baseline. Nothing is differentiated: any model and any data will do, ids too."""

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """Baseline, the values of absent features. For token ids give ``Token(mask_token_id)``: zero is a token too."""
    channel_dim: int | None = None
    """Axis of channels, which are present or absent together; by default the second of pictures and series, and the
    last of a layer's tokens (examples, tokens, features)."""

    needs_gradient: ClassVar[bool] = False
    repeated: ClassVar[bool] = True

    @property
    def layer_holds_tokens(self) -> bool:
        """True if a layer is explained whose values of three dimensions are tokens, and not a convolved series.

        The layer is the explainer's own, or that at which its model begins.
        """
        if self.layer is not None:
            return _hold_tokens(find_places(self.model, self.layer))
        at = self.model.at if isinstance(self.model, ExamplesFirst) else self.model
        return isinstance(at, AtSites) and _hold_tokens(at.places)

    def channel_axes(self, inputs: Tensors) -> tuple[int | None, ...]:
        """Return the axis of channels of each input (or value of the layer), None where it has none."""
        tokens = self.channel_dim is None and self.layer_holds_tokens
        return tuple(
            channel_axis(x, (-1 if x.ndim == 3 and tokens else 1) if self.channel_dim is None else self.channel_dim)
            for x in inputs
        )


class GroupedPerturbation(Perturbation, abstract=True):
    """Groups the inputs' positions into features, each of which is present or absent as a whole."""

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"  # repeated to stand before the fields below
    feature_mask_fn: Annotated[FeatureMask | str, Choice()] = "auto"
    """Feature mask: the positions that are present or absent together. All elements of a feature get its value."""
    each_channel: bool = False
    """True makes every channel of a group of positions a feature of its own, as is right where channels are sensors."""
    held_ids: tuple[int, ...] = ()
    """Token ids that are always present and are not features, such as special tokens and placeholders of pictures."""

    def game(self) -> dict[str, FromInputs]:
        """Return baselines, feature masks and held elements as settings of a backend."""
        return {
            "baselines": stand_ins_by(self.baseline_fn),
            "feature_mask": FromInputs(self.feature_masks),
            "held": FromInputs(self._held),
        }

    def feature_masks(self, inputs: Tensors) -> Tensors:
        """Return for each input (1 or examples, ...) the feature of every element."""
        masks: list[Tensor] = []
        count = 0
        for fn, x, axis in zip(for_each(self.feature_mask_fn, inputs), inputs, self.channel_axes(inputs), strict=True):
            ids = fn(own(x), axis)
            ids = ids if axis is None else ids.unsqueeze(axis)
            if self.each_channel and axis is not None:
                ids = torch.cat([ids + k * (int(ids.max()) + 1) for k in range(x.shape[axis])], axis)
            masks.append(ids + count)  # features of different inputs are different ones
            count += int(ids.max()) + 1
        return tuple(masks)

    def _held(self, inputs: Tensors) -> tuple[Tensor | None, ...] | None:
        if not self.held_ids:
            return None
        return tuple(
            None if x.is_floating_point() else torch.isin(x, torch.tensor(self.held_ids, device=x.device))
            for x in inputs
        )


def _hold_tokens(places: Sequence[Place]) -> bool:
    """Return whether the layers' values of three dimensions are tokens, and not a convolved series."""
    sites = [place for place in places if isinstance(place, Site)]
    return bool(sites) and not any(isinstance(site.module, CONVOLUTIONS) for site in sites)
