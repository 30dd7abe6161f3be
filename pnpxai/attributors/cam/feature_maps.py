"""Finds the layers at which class activation maps are computed, and reads their values and gradients."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pnpxai.attributors.layers import LayerActivation
from pnpxai.engine.running.guard import module_of
from pnpxai.engine.running.layers import value_and_gradient
from pnpxai.engine.running.score import Score
from pnpxai.engine.running.site import Place, Site, find_places
from pnpxai.engine.seeing.module_kinds import CONVOLUTIONS, NORMS
from pnpxai.engine.seeing.operation_kinds import ATTENTION
from pnpxai.engine.seeing.operations import Operation, Operations, operation_name
from pnpxai.engine.seeing.token_grid import MapLayout, Sides, layout_of, reductions
from pnpxai.engine.seeing.torch_private import count_edits
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.model_types import Keywords, Layer, Model, ModelOutput, Positional
from pnpxai.tensors import Tensors, flat, own

__all__ = ["FeatureMap", "feature_maps", "last_feature_map", "pictured"]


class FeatureMap(NamedTuple):
    """Holds the values of a layer as channels over an input's positions.

    Attributes:
        values: values A (examples, channels, ...).
        gradients: gradients of the score with respect to A; empty where they were not asked for.
    """

    values: Tensor
    gradients: Tensor


class _Output(NamedTuple):
    site: Site
    value: Tensor
    state: tuple[int, int]  # identity of the tensor, and its number of edits in place


def pictured(inputs: Tensors) -> int:
    """Return the number of the first input that has channels and at least one axis of positions after them.

    Raises:
        UnsuitableError: no input has positions.
    """
    for k, x in enumerate(inputs):
        if x.ndim > 2 and x.is_floating_point():
            return k
    raise UnsuitableError(
        "inputs: a class activation map needs an input with channels and positions, (examples, channels, ...), "
        f"got {[tuple(x.shape) for x in inputs]}"
    )


def feature_maps(score: Score, inputs: Tensors, layer: Layer, *, differentiate: bool = True) -> list[FeatureMap]:
    """Return the values (and gradients) of layers as maps of the input that has positions.

    Args:
        score: the explained score.
        inputs: the inputs of the model.
        layer: a layer or several; None for the last feature map, for which one row more runs.
        differentiate: return gradients too.

    Raises:
        UnsuitableError: no layer is found, or one holds no map of that input.
    """
    sides = tuple(inputs[pictured(inputs)].shape[2:])
    places: Sequence[Place]
    layouts: Sequence[MapLayout | None]
    if layer is None:
        site, layout = last_feature_map(score, inputs)
        places, layouts = [site], [layout]
    else:
        places = find_places(score.forward, layer)
        layouts = [None] * len(places)
    with _grids(score.forward, sides) as grids:
        values, gradients = _read(score, inputs, places, differentiate)
    maps = []
    for place, value, gradient, layout in zip(places, values, gradients, layouts, strict=True):
        layout = layout or layout_of(value.shape, score.size, sides, grids)
        if layout is None:
            raise UnsuitableError(
                f"{place}: expected a map of the input's positions {sides}, with channels: (examples, channels, ...), "
                f"(examples, ..., channels) or (examples, tokens, channels); got {tuple(value.shape)}"
            )
        maps.append(FeatureMap(layout.fold(value), layout.fold(gradient) if differentiate else gradient))
    return maps


def _read(score: Score, inputs: Tensors, places: Sequence[Place], differentiate: bool) -> tuple[Tensors, Tensors]:
    if differentiate:
        slopes = value_and_gradient(score, inputs, places)
        numbers = [sum(m is not None and m.is_floating_point() for m in held) for held in slopes.members]
        values, gradients = slopes.values, slopes.gradients
    else:
        layers = LayerActivation(score.forward, list(places)).attribute(inputs, score.extra)
        numbers = [len([v for v in flat(held) if v.is_floating_point()]) for held in layers]
        values = tuple(v for held in layers for v in flat(held) if v.is_floating_point())
        gradients = tuple(v.new_empty(0) for v in values)
    for place, number in zip(places, numbers, strict=True):
        if number != 1:
            raise UnsuitableError(f"{place}: expected one map, got {number} tensors")
    return values, gradients


@contextlib.contextmanager
def _grids(model: Model, sides: Sides) -> Iterator[list[Sides]]:
    """Record the sides of all maps that convolutions return."""
    grids: list[Sides] = []

    def note(module: nn.Module, args: object, output: ModelOutput) -> None:
        if isinstance(output, Tensor) and output.ndim == len(sides) + 2 and tuple(output.shape[2:]) not in grids:
            grids.append(tuple(output.shape[2:]))

    with contextlib.ExitStack() as stack:
        for module in () if (root := module_of(model)) is None else root.modules():
            if isinstance(module, CONVOLUTIONS):
                stack.callback(module.register_forward_hook(note).remove)
        yield grids


def last_feature_map(score: Score, inputs: Tensors) -> tuple[Site, MapLayout]:
    """Run one row, and return the last layer that holds a map on which the score depends.

    In a convolutional network:

    1. The last convolution with several positions says what sides the map has. One with several channels goes before
       one with a single channel, which is a gate.
    2. The last layer after that convolution whose output has these sides is taken. Its output includes the
       convolution's normalisation, activation and skip connection.

    In a transformer, that convolution embeds patches. The last normalisation, or block with one, before the last
    attention is taken, if the score depends on several of its positions; tokens may have been merged before. A layer
    after the last attention would be wrong: the model may read its class token alone, and the other tokens hold
    evidence from patches other than their own.

    Raises:
        UnsuitableError: no layer holds such a map.
    """
    sides = tuple(inputs[pictured(inputs)].shape[2:])
    total, outputs, attended = _one_row(score, inputs)
    convolved = sorted(
        (k for k, output in enumerate(outputs) if _is_convolution(output, sides)),
        key=lambda k: (outputs[k].value.shape[1] > 1, k),
    )
    last = next((k for k in reversed(convolved) if _reaches(total, outputs[k].value)), None)
    if last is None:
        raise UnsuitableError(
            "model: no convolution with several positions was seen on the way to the score; give layer=, "
            "and for a scripted, exported or wrapped model the original torch.nn.Module"
        )
    source, grids = outputs[last].value, [tuple(outputs[k].value.shape[2:]) for k in convolved]
    mixed = next((k for k, value in reversed(attended) if k > last and _moves(total, value)), len(outputs))
    runs = Counter(output.site for output in outputs)
    single: dict[tuple[int, int], tuple[int, _Output]] = {}
    for k, output in enumerate(outputs[last:], start=last):
        if runs[output.site] == 1:  # of nested layers that return the same tensor, the innermost comes first
            single.setdefault(output.state, (k, output))
    for k, output in reversed(single.values()):
        layout = _fitting(output, source, sides, grids)
        late = layout is not None and layout.channels_last and k >= mixed
        if layout is not None and not late and _matters(total, output, layout, source):
            return output.site, layout
    raise UnsuitableError(
        f"model: {outputs[last].site} and what follows it run more than once in a forward pass, so that it is not "
        "told which run is meant; give layer= one that runs once"
    )


def _one_row(score: Score, inputs: Tensors) -> tuple[Tensor, list[_Output], list[tuple[int, Tensor]]]:
    """Run the first example; return its score, the outputs of layers in order, and the outputs of attention.

    An output of attention comes with the number of layer outputs before it. All examples run where the model takes no
    other number of them.
    """
    try:
        return _run_rows(score, inputs, slice(0, 1))
    except (RuntimeError, AssertionError) as problem:  # an exported program asserts its number of rows
        if score.size == 1 or isinstance(problem, ArgumentError):
            raise
        return _run_rows(score, inputs, slice(None))


def _run_rows(score: Score, inputs: Tensors, rows: slice) -> tuple[Tensor, list[_Output], list[tuple[int, Tensor]]]:
    outputs: list[_Output] = []
    attended: list[tuple[int, Tensor]] = []

    def see(function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        result = function(*args, **kwargs)
        name = operation_name(function)
        if name in ATTENTION or (name == "softmax" and result.ndim > 3):  # (examples, heads, tokens, tokens)
            attended.append((len(outputs), result[0] if isinstance(result, tuple) else result))
        return result

    def note(site: Site, output: ModelOutput) -> None:
        values = [value for value in flat(output) if value.is_floating_point()]
        if len(values) == 1 and values[0].requires_grad:
            outputs.append(_Output(site, values[0], (id(values[0]), count_edits(values[0]))))

    first = tuple(own(x[rows]) for x in inputs)
    leaves = tuple(x.requires_grad_() if x.is_floating_point() else x for x in first)
    with contextlib.ExitStack() as stack:
        root = module_of(score.forward)
        for name, module in () if root is None else root.named_modules():
            if module is root or isinstance(module, torch.jit.ScriptModule):
                continue
            site = Site(module, "output", name)
            hook = module.register_forward_hook(lambda module, args, output, site=site: note(site, output))
            stack.callback(hook.remove)
        stack.enter_context(Operations(see))
        total = score.take(torch.arange(score.size)[rows])(tuple(x.clone() for x in leaves)).sum()
    return total, outputs, attended


def _is_convolution(output: _Output, sides: Sides) -> bool:
    shape = output.value.shape
    maps = len(shape) == len(sides) + 2 and math.prod(shape[2:]) > 1
    return maps and isinstance(output.site.module, CONVOLUTIONS)


def _fitting(output: _Output, source: Tensor, sides: Sides, grids: Sequence[Sides]) -> MapLayout | None:
    """Return the layout of an output that may be the last feature map, else None."""
    layout = layout_of(output.value.shape, len(source), sides, grids)
    if layout is None:
        return None
    if not layout.channels_last:
        gate = output.value.shape[1] == 1 < source.shape[1]
        return layout if layout.sides == source.shape[2:] and not gate else None
    # tokens inside attention and feed-forward parts (keys, values, hidden layers) are passed over
    normal = any(_normalises(module) for module in output.site.module.modules())
    merged = any(layout.sides == reduced for grid in grids for reduced in reductions(grid))
    return layout if normal and merged else None


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, NORMS) or type(module).__name__.lower().endswith("norm")


def _matters(total: Tensor, output: _Output, layout: MapLayout, source: Tensor) -> bool:
    """Return whether the score depends on an output; for tokens, on several of them that come from the source."""
    if not layout.channels_last:
        return _reaches(total, output.value)
    (slope,) = _gradient(total, output.value)
    if slope is None or int((layout.fold(slope) != 0).any(1).sum()) < 2:
        return False
    return output.value is source or _gradient(output.value.sum(), source)[0] is not None


def _moves(total: Tensor, value: Tensor) -> bool:
    """Return whether the score's gradient with respect to a value is not zero everywhere."""
    slope = _gradient(total, value)[0] if value.requires_grad else None
    return slope is not None and bool(slope.any())


def _reaches(total: Tensor, value: Tensor) -> bool:
    return total.requires_grad and _gradient(total, value)[0] is not None


def _gradient(of: Tensor, at: Tensor) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(of, at, retain_graph=True, allow_unused=True)
