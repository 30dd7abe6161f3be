"""What explainers share that see a model through what it makes of perturbed inputs alone."""

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
    """Parts of the input are replaced by a baseline. Nothing is differentiated: any model and ids will do."""

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"
    """What stands in for what is absent; of token ids, zero is a token too: give ``Token(mask_token_id)``."""
    channel_dim: int | None = None
    """The axis whose entries are present or absent together; by default the second of pictures and series, and the last
    of a layer's tokens (examples, tokens, features)."""

    needs_gradient: ClassVar[bool] = False
    repeated: ClassVar[bool] = True

    @property
    def layer_holds_tokens(self) -> bool:
        """Whether a layer is explained whose values of three dimensions are tokens, not a convolved series.

        The layer is the explainer's, or that of a model which is a function of the values there.
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
    """The inputs' positions are grouped into features, which are present or absent as a whole."""

    baseline_fn: Annotated[Baseline | str, Choice()] = "zeros"  # named again for its place
    feature_mask_fn: Annotated[FeatureMask | str, Choice()] = "auto"
    """What is present or absent together. All elements of a feature get its value."""
    each_channel: bool = False
    """Every channel of such a group of positions is a feature of its own, as is asked where channels are sensors."""
    held_ids: tuple[int, ...] = ()
    """Token ids that are always present and are no features, such as special tokens and placeholders of pictures."""

    def game(self) -> dict[str, FromInputs]:
        """Return what stands in and what counts as one feature, as settings of a backend."""
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
    """Tell whether the layers' values of three dimensions are tokens, not a convolved series."""
    sites = [place for place in places if isinstance(place, Site)]
    return bool(sites) and not any(isinstance(site.module, CONVOLUTIONS) for site in sites)
