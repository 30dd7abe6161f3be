"""Which positions the score goes by, from how it moves under smooth random masks."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, Outcome
from pnpxai.attributors.baseline_arguments import Baselines
from pnpxai.attributors.padding import unseen, without
from pnpxai.attributors.perturbation.games import Game, averaged_scores, perturbable
from pnpxai.attributors.perturbation.groups import Groups
from pnpxai.attributors.perturbation.random_masks import RandomMasks
from pnpxai.attributors.perturbation.stand_ins import Rows, StandIns
from pnpxai.declare.counts import whole_number
from pnpxai.engine.running.batching import Block, row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Target, WholeBatchOutput
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.model_types import Attributions, ForwardArgs, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, like

__all__ = ["RISE"]


class RISE(Attributor):
    """Mean score over random masks, weighted by how much of a position each lets through. Petsiuk et al., 2018.

    arXiv:1806.07421. The masks are coarse grids of zeros and ones, enlarged and shifted at random. Positions of ids,
    and of inputs with two dimensions (rows of a table, whose neighbours mean nothing), are drawn one by one instead.
    """

    def cost(self, inputs: ModelInputs, n_masks: int = 500, **settings: Any) -> int:
        """Return examples x n_masks, for each row of baselines."""
        tensors = as_tuple(inputs)
        return len(tensors[0]) * n_masks * StandIns.of(settings.get("baselines"), tensors).n_rows

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines | Rows = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        n_masks: int = 500,
        grid_size: int = 7,
        probability: float = 0.5,
        channel_axes: tuple[int | None, ...] | None = None,
        centred: bool = True,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        each_channel: bool = False,
        seed: int | RandomStream = 0,
    ) -> Attributions:
        """Return maps in the shape of ``inputs``, equal over channels unless these have masks of their own.

        They have one row where the model gives one value for its batch. Memory does not grow with ``n_masks``, but for
        a score for each. What the model does not see, such as padding, is never hidden and gets zero.

        Args:
            inputs: see ``Attributor``.
            baselines: what shows where a mask lets nothing through: anything that broadcasts to the inputs, or
                ``Rows``, over which the score is averaged.
            target: see ``Attributor``.
            additional_forward_args: see ``Attributor``.
            n_masks: number of masks.
            grid_size: cells of a grid along each axis of positions; at most one for each position.
            probability: that a cell lets the input through.
            channel_axes: for each input the axis of channels, which share a mask; by default the second of three or
                more dimensions.
            centred: take the mean score from all scores first. It moves a map by a constant, the mean score, and
                removes the noise that is that constant times how often a position happened to be let through.
            perturbations_per_eval: at most so many masks of each example in one pass; 1 leaves it to the device.
            show_progress: see ``Attributor``.
            each_channel: draw a grid for each channel, as is asked where channels are sensors; they share its shift.
            seed: fixes the masks, which are each example's own.
        """
        maps, _ = self._maps(
            inputs, baselines, target, additional_forward_args, n_masks, grid_size, probability, channel_axes, centred,
            perturbations_per_eval, show_progress, RandomStream.of(seed), each_channel, with_error=False,
        )  # fmt: skip
        return maps

    def attribute_detailed(self, inputs: ModelInputs, **arguments: object) -> Outcome:
        """Return the maps with their standard errors."""
        bound = inspect.signature(self.attribute).bind(inputs, **arguments)
        bound.apply_defaults()
        given = dict(bound.arguments)
        given["extra"] = given.pop("additional_forward_args")
        given["stream"] = RandomStream.of(given.pop("seed"))
        maps, errors = self._maps(**given, with_error=bool(given["centred"]))
        free = None if errors is None else given["n_masks"] - 1
        draws = torch.full((len(as_tuple(maps)[0]),), given["n_masks"])
        return Outcome(maps, standard_error=errors, degrees_of_freedom=free, draws=draws)

    def _maps(
        self, inputs: ModelInputs, baselines: Baselines | Rows, target: Target, extra: ForwardArgs, n_masks: int,
        grid_size: int, probability: float, channel_axes: tuple[int | None, ...] | None, centred: bool,
        perturbations_per_eval: int, show_progress: bool, stream: RandomStream, each_channel: bool, *, with_error: bool,
    ) -> tuple[Attributions, Attributions]:  # fmt: skip
        """Return the maps and, if wanted, their standard errors."""
        count, side = whole_number("n_masks", n_masks), whole_number("grid_size", grid_size)
        if not hasattr(probability, "__float__") or not 0 < probability < 1:
            raise ArgumentError(f"probability: expected a number between 0 and 1, got {probability!r}")
        with borrowed(self.forward_func, gradients=False):
            tensors, score = perturbable(self.forward_func, inputs, target, extra)
            stand_ins = StandIns.of(baselines, tensors)
            hidden = unseen(self.forward_func, tensors, extra)
            axes = _axes(channel_axes, tensors)
            if any(out is not None and axis == 1 for out, axis in zip(hidden, axes, strict=True)):
                raise ShapeError(
                    "RISE: the model's mask says that the second axis holds positions, some of them not seen, and it "
                    "is taken for that of channels; give channel_dim=-1"
                )

            def scores_of(masks: list[RandomMasks], joint: bool) -> Tensor:
                def shown(block: Block, steps: Tensor, rows: Tensor) -> Tensors:
                    part = slice(block.examples.start, block.examples.stop)
                    return tuple(
                        _shown(
                            mask.of_steps(block.examples, steps), x[part], stand_ins.look_up(k, rows, block.examples)
                        )
                        for k, (mask, x) in enumerate(zip(masks, tensors, strict=True))
                    )

                return averaged_scores(
                    score,
                    tensors,
                    stand_ins,
                    shown,
                    count,
                    perturbations_per_eval=perturbations_per_eval,
                    show_progress=show_progress,
                    label="masks",
                    joint=joint,
                )

            keys = Game(score, tensors, stand_ins, Groups.of(None, tensors, held=hidden)).keys(stream)
            own = RandomStream(stream.seed, keys)
            masks = [
                RandomMasks.of(own.draws("masks", k), x, axis, side, probability, out, each_channel=each_channel)
                for k, (x, axis, out) in enumerate(zip(tensors, axes, hidden, strict=True))
            ]
            try:
                scores = scores_of(masks, joint=len(keys) == 1)
            except WholeBatchOutput:
                if any(out is not None for out in hidden):
                    raise
                masks = [mask.shared() for mask in masks]
                scores = scores_of(masks, joint=True)
            weights = scores.to(torch.promote_types(scores.dtype, torch.float32))
            if centred:
                weights = weights - weights.mean(1, keepdim=True)
            limit = row_limit(tensors)
            sums = [mask.weighted(weights, limit) / (count * probability) for mask in masks]
            maps = [_like_input(m, x, scores.dtype) for m, x in zip(sums, tensors, strict=True)]
            maps = [without(m, out) for m, out in zip(maps, hidden, strict=True)]
            if not with_error or count < 3:
                return like(inputs, maps), None
            errors = [
                _like_input(m.error(weights, limit), x, scores.dtype) for m, x in zip(masks, tensors, strict=True)
            ]
            return like(inputs, maps), like(inputs, [without(e, out) for e, out in zip(errors, hidden, strict=True)])


def _shown(masks: Tensor, x: Tensor, blank: Tensor) -> Tensor:
    """Return (steps, examples, ...) inputs where masks let them through, baselines elsewhere, a blend in between."""
    if not x.is_floating_point():
        return torch.where(masks > 0, x, blank)
    return torch.lerp(blank, x, masks.to(x.dtype))


def _like_input(values: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(x.dtype if x.is_floating_point() else dtype).expand(len(values), *x.shape[1:]).contiguous()


def _axes(axes: tuple[int | None, ...] | None, tensors: Tensors) -> tuple[int | None, ...]:
    if axes is None:
        return tuple(1 if x.ndim > 2 else None for x in tensors)
    if len(axes) != len(tensors):
        raise ArgumentError(f"channel_axes: expected one for each of {len(tensors)} inputs, got {axes!r}")
    for axis, x in zip(axes, tensors, strict=True):
        if axis is not None and not 0 < axis < x.ndim:
            raise ShapeError(f"channel_axes: expected an axis of {tuple(x.shape)}, not the first, got {axis}")
    return axes
