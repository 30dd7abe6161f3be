"""The score as a game: its players are groups of elements, and a baseline stands in for those that are absent."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import prepared
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.keys import content_key, example_keys
from pnpxai.engine.running.loops import perturbed_scores
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.seeds import RandomStream, in_single
from pnpxai.model_types import Attributions, ForwardArgs, Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, like

__all__ = ["Game", "Present", "averaged_scores", "perturbable", "upper_bound"]

Present: TypeAlias = Callable[[int, range, Tensor], Tensor]
"""Gives (steps, 1 or examples, ...) which elements of input k are present, of some examples at some steps."""


@dataclass(frozen=True)
class Game:
    """A score, the inputs, what stands in for absent elements, and the groups of elements.

    Attributes:
        score: what is played for.
        tensors: the inputs.
        stand_ins: what takes the place of absent elements.
        groups: the players.
    """

    score: Score
    tensors: Tensors
    stand_ins: StandIns
    groups: Groups

    @classmethod
    def of(
        cls,
        forward: Model,
        inputs: ModelInputs,
        baselines: Baselines | Rows,
        target: Target,
        extra: ForwardArgs,
        mask: Tensor | Tensors | None,
        held: Sequence[Tensor | None] | None = None,
    ) -> Game:
        """Check the arguments that perturbing attributors share, and put them together.

        What the model does not see (``padding``) is no player, nor is what is ``held``.
        """
        tensors, score = perturbable(forward, inputs, target, extra)
        groups = Groups.of(mask, tensors, held=_held(unseen(forward, tensors, extra), held))
        return cls(score, tensors, StandIns.of(baselines, tensors), groups)

    def keys(self, stream: RandomStream) -> tuple[str, ...]:
        """Return a key for each example: its id, or else its content.

        Content is what its players hold, however much is held beside them; of a disturbed copy, what they hold in its
        original.

        Args:
            stream: has the ids, and the originals of copies.
        """
        if stream.ids is not None:
            return stream.ids
        tensors, originals, keys = in_single(self.tensors), stream.originals, []
        if originals is not None:
            if [x.shape for x in originals] != [x.shape for x in tensors]:  # at a layer
                return example_keys(in_single(originals))
            tensors = in_single(originals)
        for e in range(self.score.size):
            one = range(e, e + 1)
            free = [self.groups.within(k, one)[0] >= 0 for k in range(len(self.tensors))]
            keys.append(content_key(*(x[e][f.expand(x.shape[1:])] for x, f in zip(tensors, free, strict=True))))
        return tuple(keys)

    def scores(
        self,
        present: Present,
        n_steps: int,
        *,
        runs: Tensor | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        label: str = "",
        alike: bool = True,
    ) -> Tensor:
        """Return (examples, steps) scores, averaged over the rows that stand in.

        Where the model gives one value for a whole batch they are (1, steps), if all examples are treated ``alike``.

        Args:
            present: what is present at each step.
            n_steps: number of steps.
            runs: (steps, rows) which rows stand in at each step; by default all of them.
            perturbations_per_eval: at most so many rows of each example in one pass; 1 leaves it to the device.
            show_progress: show a progress bar.
            label: what the bar says.
            alike: whether all examples have the same elements present.
        """

        def blended(block: Block, steps: Tensor, stands: Tensor) -> Tensors:
            part = slice(block.examples.start, block.examples.stop)
            # where, not a product: what is not finite in one of them must not reach the other
            return tuple(
                torch.where(
                    present(k, block.examples, steps), x[part], self.stand_ins.look_up(k, stands, block.examples)
                )
                for k, x in enumerate(self.tensors)
            )

        return averaged_scores(
            self.score,
            self.tensors,
            self.stand_ins,
            blended,
            n_steps,
            runs=runs,
            perturbations_per_eval=perturbations_per_eval,
            show_progress=show_progress,
            label=label,
            joint=alike and self.groups.shared,
        )

    def feature_mask(self, rows: int) -> Tensors | None:
        """Return (rows, ...) the group of every element of each input; None where every element is a group."""
        elements = sum(x[:1].numel() for x in self.tensors)
        if all(size == elements for size in self.groups.sizes):
            return None
        parts = zip(self.groups.ids, self.tensors, strict=True)
        return tuple(ids.expand(rows, *x.shape[1:]).clone() for ids, x in parts)

    def maps(self, inputs: ModelInputs, values: Tensor, in_input_shape: bool = True) -> Attributions:
        """Return the groups' values (examples, groups) at their elements, packed as ``inputs``; else by their ids."""
        return (
            like(inputs, self.groups.spread(values, self.tensors)) if in_input_shape else self.groups.by_label(values)
        )


