"""Draws random points between baselines and noisy inputs, and averages the gradients there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayer, Attributor, prepared
from pnpxai.attributors.baseline_arguments import broadcast_baselines, distribution_rows
from pnpxai.attributors.gradient.layer_paths import by_example
from pnpxai.attributors.gradient.mean_errors import MeanError
from pnpxai.attributors.gradient.noisy_copies import Deviation, deviations, drawn_rows, noisy_copies
from pnpxai.attributors.layers import first_rows, packed
from pnpxai.attributors.padding import unseen
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.gradients import gradient, refuse_integers
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.layer_blocks import Pace, in_parts, in_steps, stacked
from pnpxai.engine.running.layers import Slopes, slopes
from pnpxai.engine.running.score import Score, Target, WholeBatchOutput
from pnpxai.engine.running.seeds import Hidden, RandomStream
from pnpxai.engine.running.site import AtSites, Call, Members
from pnpxai.errors import ShapeError
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, flat, like, take_rows

__all__ = ["Distribution", "OwnBaselines", "Samples"]


@dataclass(frozen=True)
class OwnBaselines:
    """Holds one baseline row for each example, which all its samples use; nothing is drawn from rows that all share."""

    rows: Tensors


Distribution: TypeAlias = Tensor | Tensors | Callable[..., Tensor | Tensors] | OwnBaselines
"""Baselines to draw from: rows (rows, ...) for each input, as many for each; a function that returns them (of the
inputs, if it takes an argument); or one row for each example."""
_Ends: TypeAlias = tuple[Tensors, ModelOutput]  # values, and the model's output where it is needed
_Means: TypeAlias = tuple[Attributions, Tensor, Attributions]
"""Mean attributions, deltas, and standard errors."""


@dataclass(frozen=True)
class Samples:
    """Draws samples for each example, and averages the gradients there.

    Sample k draws one row of the baselines, noise for the input, and a point between the two.

    Attributes:
        owner: the attributor.
        number: number of samples for each example.
        stdevs: standard deviation of the noise.
        stream: source of the random numbers.
        with_deltas: compute the scores of both ends, and deltas.
        show_progress: show a progress bar.
        at: the layer at which values and gradients are taken; None for the inputs.
    """

    owner: Attributor
    number: int
    stdevs: Deviation | tuple[Deviation, ...]
    stream: RandomStream
    with_deltas: bool
    show_progress: bool
    at: AtSites | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", whole_number("n_samples", self.number))

    def mean(self, inputs: ModelInputs, baselines: Distribution | None, target: Target, extra: ForwardArgs) -> _Means:
        """Return the mean attributions, (examples * samples,) deltas, and the standard errors of the means.

        The errors are () where there are fewer than three samples, or where the rows at a layer are not the examples.
        """
        with borrowed(self.owner.forward_func):
            tensors, score = prepared(self.owner.forward_func, inputs, target, extra)
            refuse_integers(tensors)
            hidden = unseen(self.owner.forward_func, tensors, extra)
            samples = replace(self, stream=self.stream.of_examples(tensors, hidden))
            if isinstance(baselines, OwnBaselines):
                rows, pick = broadcast_baselines(baselines.rows, tensors), _own_row
            else:
                rows, pick = distribution_rows(baselines, inputs, tensors), drawn_rows
            scales = deviations(self.stdevs, tensors, hidden)
            limit = row_limit(tensors, score.extra)

            def explain(part: Score, inputs_and_numbers: Tensors, pace: Pace) -> tuple[Tensor, _Means]:
                *own, numbers = inputs_and_numbers
                block = Block(range(int(numbers[0]), int(numbers[-1]) + 1), range(self.number))
                own_part = _Part(samples, part, tuple(own), tensors, hidden, scales, rows, pick, block, pace)
                return own_part.explain(limit, inputs)

            places = () if self.at is None else self.at.places
            numbers = torch.arange(score.size)
            return in_parts(score, tensors, places, limit, explain, n_steps=self.number, beside=(numbers,))


@dataclass(frozen=True)
class _Part:
    """Runs all samples of some of the examples."""

    samples: Samples
    score: Score
    inputs: Tensors  # inputs of these examples
    everything: Tensors  # inputs of all examples
    hidden: Hidden  # positions that all examples do not see
    scales: list[Tensor | float]
    rows: Tensors  # baselines
    pick: Callable[[int, RandomStream, Block], Tensor]  # chooses a baseline for each row of a block
    block: Block
    pace: Pace

    def explain(self, limit: int, original: ModelInputs) -> tuple[Tensor, _Means]:
        """Return the scores, and (mean attributions, deltas, standard errors)."""
        samples, size = self.samples, self.score.size
        still = all(isinstance(scale, float) and scale == 0 for scale in self.scales)
        clean = self._ends(self.score, self.inputs) if still else None
        sums: list[Tensor] = []
        errors = MeanError(size)
        deltas = self.inputs[0].new_zeros(size, samples.number)
        last_pass: list[tuple[tuple[Members, ...], Tensor]] = []

        def visit(steps: range, numbers: Tensor) -> Tensor:
            block, score = Block(self.block.examples, steps), self.score.take(numbers)
            if clean is None:
                noisy = noisy_copies(self.everything, self.scales, samples.stream, block, hidden=self.hidden)
                values, output = self._ends(score, noisy)
            else:
                noisy = _repeated(self.inputs, len(steps))
                values, output = _repeated(clean[0], len(steps)), take_rows(clean[1], numbers, size)
            picks = self.pick(len(self.rows[0]), samples.stream, block)
            starts = tuple(row.index_select(0, picks.to(row.device)) for row in self.rows)
            start_values, start_output = self._starts(score, starts, picks)
            at_points = self._slopes(score, _blended(starts, noisy, self._blend(steps)))
            shares = at_points.gradients
            if samples.owner.multiplies_by_inputs:
                shares = tuple(g * (y - b) for g, y, b in zip(shares, values, start_values, strict=True))
            if samples.with_deltas:
                rise = score.select(output) - score.select(start_output)
                if rise.numel() != numbers.numel():
                    raise WholeBatchOutput("model: it returns one value for a whole batch, so samples have no deltas")
                gaps = sum(by_example(share, numbers.numel()) for share in shares) - rise
                deltas[:, steps.start : steps.stop] = gaps.reshape(len(steps), size).T
            means = [stacked(share, steps).sum(0) / samples.number for share in shares]
            sums[:] = [a + b for a, b in zip(sums, means, strict=True)] if sums else means
            if all(len(share) == numbers.numel() for share in shares):
                errors.add(Block(range(size), steps), shares)
            last_pass[:] = [(first_rows(at_points.members, size, numbers.numel()), at_points.scores)]
            return at_points.scores

        in_steps(size, samples.number, self.pace, limit, visit, show_progress=samples.show_progress, label="samples")
        ((members, scores),) = last_pass
        spread = errors.result(samples.number)

        def placed(values: list[Tensor]) -> Attributions:
            owner = samples.owner
            return packed(owner.layer, members, values) if isinstance(owner, AtLayer) else like(original, values)

        return scores, (placed(sums), deltas.reshape(-1), () if spread is None else placed(spread[0]))

    def _slopes(self, score: Score, points: Tensors) -> Slopes:
        if self.samples.at is None:
            gradients, scores = gradient(score, points)
            return Slopes(points, gradients, (), scores)
        at_points = slopes(score, points, self.samples.at.places)
        if not self.pace.together and any(value.shape[:1] != (score.size,) for value in at_points.values):
            raise ShapeError("layer: its rows are not the examples")
        return at_points

    def _ends(self, score: Score, inputs: Tensors) -> _Ends:
        """Return the values at the layer (or the inputs themselves), and the model's output."""
        samples = self.samples
        with torch.no_grad():
            if samples.at is None:
                return inputs, score.output(inputs) if samples.with_deltas else None
            call = Call((*inputs, *score.extra))
            read = samples.at.read(call, stop=not samples.with_deltas, alone=False)
            return read.values, read.output

    def _starts(self, score: Score, starts: Tensors, picks: Tensor) -> _Ends:
        """Return the same of the baselines. A row runs once if no further argument differs between examples."""
        if self.pace.together or any(t.ndim and t.shape[0] == score.size for t in flat(score.extra)):
            return self._ends(score, starts)
        unique, back = picks.unique(return_inverse=True)
        once = tuple(row.index_select(0, unique.to(row.device)) for row in self.rows)
        values, output = self._ends(score, once)
        values = starts if self.samples.at is None else tuple(v.index_select(0, back.to(v.device)) for v in values)
        return values, take_rows(output, back, len(unique))

    def _blend(self, steps: range) -> Tensor:
        """Return for each row the share a of the way from the baseline at which its point lies."""
        own = self.samples.stream.draws("blend")[self.block.examples.start : self.block.examples.stop]
        return own.at(steps).uniform().flatten()


def _own_row(count: int, stream: RandomStream, block: Block) -> Tensor:
    return block.rows


def _blended(starts: Tensors, ends: Tensors, share: Tensor) -> Tensors:
    return tuple(
        b + share.to(x.device, x.dtype).reshape(-1, *[1] * (x.ndim - 1)) * (x - b)
        for b, x in zip(starts, ends, strict=True)
    )


def _repeated(tensors: Tensors, times: int) -> Tensors:
    return tensors if times == 1 else tuple(x.repeat(times, *[1] * (x.ndim - 1)) for x in tensors)
