"""Draws baselines from lists of values of each feature, or makes them of one token."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pnpxai.declare.counts import whole_number
from pnpxai.errors import ArgumentError
from pnpxai.model_types import ModelInputs

__all__ = ["ProductBaselines", "TokenReferenceBase"]


class ProductBaselines:
    """Draws a value for each feature, independently of the others."""

    def __init__(
        self,
        baseline_values: Sequence[Sequence[ModelInputs]] | Mapping[str | tuple[str, ...], Sequence[ModelInputs]],
        seed: int = 0,
    ) -> None:
        """Take the values of each feature.

        Args:
            baseline_values: a list of values for each feature, or a mapping from the feature's name to its values. A
                tuple of names maps to tuples of values that belong together.
            seed: seed of the draws.

        Raises:
            ArgumentError: a feature has no values.
        """
        self.keys = list(baseline_values) if isinstance(baseline_values, Mapping) else None
        self.values = list(baseline_values.values() if isinstance(baseline_values, Mapping) else baseline_values)
        if not self.values or not all(len(values) for values in self.values):
            raise ArgumentError("baseline_values: expected at least one value for each feature, got none")
        self._draws = random.Random(seed)  # noqa: S311  (no secret)

    def sample(self) -> list[ModelInputs] | dict[str, ModelInputs]:
        """Return one value for each feature, in a list or by name."""
        drawn = [self._draws.choice(values) for values in self.values]
        if self.keys is None:
            return drawn
        named: dict[str, ModelInputs] = {}
        for key, value in zip(self.keys, drawn, strict=True):
            named |= dict(zip(key, value, strict=True)) if isinstance(key, tuple) else {key: value}
        return named

    def __call__(self) -> list[ModelInputs] | dict[str, ModelInputs]:
        """Return ``sample()``."""
        return self.sample()


class TokenReferenceBase:
    """Makes baselines of one token, such as padding."""

    def __init__(self, reference_token_idx: int = 0) -> None:
        """Take the token's id."""
        self.reference_token_idx = reference_token_idx

    def generate_reference(self, sequence_length: int, device: torch.device | str | None = None) -> Tensor:
        """Return (sequence_length,) ids."""
        length = whole_number("sequence_length", sequence_length)
        return torch.full((length,), self.reference_token_idx, device=device)
