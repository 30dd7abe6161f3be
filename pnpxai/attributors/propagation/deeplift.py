"""DeepLIFT: differences from a baseline, passed back operation by operation; averaged over baselines, at a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, completeness_gap, prepared
from pnpxai.attributors.baseline_arguments import BaselineRows, Baselines, broadcast_baselines, distribution_rows
from pnpxai.attributors.propagation.rescale.ruled_model import multipliers
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.examples_axis import ExamplesFirst
from pnpxai.engine.running.gradients import refuse_integers
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.row_independence import refuse_kept_values, rows_are_apart
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, find_places
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, Layer, Model, ModelInputs
from pnpxai.tensors import Tensors, as_tuple, like, map_tensors

__all__ = ["DeepLift", "DeepLiftShap", "LayerDeepLift", "LayerDeepLiftShap"]

Custom = Callable[..., tuple[Tensor, ...]] | None


class DeepLift(Attributor):
    """DeepLIFT with the rescale rule. Shrikumar et al., 2017 (arXiv:1704.02685).

    Every nonlinear operation passes back its output's difference over its input's difference, products the mean of the
    other factor, so that attributions sum to F(inputs) - F(baselines). Operations are ruled where they run, whether a
    module or a function calls them; one without a rule is refused by name.
    """

    _has_convergence_delta = True

    def __init__(self, model: Model, multiply_by_inputs: bool = True, eps: float = 1e-10) -> None:
        super().__init__(model)
        self.model = model
        self.eps = eps
        self._multiply_by_inputs = multiply_by_inputs

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return two rows for each example: itself and its baseline."""
        return 2 * super().cost(inputs)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, and with ``return_convergence_delta`` a delta (examples,).

        Args:
            baselines: what it is compared with.
            return_convergence_delta: return sum(attributions) - (F(inputs) - F(baselines)) too.
            custom_attribution_func: makes the attributions of (multipliers, inputs, baselines), tuples, or of the first
                one or two of these; it returns a tuple of equal length.

        Raises:
            RuleError: an operation of the model has no rule; the message names it.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            refuse_integers(tensors)
            starts = broadcast_baselines(baselines, tensors)
            result = _packed(inputs, _differences(self, [(score, tensors, score, starts)], custom_attribution_func))
        if not return_convergence_delta:
            return result[0]
        return result[0], self.delta_of(result[0], result[1], baselines, inputs, target, additional_forward_args)


class DeepLiftShap(DeepLift):
    """DeepLIFT averaged over baselines, close to Shapley values. Lundberg and Lee, 2017 (arXiv:1705.07874)."""

    shares_baselines: ClassVar[bool] = True

    def __init__(self, model: Model, multiply_by_inputs: bool = True) -> None:
        super().__init__(model, multiply_by_inputs)

    def cost(self, inputs: ModelInputs, baselines: BaselineRows | None = None, **settings: object) -> int:
        """Return two rows for each example and baseline."""
        return super().cost(inputs) * len(distribution_rows(baselines, inputs, as_tuple(inputs))[0])

    def attribute(  # type: ignore[override]
        self,
        inputs: Tensor | Tensors,
        baselines: Tensor | Tensors | Callable[..., Tensor | Tensors] | None = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom = None,
    ) -> Attributions:
        """Return attributions in the shape of ``inputs``, and with ``return_convergence_delta`` deltas.

        Args:
            baselines: rows to compare each example with, (baselines, ...) for each input, or a function (of the inputs,
                if it takes an argument) that gives them.
            return_convergence_delta: return (examples * baselines,) deltas too, those of an example side by side.
            custom_attribution_func: as for ``DeepLift``.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            rows = distribution_rows(baselines, inputs, tensors)
            starts = _starts(rows, tensors)
            passes = [(score, tensors, score, start) for start in starts]
            difference = partial(_differences, self, custom=custom_attribution_func)
            result = _packed(inputs, difference(passes))
            if not return_convergence_delta:
                return result[0]
            if not _has_own_delta(self):
                return result
            parts = [_packed(inputs, difference([one]))[0] for one in passes]
        return result[0], _own_deltas(self, parts, starts, inputs, target, additional_forward_args)


class LayerDeepLift(DeepLift):
    """DeepLIFT at a layer: the differences of its values, times what they are multiplied by downstream."""

    def __init__(self, model: Model, layer: Layer, multiply_by_inputs: bool = True) -> None:
        super().__init__(model, multiply_by_inputs)
        self.layer = layer

    def attribute(  # type: ignore[override]
        self,
        inputs: Tensor | Tensors,
        baselines: Baselines = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        custom_attribution_func: Custom = None,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value; see ``DeepLift.attribute``.

        Args:
            baselines: what it is compared with.
            return_convergence_delta: return a delta (examples,) too.
            custom_attribution_func: as for ``DeepLift``, of the layer's values.
            grad_kwargs: accepted for compatibility; the backward pass is made of rules.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            starts = broadcast_baselines(baselines, tensors)
            first, rebased = self._rebased(score, tensors, starts, attribute_to_layer_input)
            result = _packed_at_layer(first, _differences(self, [rebased], custom_attribution_func))
        if not return_convergence_delta:
            return result[0]
        return result[0], self.delta_of(result[0], result[1], baselines, inputs, target, additional_forward_args)

    def _rebased(self, score: Score, inputs: Tensors, starts: Tensors, at_input: bool) -> tuple[ExamplesFirst, _Pass]:
        """Return the pass between the layer's values at the inputs and at the baselines, and how they are turned."""
        at = AtSites(self.forward_func, find_places(self.forward_func, self.layer, "input" if at_input else "output"))
        extra = map_tensors(torch.Tensor.detach, score.extra)
        calls = [Call((*map(torch.Tensor.detach, x), *extra)) for x in (inputs, starts)]
        reads = [at.read(call) for call in calls]
        first = ExamplesFirst.of(at, calls[0], reads[0].values, score.size)
        forward = at if first.still else first
        scores = [Score(forward, score.size, score.target, (read.call,), score.transform) for read in reads]
        values = [first.there(read.values) for read in reads]
        return first, (scores[0], values[0], scores[1], values[1])


