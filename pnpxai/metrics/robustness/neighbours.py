"""Inputs nearby, explained again: what robustness is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pnpxai.attributors import RelativeNoise
from pnpxai.attributors.padding import filled, unseen
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.score import WholeBatchOutput, select_output
from pnpxai.engine.running.seeds import RandomStream, at_seen
from pnpxai.errors import ShapeError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.baseline_adapters import of_rows
from pnpxai.explainers.run import Run
from pnpxai.metrics.base import Metric, Sample
from pnpxai.tensors import Tensors, as_tuple, rows_of

__all__ = ["Neighbours", "draws_at_layer", "neighbours", "norm", "outputs"]


@dataclass(frozen=True)
class Neighbours:
    """Some disturbed copies of some examples, and their maps: rows as in ``Block``.

    Attributes:
        block: which examples and copies.
        sample: the examples that the rows come from, one for each row, with their own maps.
        inputs: the disturbed inputs.
        maps: the maps of these.
    """

    block: Block
    sample: Sample
    inputs: Tensors
    maps: Tensors

    def moved(self) -> Tensors:
        """Return how far the maps have moved."""
        return tuple(b - a for a, b in zip(self.sample.attributions, self.maps, strict=True))

    def apart(self) -> Tensor:
        """Return (rows,) how far the inputs are from where they were."""
        return norm(tuple(b - a for a, b in zip(self.sample.tensors, self.inputs, strict=True)))


def neighbours(
    metric: Metric, sample: Sample, n_iter: int, epsilon: float, look: Callable[[Neighbours], Tensor]
) -> Tensor:
    """Return (examples, n_iter) what ``look`` sees (one number for each row) in disturbed copies of each example.

    The disturbance is uniform, up to ``epsilon`` of each example's range (max - min); copy k of an example is the same
    for all maps. A copy is explained with the random draws of its example, so that these do not move its map.

    Raises:
        ShapeError: the maps that are judged are not of the shape that the explainer makes.
    """
    hidden = unseen(sample.score.forward, sample.tensors, sample.score.extra)
    originals, stream = sample.tensors, sample.stream.of_examples(sample.tensors, hidden)
    if draws_at_layer(metric.explaining()):
        originals = Run.of(metric.explaining(), sample.arguments, stop=True).values
    sample = replace(sample, stream=sample.stream.of_copies(originals))
    reach = tuple(RelativeNoise(epsilon)(filled(x, out)) for x, out in zip(sample.tensors, hidden, strict=True))
    collected: list[Tensor | None] = [None]

    def visit(block: Block) -> None:
        near = sample.take(block.rows)
        inputs = tuple(_disturbed(sample, k, (reach[k], hidden[k]), stream, block) for k in range(len(reach)))
        settings = of_rows(metric.explaining().settings(), block.rows)
        judge = metric.replace(explainer=metric.explaining().replace(**settings)) if settings else metric
        maps = as_tuple(judge.explained(near.moved_to(inputs).arguments, near.targets, near.stream))
        _check_alike(near.attributions, maps)
        seen = look(Neighbours(block, near, inputs, maps))
        if collected[0] is None:
            collected[0] = seen.new_empty(sample.size, n_iter)
        part = seen.reshape(len(block.steps), len(block.examples)).T
        collected[0][block.examples.start : block.examples.stop, block.steps.start : block.steps.stop] = part

    limit = row_limit(sample.tensors, sample.score.extra)
    try:
        apart = partial(rows_are_apart, sample.score, sample.tensors, limit)
        in_blocks(sample.size, n_iter, limit, visit, apart=apart)
    except WholeBatchOutput:  # a single example of a model that gives one value for its batch
        in_blocks(sample.size, n_iter, 1, visit)
    assert collected[0] is not None  # noqa: S101  (n_iter > 0)
    return collected[0]


def draws_at_layer(explainer: Explainer) -> bool:
    """Tell whether random draws may go by the values of a layer, which are then read once more for the examples."""
    return explainer.stochastic and explainer.layer is not None and explainer.layer_is_site


def outputs(sample: Sample, inputs: Tensors) -> Tensor:
    """Return (rows, outputs) all that the model says of inputs."""
    return select_output(sample.score.output(inputs)).reshape(sample.size, -1)


def norm(maps: Tensors) -> Tensor:
    """Return (rows,) Euclidean norms over all tensors."""
    exact = [rows_of(m).to(torch.promote_types(m.dtype, torch.float32)) for m in maps]
    return torch.stack([m.square().sum(1) for m in exact]).sum(0).sqrt()


def _check_alike(judged: Tensors, explained: Tensors) -> None:
    shapes = [[tuple(m.shape[1:]) for m in maps] for maps in (judged, explained)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"attributions: expected maps as the explainer makes them, {shapes[1]} for an example, got {shapes[0]}; "
            "give the postprocessor that turns one into the other"
        )


def _disturbed(
    sample: Sample, number: int, limits: tuple[Tensor, Tensor | None], stream: RandomStream, block: Block
) -> Tensor:
    """Return the rows of a block of one input, moved up to some reach where nothing is hidden."""
    reach, hidden = limits
    x, part = sample.tensors[number], slice(block.examples.start, block.examples.stop)
    own = stream.draws("disturbance", number)[part].at(block.steps)
    drawn = at_seen(2 * own.uniform(x.shape[1:], x) - 1, None if hidden is None else hidden[part], 2)
    return (x[part] + reach[part] * drawn).flatten(0, 1)
