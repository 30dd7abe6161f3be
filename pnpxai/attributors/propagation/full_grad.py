"""Splits a score into the input's part and the parts of all biases, and makes one map of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from pnpxai.attributors.base import Attributor, prepared
from pnpxai.attributors.cam.maps import resized, stretched
from pnpxai.attributors.padding import unseen
from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.engine.running.gradients import refuse_integers
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.missing_gradients import naming_missing_gradients
from pnpxai.engine.running.row_independence import rows_are_apart
from pnpxai.engine.running.row_order import refuse_moved_rows
from pnpxai.engine.running.score import Score, Target
from pnpxai.engine.seeing.cells import CELLS
from pnpxai.engine.seeing.decompositions import decomposed
from pnpxai.engine.seeing.norms import by_batch_statistics
from pnpxai.engine.seeing.operation_kinds import AFFINE, ATTENTION, ELEMENTWISE, JOINS, ROUTES, SUMS
from pnpxai.engine.seeing.operations import (
    Operation,
    Operations,
    carries,
    divides,
    in_place,
    operation_name,
    out_of_place,
    with_operands,
)
from pnpxai.engine.seeing.token_grid import Sides, layout_of
from pnpxai.engine.seeing.unseen import refuse_transforms
from pnpxai.errors import ArgumentError, ConfinedError, RuleError, UnsuitableError
from pnpxai.model_types import Attributions, ForwardArgs, Keywords, ModelOutput, Positional
from pnpxai.tensors import Tensors, like, own

__all__ = ["FullGrad", "FullGradients"]


_NOISE = 3e4
"""Roundings of the steepest gradient that every gradient may be off by: where gradients cancel, only that is left."""


@dataclass(frozen=True)
class FullGradients:
    """A score in parts: it is the sum of them all.

    Attributes:
        inputs: gradient times input, in the shape of each input.
        biases: gradient times bias of every operation that has one, in the shape of what the operation gives. A bias
            is what an operation adds to a linear function of its operands, near their values: a layer's own, batch
            normalisation's shift, or what a smooth activation differs from its tangent by.
        score: (examples,) the explained output.
        sizes: for each part, inputs first, (examples,) the size that its rounding goes by: its largest absolute value,
            or that of gradient times output where a bias is the difference of an operation and its tangent; at least
            some thousand roundings of the steepest gradient, times bias.
        grids: sides of what convolutions give, by which a bias after them is known for a map of the input.
    """

    inputs: Tensors
    biases: Tensors
    score: Tensor
    sizes: Tensors
    grids: tuple[Sides, ...] = ()


class FullGrad(Attributor):
    """Gradient times input and the maps of all biases, added up. Srinivas and Fleuret, 2019 (arXiv:1905.00780).

    Each part p is taken in absolute value, rescaled to 0 ... 1, (p - min p) / (max p - min p), resized to the input and
    summed over channels. A part that varies by less than a thousandth of the size that its rounding goes by is divided
    by this thousandth instead, since rescaling would stretch its rounding too.
    """

    def attribute(
        self,
        inputs: Tensor | Tensors,
        target: Target = None,
        additional_forward_args: ForwardArgs = None,
        pooling_method: Literal["abssum", "possum"] = "abssum",
        interpolate_mode: str = "bilinear",
    ) -> Attributions:
        """Return for each input a map (examples, 1, ...); of an input without positions, (examples, columns).

        The map of a bias, with its channels before or behind the positions, counts for every input that has as many
        axes, and for none that has fewer than three.

        Args:
            pooling_method: sum absolute values over channels, or only positive ones.
            interpolate_mode: how maps are resized, as in ``torch.nn.functional.interpolate``.

        Raises:
            RuleError: a part of the model cannot be split into a linear part and a bias.
            ConfinedError: a part of the model is hidden, so that the parts do not add up to the score.
            UnsuitableError: an example is padded.
        """
        rectify = torch.abs if pooling_method == "abssum" else torch.relu
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            refuse_integers(tensors)
            if any(out is not None for out in unseen(self.forward_func, tensors, additional_forward_args)):
                raise UnsuitableError(
                    "FullGrad: each part is rescaled over all positions, so that the map of a padded example would "
                    "depend on how far its batch is padded; explain examples of one length together"
                )
            refuse_moved_rows(score, tensors)
            limit = row_limit(tensors, score.extra)
            apart = partial(rows_are_apart, score, tensors, limit)
            has_rows = cache(partial(_have_rows_of_examples, score, tensors))
            maps = [x.new_zeros((x.shape[0], 1, *x.shape[2:]) if x.ndim > 2 else x.shape) for x in tensors]

            def visit(block: Block) -> None:
                part = slice(block.examples.start, block.examples.stop)
                parts = _split(score.take(block.rows), tuple(x[part] for x in tensors))
                if len(block) > 1 and _may_lack_rows(parts) and apart() and not has_rows():
                    for k in block.examples:
                        visit(Block(range(k, k + 1), block.steps))
                    return
                of_biases = parts.sizes[len(parts.inputs) :]
                for result, of_input, size in zip(maps, parts.inputs, parts.sizes, strict=False):
                    folded = [_folded(bias, of_input, parts.grids) for bias in parts.biases]
                    for share, least in zip((of_input, *folded), (size, *of_biases), strict=True):
                        if share is not None:
                            result[part] += _map(rectify(share), least, result.shape, interpolate_mode)

            in_blocks(score.size, 1, limit, visit, apart=apart)
            return like(inputs, maps)

    def decompose(
        self, inputs: Tensor | Tensors, target: Target = None, additional_forward_args: ForwardArgs = None
    ) -> FullGradients:
        """Return the parts themselves, in one pass; see ``attribute``."""
        with borrowed(self.forward_func):
            tensors, score = prepared(self.forward_func, inputs, target, additional_forward_args)
            refuse_integers(tensors)
            return _split(score, tensors)


def _folded(bias: Tensor, x: Tensor, grids: tuple[Sides, ...]) -> Tensor | None:
    """Return what an operation's bias gets as (examples, channels, ...), None where it is no map of an input."""
    if bias.ndim != x.ndim or x.ndim < 3 or len(bias) != len(x):
        return None
    layout = layout_of(bias.shape, len(x), tuple(x.shape[2:]), grids)
    if layout is None:  # a single position, which counts for all
        return bias.movedim(-1, 1) if bias.shape[1] == 1 else bias
    return layout.fold(bias)


