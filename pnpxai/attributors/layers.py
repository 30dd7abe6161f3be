"""Reads the values of layers and their gradients, and packs results as the layers hold their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pnpxai.attributors.base import AtLayer, prepared
from pnpxai.engine.running.batching import row_limit
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.layer_blocks import Pace, in_parts
from pnpxai.engine.running.layers import value_and_gradient
from pnpxai.engine.running.row_independence import layer_rows_are_apart
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.running.site import AtSites, Call, Members, Place, find_places
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, Layer, Model, ModelInputs, ModelOutput
from pnpxai.tensors import Tensors, check_finite, flat

__all__ = ["LayerActivation", "LayerGradientXActivation", "first_rows", "packed", "places_of"]


def places_of(forward: Model, layer: Layer, attribute_to_layer_input: bool) -> tuple[Place, ...]:
    """Return the places at which a layer method reads values."""
    return find_places(forward, layer, "input" if attribute_to_layer_input else "output")


def packed(layer: Layer, members: Sequence[Members], values: Sequence[Tensor], *, others: bool = False) -> Attributions:
    """Return values as their layers hold them: a tensor, a tuple where a layer has several, a list for several layers.

    None stays None. A tensor of integers gets zeros, or with ``others`` stays what it is.

    Args:
        layer: the ``layer`` of the attributor.
        members: the members of each place, as the model computed them.
        values: one for each floating point member, in order.
        others: keep tensors of integers, NaN and infinity, as is right for values of the model itself.

    Raises:
        NonFiniteError: an attribution is NaN or infinite.
    """
    if not others:
        check_finite("attributions", values)
    waiting = iter(values)
    results = []
    for held in members:
        tensors = tuple(_filled(member, waiting, others) for member in held)
        results.append(tensors[0] if len(tensors) == 1 else tensors)
    return results if isinstance(layer, (list, tuple)) else results[0]


def _filled(member: Tensor | None, waiting: Iterator[Tensor], others: bool) -> Tensor | None:
    if member is None:
        return None
    if member.is_floating_point() and member.ndim:
        return next(waiting)
    return member if others else torch.zeros_like(member, dtype=torch.get_default_dtype())


def first_rows(members: Sequence[Members], size: int, rows: int) -> tuple[Members, ...]:
    """Return the members of places in the first ``size`` of ``rows`` rows."""
    return tuple(tuple(m[:size] if m is not None and m.shape[:1] == (rows,) else m for m in held) for held in members)


class LayerActivation(AtLayer):
    """Returns the values y of a layer, in the form that ``packed`` describes."""

    _multiply_by_inputs = True

    def cost(self, inputs: ModelInputs, **settings: object) -> int:
        """Return one row for each example."""
        return super().cost(inputs)

    def attribute(
        self,
        inputs: Tensor | Tensors,
        additional_forward_args: ForwardArgs = None,
        attribute_to_layer_input: bool = False,
    ) -> Attributions:
        """Return the layer's values, tensors of integers too.

        The model runs as far as the layer. The first time, a few rows run on to the end, to check that the layer does
        not run twice. If a few rows cannot run apart from the others, all rows run to the end.
        """
        with borrowed(self.forward_func, gradients=False):
            tensors, score = prepared(self.forward_func, inputs, _zero_if_finite, additional_forward_args)
            places = places_of(self.forward_func, self.layer, attribute_to_layer_input)
            at = AtSites(self.forward_func, places)
            runs_once = score.size > 1 and layer_rows_are_apart(score, tensors, places, 2, values_only=True)

            def explain(part: Score, rows: Tensors, pace: Pace) -> tuple[Tensor, Attributions]:
                call = Call((*rows, *part.extra))
                read = at.read(call, stop=runs_once, alone=False, numbers=False)
                if any(value.shape[:1] != (part.size,) for value in read.values):  # does the layer run twice?
                    read = at.read(call, alone=False, numbers=False)
                return torch.zeros(part.size), packed(self.layer, read.members, read.values, others=True)

            limit = row_limit(tensors, score.extra) if runs_once else score.size
            return in_parts(score, tensors, places, limit, explain, values_only=True)


def _zero_if_finite(output: ModelOutput) -> Tensor:
    """Return zero as the score of a model without a target, or NaN where a number of its output is not finite."""
    return torch.tensor(0.0 if all(bool(t.isfinite().all()) for t in flat(output)) else torch.nan)


class LayerGradientXActivation(AtLayer):
    """Computes y * dF/dy for the values y of a layer, or with ``multiply_by_inputs=False`` dF/dy alone."""

    def __init__(
        self,
        forward_func: Model,
        layer: Layer,
        device_ids: Sequence[int] | None = None,
        multiply_by_inputs: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__(forward_func, layer, device_ids)
        self.memory_efficient = memory_efficient
        self._multiply_by_inputs = multiply_by_inputs

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: Keywords | None = None,
    ) -> Attributions:
        """Return attributions in the shape of the layer's value (on the CPU, with ``memory_efficient``).

        If one layer depends on another, each gets its whole gradient.
        """
        with borrowed(self.forward_func, freeze=not grad_kwargs):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            places = places_of(self.forward_func, self.layer, attribute_to_layer_input)
            slopes = value_and_gradient(score, tensors, places, **(grad_kwargs or {}))
            shares = [
                v * g if self.multiplies_by_inputs else g for v, g in zip(slopes.values, slopes.gradients, strict=True)
            ]
            return packed(self.layer, slopes.members, [s.cpu() for s in shares] if self.memory_efficient else shares)
