"""Holds what an attributor returns: attributions, and how far they can be relied upon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pnpxai.model_types import Attributions
from pnpxai.tensors import Tensors, flat

__all__ = ["Outcome"]

_UNCLEAR = 0.25
"""Squared standard errors above this share of the squared spread of the values say that the values are noise."""
_CLEAR = 0.05
"""Number of draws that is advised: the share would be so large."""


@dataclass(frozen=True)
class Outcome:
    """Holds the attributions of a batch, and how far they can be relied upon.

    Attributes:
        attributions: the result of ``attribute``.
        gap: (examples,) sum of the attributions minus the sum that the method promises; None without a promise.
        sinks: (examples,) relevance that did not reach the inputs, by the name of what took it.
        standard_error: standard error of each attribution, in the form of the attributions; None without samples.
        base_value: (examples,) the score that the attributions start from, where the method knows it.
        degrees_of_freedom: those of Student's t distribution, whose scale the standard errors are.
        feature_mask: for each input the group of every element, -1 where an element is in none. Attributions repeat a
            group's value at all its elements. None where every element has its own value.
        group_values: (examples, groups) value of each group.
        draws: (examples,) number of random draws behind each example's attributions, 0 where nothing was drawn; None
            where draws are not counted.
        notes: sentences that a reader of the attributions must know.
    """

    attributions: Attributions
    gap: Tensor | None = None
    sinks: Mapping[str, Tensor] = field(default_factory=dict)
    standard_error: Attributions = None
    base_value: Tensor | None = None
    degrees_of_freedom: int | None = None
    feature_mask: Tensors | None = None
    group_values: Tensor | None = None
    draws: Tensor | None = None
    notes: tuple[str, ...] = ()

    @property
    def needed_draws(self) -> Tensor | None:
        """(examples,) about how many draws would tell an example's values from noise; None where draws are not counted.

        They are noise where their squared standard errors are above a quarter of their squared spread over features.
        It is 0 where they are told from noise already, or where there is no error to judge by. The error falls with the
        root of the number of draws, or faster.
        """
        if self.draws is None or self.standard_error is None:
            return None if self.draws is None else torch.zeros(len(self.draws))
        values, errors = (_features(part) for part in (self.attributions, self.standard_error))
        weights = (
            torch.ones_like(values) if self.feature_mask is None else _shares_of_groups(_features(self.feature_mask))
        )
        weights = weights.to(values)
        count = weights.sum(1, keepdim=True)
        spread = weights * (values - (weights * values).sum(1, keepdim=True) / count.clamp_min(1)).square()
        share = ((weights * errors.square()).sum(1) / spread.sum(1).clamp_min(1e-300)).clamp(max=1e6)
        noisy = (share > _UNCLEAR) & (count[:, 0] > 1)
        return torch.where(noisy, self.draws.to(share) * share / _CLEAR, 0.0).cpu()


def _features(structure: Attributions) -> Tensor:
    """Return (examples, features) all numbers of each example, in float64."""
    return torch.cat([part.detach().double().flatten(1).cpu() for part in flat(structure)], 1)


def _shares_of_groups(groups: Tensor) -> Tensor:
    """Return (examples, features) one over the number of features in the same group, 0 for those in none."""
    places = groups.long() + 1
    sizes = torch.zeros(len(groups), int(places.max()) + 1, dtype=torch.float64).scatter_add_(
        1, places, torch.ones_like(groups)
    )
    return (1 / sizes).gather(1, places).masked_fill(places == 0, 0.0)