def _map(share: Tensor, size: Tensor, shape: torch.Size, mode: str) -> Tensor:
    axes = tuple(range(1, share.ndim))
    scaled = stretched(share, axes, size.reshape(-1, *[1] * len(axes)))
    return scaled if len(shape) < 3 else resized(scaled, tuple(shape[2:]), mode).sum(1, keepdim=True)


def _may_lack_rows(parts: FullGradients) -> bool:
    """Tell whether the examples of a bias that may be a map could be elsewhere than on its first axis, by its sizes."""
    size, axes = len(parts.score), {x.ndim for x in parts.inputs if x.ndim > 2}
    return any(b.ndim in axes and (len(b) != size or b.shape[1] == size) for b in parts.biases)


def _have_rows_of_examples(score: Score, inputs: Tensors) -> bool:
    """Tell whether every bias that may be a map has a row for each example, and not, say, channels for each."""
    rows = {x.ndim for x in inputs if x.ndim > 2}
    shapes = []
    for number in {1, min(score.size, 2)}:
        part = torch.arange(number)
        _, biases = _watched(score.take(part), tuple(own(x[:number]).requires_grad_() for x in inputs))
        shapes.append([(len(b) / number, *b.shape[1:]) for b in biases.outputs if b.ndim in rows])
    return shapes[0] == shapes[-1]


def _watched(score: Score, leaves: Tensors) -> tuple[Tensor, _Biases]:
    """Return the scores, and the biases of what the model runs."""
    biases = _Biases()

    def watched(*args: object) -> ModelOutput:
        with Operations(biases.replace), refuse_transforms("FullGrad"):
            return score.forward(*args)

    return replace(score, forward=watched)(leaves), biases


