"""The score as a game: its players are groups of elements, and a baseline stands in for those that are absent."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import Baselines, broadcast_baselines, prepared
from pnpxai.attributors.perturbation.coalitions import Plans
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.loops import Points, perturbed_scores
from pnpxai.engine.running.score import Score, Target
from pnpxai.tensors import Tensors, like

__all__ = ["Game", "Numeric", "blended", "perturbable", "stand_ins", "upper_bound"]

Kept: TypeAlias = Callable[[int, Block], Tensor]
"""Gives (steps, 1 or examples, ...) which elements of input k stay in the rows of a block."""


@dataclass(frozen=True)
class Game:
    """A score, the inputs, what stands in for absent elements, and the groups of elements.

    Attributes:
        score: what is played for.
        tensors: the inputs.
        blanks: what stands in, in the inputs' shapes.
        groups: the players.
    """

    score: Score
    tensors: Tensors
    blanks: Tensors
    groups: Groups

    @classmethod
    def of(
        cls, forward: Callable[..., Any], inputs: Any, baselines: Baselines, target: Target, extra: Any, mask: Any
    ) -> Game:
        """Check the arguments that perturbing attributors share, and put them together."""
        tensors, score = perturbable(forward, inputs, target, extra)
        return cls(score, tensors, stand_ins(baselines, tensors), Groups.of(mask, tensors))

    def points(self, kept: Kept) -> Points:
        """Return the inputs with their kept elements only."""
        return blended(self.tensors, self.blanks, kept)

    def coalitions(self, present: Tensor) -> Points:
        """Return the inputs with the groups only that are present: (1 or examples, steps, groups)."""
        tables = [present.to(x.device) for x in self.tensors]

        def kept(k: int, block: Block) -> Tensor:
            return self.groups.look_up(k, tables[k][:, block.steps.start : block.steps.stop], block.examples)

        return self.points(kept)

    def play(self, plans: Plans, perturbations_per_eval: int, show_progress: bool) -> Tensor:
        """Return (examples, steps) scores of the coalitions of plans."""
        present = plans.table() != 0
        return self.scores(
            self.coalitions(present),
            present.shape[1],
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
            label="coalitions",
            alike=len(present) == 1,
        )

    def scores(
        self,
        points: Points,
        n_steps: int,
        *,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        label: str = "",
        alike: bool = True,
    ) -> Tensor:
        """Return (examples, steps) scores of the points.

        Where the model gives one value for a whole batch they are (1, steps), if all examples are treated ``alike``.
        """
        return perturbed_scores(
            self.score,
            points,
            n_steps,
            self.tensors,
            asked=upper_bound(perturbations_per_eval),
            show_progress=show_progress,
            label=label,
            joint=alike and len(self.groups.labels) == 1,
        )

    def maps(self, inputs: Any, values: Tensor, in_input_shape: bool = True) -> Any:
        """Return the groups' values (examples, groups) at their elements, packed as ``inputs``; else by their ids."""
        return (
            like(inputs, self.groups.spread(values, self.tensors)) if in_input_shape else self.groups.by_label(values)
        )


def perturbable(forward: Callable[..., Any], inputs: Any, target: Target, extra: Any) -> tuple[Tensors, Score]:
    """Return the inputs and their score; what is only perturbed may also give numbers that cannot be differentiated."""
    tensors, score = prepared(forward, inputs, target, extra)
    return tensors, replace(score, forward=Numeric(score.forward))


@dataclass(frozen=True)
class Numeric:
    """A forward function whose plain numbers and whole numbers are made floating point."""

    forward: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        """Return the output, with a number or a tensor of whole numbers in float64."""
        output = self.forward(*args)
        if isinstance(output, numbers.Real):
            return torch.tensor(float(output), dtype=torch.float64)
        if isinstance(output, Tensor) and not (output.is_floating_point() or output.is_complex()):
            return output.double()
        return output

    def runs_model(self) -> tuple[Any, str]:
        """Return the forward function, and what is made of its output."""
        return self.forward, "floating point"


def stand_ins(baselines: Any, tensors: Tensors, name: str = "baselines") -> Tensors:
    """Return what stands in for absent elements, in the shapes of ``tensors``: any baselines that broadcast to them."""
    if isinstance(baselines, (tuple, list)) and len(baselines) == len(tensors):
        given: Any = tuple(map(_expanded, baselines, tensors))
    else:
        given = _expanded(baselines, tensors[0]) if len(tensors) == 1 else baselines
    return broadcast_baselines(given, tensors, name)


def _expanded(value: Any, tensor: Tensor) -> Any:
    if not isinstance(value, Tensor) or value.ndim > tensor.ndim:
        return value
    shape = (1,) * (tensor.ndim - value.ndim) + tuple(value.shape)
    fits = all(m in (1, n) for m, n in zip(shape, tensor.shape, strict=True))
    return value.expand(tensor.shape) if fits else value


def blended(tensors: Tensors, blanks: Tensors, kept: Kept) -> Points:
    """Return the points whose kept elements come from ``tensors`` and all others from ``blanks``."""

    def points(block: Block) -> Tensors:
        part = slice(block.examples.start, block.examples.stop)
        # where, not a product: what is not finite in one of them must not reach the other
        return tuple(
            torch.where(kept(k, block), x[part], blank[part]).flatten(0, 1)
            for k, (x, blank) in enumerate(zip(tensors, blanks, strict=True))
        )

    return points


def upper_bound(perturbations_per_eval: Any) -> int | None:
    """Return at most how many perturbed copies of each example go in one pass; None (for 1) leaves it to the device."""
    count = whole_number("perturbations_per_eval", perturbations_per_eval)
    return None if count == 1 else count