def averaged_scores(
    score: Score,
    tensors: Tensors,
    stand_ins: StandIns,
    perturbed: Callable[[Block, Tensor, Tensor], Tensors],
    n_steps: int,
    *,
    runs: Tensor | None = None,
    perturbations_per_eval: int = 1,
    show_progress: bool = False,
    label: str = "",
    joint: bool = True,
) -> Tensor:
    """Return (examples, steps) scores of perturbed inputs, averaged over what stands in.

    Args:
        score: what is computed.
        tensors: the inputs.
        stand_ins: what takes the place of what is absent.
        perturbed: gives (steps, 1 or examples, ...) the perturbed inputs of a block at some steps, with some rows.
        n_steps: number of steps.
        runs: (steps, rows) which rows stand in at each step; by default all of them.
        perturbations_per_eval: at most so many rows of each example in one pass; 1 leaves it to the device.
        show_progress: show a progress bar.
        label: what the bar says.
        joint: of a model that gives one value for its whole batch, return (1, steps).
    """
    if runs is None:
        runs = torch.ones(n_steps, stand_ins.n_rows, dtype=torch.bool)
    steps, stands = runs.nonzero().unbind(1)

    def points(block: Block) -> Tensors:
        now = slice(block.steps.start, block.steps.stop)
        size = (len(block.steps), len(block.examples))
        values = perturbed(block, steps[now], stands[now])
        return tuple(v.expand(*size, *v.shape[2:]).flatten(0, 1) for v in values)

    scores = perturbed_scores(
        score,
        points,
        len(steps),
        tensors,
        at_most=upper_bound(perturbations_per_eval),
        show_progress=show_progress,
        label=label,
        joint=joint,
    )
    if stand_ins.n_rows == 1:
        return scores
    sums = scores.new_zeros(len(scores), n_steps).double().index_add_(1, steps.to(scores.device), scores.double())
    return (sums / runs.sum(1).to(sums)).to(scores)


def perturbable(forward: Model, inputs: ModelInputs, target: Target, extra: ForwardArgs) -> tuple[Tensors, Score]:
    """Return the inputs and their score; what is only perturbed may also give numbers that cannot be differentiated."""
    tensors, score = prepared(forward, inputs, target, extra)
    return tensors, replace(score, forward=Numeric(score.forward))


@dataclass(frozen=True)
class Numeric:
    """A forward function whose plain numbers and whole numbers are made floating point."""

    forward: Model

    def __call__(self, *args: object) -> ModelOutput:
        """Return the output, with a number or a tensor of whole numbers in float64."""
        output = self.forward(*args)
        if isinstance(output, numbers.Real):
            return torch.tensor(float(output), dtype=torch.float64)
        if isinstance(output, Tensor) and not (output.is_floating_point() or output.is_complex()):
            return output.double()
        return output

    def runs_model(self) -> tuple[Model, str]:
        """Return the forward function, and what is made of its output."""
        return self.forward, "floating point"


def upper_bound(perturbations_per_eval: int) -> int | None:
    """Return at most how many perturbed copies of each example go in one pass; None (for 1) leaves it to the device."""
    count = whole_number("perturbations_per_eval", perturbations_per_eval)
    return None if count == 1 else count


def _held(unseen: Sequence[Tensor | None], held: Sequence[Tensor | None] | None) -> tuple[Tensor | None, ...]:
    """Return what is not seen or held, for each input."""
    if held is None:
        return tuple(unseen)
    return tuple(
        one if other is None else other if one is None else one | other.to(one.device)
        for one, other in zip(unseen, held, strict=True)
    )