def _split(score: Score, inputs: Tensors) -> FullGradients:
    leaves = tuple(own(x).requires_grad_() for x in inputs)
    values, biases = _watched(score, leaves)
    if not values.requires_grad:
        raise ArgumentError("model: the score does not depend on the inputs through differentiable operations")
    held = [*leaves, *biases.outputs]
    with naming_missing_gradients():
        gradients = torch.autograd.grad(values.sum(), held, allow_unused=True, materialize_grads=True)
    constants = [*(x.detach() for x in leaves), *biases.constants]
    parts = tuple(itertools.starmap(_product, zip(gradients, constants, strict=True)))
    sizes = [*map(_size, parts)]
    for k in biases.rounded:  # after the inputs
        place = len(inputs) + k
        sizes[place] = _size(_product(gradients[place], biases.outputs[k].detach()))
    missing = float((sum(part.sum() for part in parts) - values.detach().sum()).abs())
    size = float(sum(part.abs().sum() for part in parts) + values.detach().abs().sum())
    if missing > torch.finfo(values.dtype).eps ** 0.5 * size:
        raise ConfinedError(
            f"FullGrad: the parts differ from the score by {missing:.2g}: something is scripted, detached or changed "
            "outside of torch; pass the original Python model"
        )
    steepest = torch.zeros_like(values.detach().reshape(-1))
    for slope in map(_size, gradients):
        steepest = torch.maximum(steepest, slope) if slope.shape == steepest.shape else steepest
    noise = min(_NOISE * torch.finfo(values.dtype).eps, 1.0) * steepest
    for k, constant in enumerate(map(_size, constants)):
        same = constant.shape == sizes[k].shape == noise.shape
        sizes[k] = torch.maximum(sizes[k], noise * constant if same else noise.max() * constant.max())
    grids = tuple(dict.fromkeys(biases.grids))
    return FullGradients(parts[: len(inputs)], parts[len(inputs) :], values.detach(), tuple(sizes), grids)


def _product(gradient: Tensor, value: Tensor) -> Tensor:
    # what is masked out is infinite, and has no influence
    return (gradient * value).masked_fill_(gradient == 0, 0)


def _size(part: Tensor) -> Tensor:
    return part.abs().flatten(1).amax(1) if part.ndim > 1 else part.abs()


@dataclass
class _Biases:
    """Notes what each operation gives, what of it is constant, and which constants are differences, thus rounded."""

    outputs: list[Tensor] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    rounded: list[int] = field(default_factory=list)
    grids: list[Sides] = field(default_factory=list)

    def replace(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        operands, put = with_operands((args, kwargs), carries)
        name = operation_name(function)
        if not operands or not torch.is_grad_enabled() or name in _PASSIVE:
            return function(*args, **kwargs)
        if in_place(function, kwargs):
            outside, rest, plain = out_of_place(function, args, kwargs)
            return args[0].copy_(self.replace(outside, rest, plain))
        if name in _WRITTEN_OUT:
            with Operations(self.replace):
                return decomposed(name, function, lambda compute: compute(), *args, **kwargs)
        result = function(*args, **kwargs)
        if not isinstance(result, Tensor) or not result.requires_grad:
            return result
        if name.startswith("conv"):
            self.grids.append(tuple(result.shape[2:]))

        def apply(*others: Tensor) -> Tensor:
            new_args, new_kwargs = put(*others)
            return function(*new_args, **new_kwargs)

        affine = name in SUMS | _ROWS or (name in AFFINE and len(operands) == 1 and not divides(function, args))
        affine = affine and not (name == "batch_norm" and by_batch_statistics(*args, **kwargs))
        constant = _constant(name, apply, operands, affine)
        if not affine:  # what is left of a difference of equal numbers is rounding, and no bias
            least = 4 * torch.finfo(result.dtype).eps * result.detach().nan_to_num(0.0, 0.0, 0.0).abs().amax()
            constant = constant.masked_fill(constant.abs() <= least, 0.0)
        if not constant.any():
            return result
        if not affine:
            self.rounded.append(len(self.outputs))
        self.outputs.append(result)
        self.constants.append(constant)
        return result.clone()  # which may be edited in place


_WRITTEN_OUT = (
    frozenset({"layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize", "glu"}) | ATTENTION | set(CELLS)
)
"""Operations whose own biases, or whose functions' tangents, show in their parts alone."""
_ROWS = JOINS | {"pad", "masked_fill"}
_PASSIVE = ROUTES - _ROWS


def _constant(name: str, apply: Callable[..., Tensor], operands: list[Tensor], affine: bool) -> Tensor:
    values = tuple(own(x).requires_grad_() for x in operands)
    if affine:
        with torch.no_grad():
            return apply(*(torch.zeros_like(x) for x in values))
    result = apply(*values)
    if len(values) == 1 and name in ELEMENTWISE:  # of which some have no second derivative
        (slope,) = torch.autograd.grad(result, values, torch.ones_like(result))
        return result.detach() - slope * values[0].detach()
    seed = torch.zeros_like(result, requires_grad=True)
    try:
        # the derivative along the values: the gradient is linear in its seed, and this is its transpose
        pulled = torch.autograd.grad(result, values, seed, create_graph=True)
        (slope,) = torch.autograd.grad(pulled, seed, tuple(v.detach() for v in values), materialize_grads=True)
    except RuntimeError as problem:
        raise RuleError(f"FullGrad: the operation {name!r} cannot be split: {problem}") from problem
    return result.detach() - slope