class LayerDeepLiftShap(LayerDeepLift):
    """``LayerDeepLift`` averaged over baselines."""

    shares_baselines: ClassVar[bool] = True

    def attribute(  # type: ignore[override]
        self,
        inputs: Tensor | Tensors,
        baselines: Tensor | Tensors | Callable[..., Tensor | Tensors] | None = None,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        custom_attribution_func: Custom = None,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value; see ``DeepLiftShap.attribute``.

        Args:
            baselines: rows to compare each example with, or a function that gives them.
            return_convergence_delta: return (examples * baselines,) deltas too.
            custom_attribution_func: as for ``DeepLift``, of the layer's values.
        """
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            rows = distribution_rows(baselines, inputs, tensors)
            starts = _starts(rows, tensors)
            turned = [self._rebased(score, tensors, start, attribute_to_layer_input) for start in starts]
            first, passes = turned[0][0], [one for _, one in turned]
            difference = partial(_differences, self, custom=custom_attribution_func)
            result = _packed_at_layer(first, difference(passes))
            if not return_convergence_delta:
                return result[0]
            if not _has_own_delta(self):
                return result
            parts = [_packed_at_layer(first, difference([one]))[0] for one in passes]
        return result[0], _own_deltas(self, parts, starts, inputs, target, additional_forward_args)


_Pass = tuple[Score, Tensors, Score, Tensors]  # score and inputs, score and baselines


def _starts(rows: Tensors, inputs: Tensors) -> list[Tensors]:
    """Return the baselines of each pass: a row for all examples."""
    return [tuple(r[k].expand_as(x) for r, x in zip(rows, inputs, strict=True)) for k in range(len(rows[0]))]


def _has_own_delta(owner: DeepLift) -> bool:
    return type(owner).compute_convergence_delta is not Attributor.compute_convergence_delta


def _own_deltas(
    owner: DeepLift,
    parts: list[Attributions],
    starts: list[Tensors],
    inputs: ModelInputs,
    target: Target,
    extra: ForwardArgs,
) -> Tensor:
    """Return (examples * baselines,) deltas of a subclass's own method, from the attributions of each baseline."""
    given = {"target": target, "additional_forward_args": extra}
    each = [owner.compute_convergence_delta(a, s, inputs, **given) for a, s in zip(parts, starts, strict=True)]
    return torch.stack(each, 1).reshape(-1)


def _differences(owner: DeepLift, passes: Sequence[_Pass], custom: Custom) -> tuple[Tensors, Tensor]:
    """Return the attributions, averaged over the passes, and (examples, passes) deltas."""
    size = passes[0][0].size
    means = tuple(torch.zeros_like(x) for x in passes[0][1])
    deltas = means[0].new_zeros(size, len(passes))
    for k, (score, inputs, reference, starts) in enumerate(passes):

        def visit(block: Block, k: int = k, one: _Pass = (score, inputs, reference, starts)) -> None:
            score, inputs, reference, starts = one
            part = slice(block.examples.start, block.examples.stop)
            x, b = tuple(t.detach()[part] for t in inputs), tuple(t.detach()[part] for t in starts)
            factors = multipliers(score.take(block.rows), x, reference.take(block.rows), b, owner.eps)
            shares = _attributions(factors.values, x, b, owner.multiplies_by_inputs, custom)
            for mean, share in zip(means, shares, strict=True):
                mean[part] += share / len(passes)
            deltas[part, k] = completeness_gap(shares, factors.before, factors.after)

        limit = row_limit(inputs, score.extra)
        refuse_kept_values(score, inputs, limit)
        in_blocks(size, 1, limit, visit, apart=partial(rows_are_apart, score, inputs, limit))
    return means, deltas


def _attributions(factors: Tensors, x: Tensors, b: Tensors, multiply: bool, custom: Custom) -> Tensors:
    if custom is not None:
        arguments = (factors, x, b)[: len(inspect.signature(custom).parameters)]
        attributions = custom(*arguments)
        if not isinstance(attributions, tuple) or len(attributions) != len(x):
            raise ArgumentError(
                f"custom_attribution_func: expected a tuple of {len(x)} tensors, got {type(attributions).__name__}"
            )
        return tuple(m.detach() for m in attributions)
    return tuple(m * (xi - bi) for m, xi, bi in zip(factors, x, b, strict=True)) if multiply else factors


def _packed(original: ModelInputs, result: tuple[Tensors, Tensor]) -> tuple[Attributions, Tensor]:
    return like(original, result[0]), result[1].reshape(-1)


def _packed_at_layer(first: ExamplesFirst, result: tuple[Tensors, Tensor]) -> tuple[Attributions, Tensor]:
    values = first.back(result[0])
    return _packed(values if len(values) != 1 else values[0], (values, result[1]))
