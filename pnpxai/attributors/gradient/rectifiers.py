"""Finds the ReLUs of a model by what its operations compute, however they are written.

``max(x, 0)`` has many spellings: ``x.clamp(min=0)``, ``x * (x > 0)``, ``torch.where(x > 0, x, 0)``, ``x[x < 0] = 0``,
``(x + x.abs()) / 2``, ``x - x.clamp(max=0)``. So what is computed of a value is followed for a few operations
(``_DEPTH``), and where the signs of numbers count, it is computed of test values: f(u) = c u and f(-u) = 0 for all
u > 0 make f a ReLU times c. A value that is computed twice by the same operations is one value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import Node

from pnpxai.engine.seeing.operation_kinds import ELEMENTWISE, ROUTES
from pnpxai.engine.seeing.operations import Operation, carries, in_place, operation_name, out_of_place, with_operands
from pnpxai.engine.seeing.torch_private import count_edits
from pnpxai.model_types import Keywords, ModelOutput, Positional
from pnpxai.tensors import flat

__all__ = ["Rectifiers"]

_KINKED = frozenset(
    "abs absolute sign sgn signbit copysign heaviside hypot norm vector_norm linalg_vector_norm sqrt pow float_power "
    "clamp clamp_min clamp_max clip threshold hardtanh leaky_relu prelu rrelu elu celu maximum minimum fmax fmin max "
    "min amax amin gt ge lt le greater greater_equal less less_equal nan_to_num".split()
)
"""Operations after which a value may depend on the sign of another."""
_FOLLOWED = (
    ELEMENTWISE
    | ROUTES
    | _KINKED
    | frozenset(
        "add sub subtract rsub neg negative mul multiply div divide true_divide truediv lerp addcmul einsum sum "
        "logical_not logical_and logical_or bitwise_not bitwise_and invert and bool".split()
    )
)
"""Operations that a ReLU may be written with; what others give is followed anew."""
_DEPTH = 12
"""Operations in a row that are followed."""
_Function = Callable[[Tensor], ModelOutput]


@dataclass(frozen=True)
class _Origin:
    """Says how a value is computed of an earlier one, in so many operations."""

    value: Tensor
    edits: int
    function: _Function
    depth: int
    alone: bool = True  # whether no other tensor takes part

    @property
    def stands(self) -> bool:
        """Tell whether the earlier value has not been edited since."""
        return count_edits(self.value) == self.edits


@dataclass(frozen=True)
class _Followed:
    """Holds a value, so that no other tensor gets its place in memory, and what it is computed of.

    Attributes:
        value: the tensor.
        edits: of the tensor when it was noted.
        origins: earlier values, by identity.
        kinked: whether signs may have counted on the way.
        settled: whether what counted is a ReLU that has been replaced.
    """

    value: Tensor
    edits: int
    origins: dict[int, _Origin] = field(default_factory=dict)
    kinked: bool = False
    settled: bool = False


class Rectifiers:
    """Is a rule for ``Operations`` that puts another function in the place of every ReLU.

    Attributes:
        count: number of ReLUs that ran.
    """

    def __init__(self, replacement: Callable[[Tensor], Tensor]) -> None:
        """Take the function that is called with a ReLU's operand."""
        self.count = 0
        self._replacement = replacement
        self._followed: dict[int, _Followed] = {}

    def forget(self) -> None:
        """Forget the values of a pass that has ended."""
        self._followed.clear()

    def __call__(self, function: Operation, args: Positional, kwargs: Keywords) -> ModelOutput:
        """Return the operation's result, or for a ReLU the result of the replacement."""
        name = operation_name(function)
        operands, put = with_operands((args, kwargs), lambda tensor: carries(tensor) or self._of(tensor) is not None)
        if not operands or not (name in _FOLLOWED or name == "relu"):
            return function(*args, **kwargs)
        # ``x[x < 0] = 0`` writes into its operand, as operations in place do
        writes = name == "setitem" or in_place(function, kwargs) or (name == "relu" and args[1:2] == (True,))
        plain, given = {"relu": torch.relu, "setitem": _set}.get(name, function), {}
        if writes and plain is function:
            plain, _, given = out_of_place(function, args, kwargs)

        def run(*others: Tensor) -> ModelOutput:
            new_args, new_kwargs = put(*others)
            return torch.relu(others[0]) if name == "relu" else plain(*new_args, **(new_kwargs | given))

        before = [known for operand in operands if (known := self._of(operand)) is not None]
        kinked = name in _KINKED or name == "relu" or any(known.kinked for known in before)
        origins = self._common(operands, run, alone=len(flat((args, kwargs))) == len(operands), again=kinked)
        hit = None
        if torch.is_grad_enabled():
            if name == "relu" and operands[0].requires_grad:
                hit = operands[0], None
            elif kinked and not (name not in _KINKED and len(operands) == 1 and all(k.settled for k in before)):
                hit = _rectified(origins.values())
        if hit is None:
            result = function(*args, **kwargs)
        else:
            self.count += 1
            value, factor = hit
            rectified = self._replacement(value.clone() if writes else value)
            rectified = rectified if factor is None or (factor == 1).all() else rectified * factor
            result = args[0].copy_(rectified) if writes else rectified
            if name in ("max", "min") and not isinstance(whole := function(*args, **kwargs), Tensor):
                result = type(whole)((rectified, whole[1]))
        self._note(args[0] if name == "setitem" else result, origins, kinked, hit is not None)
        return result

    def _of(self, tensor: Tensor) -> _Followed | None:
        """Return what is known of a value, None of one that is not followed or has been edited since."""
        known = self._followed.get(id(tensor))
        return known if known is not None and count_edits(known.value) == known.edits else None

    def _common(
        self, operands: list[Tensor], run: Callable[..., ModelOutput], *, alone: bool, again: bool
    ) -> dict[int, _Origin]:
        """Return all earlier values that the operands are computed of alone, and how the result is.

        Args:
            operands: the operands.
            run: computes the result of them.
            alone: whether no other tensor takes part.
            again: take a value that has been computed twice for one value.
        """
        first, *others = (self._ways(operand) for operand in operands)
        common: dict[int, _Origin] = {}
        for key, origin in first.items():
            ways = [origin, *(found for way in others if (found := _same_in(way, key, origin, again)) is not None)]
            depth = 1 + max(way.depth for way in ways)
            if origin.stands and len(ways) == len(operands) and depth <= _DEPTH:
                steps = [way.function for way in ways]
                whole: _Function = lambda u, steps=steps: run(*(step(u) for step in steps))  # noqa: E731
                own = alone and all(way.alone for way in ways)
                common[key] = _Origin(origin.value, origin.edits, whole, depth, own)
        return common

    def _ways(self, operand: Tensor) -> dict[int, _Origin]:
        known = self._of(operand)
        ways = {} if known is None else dict(known.origins)
        if carries(operand):
            ways[id(operand)] = _Origin(operand, count_edits(operand), lambda u: u, 0)
        return ways

    def _note(self, result: ModelOutput, origins: dict[int, _Origin], kinked: bool, settled: bool) -> None:
        members = flat(result)
        for k, member in enumerate(members):
            own = origins
            if not isinstance(result, Tensor):
                own = {
                    key: _Origin(o.value, o.edits, lambda u, o=o, k=k: flat(o.function(u))[k], o.depth, o.alone)
                    for key, o in origins.items()
                }
            self._followed[id(member)] = _Followed(member, count_edits(member), own, kinked, settled)


def _same_in(ways: dict[int, _Origin], key: int, origin: _Origin, again: bool) -> _Origin | None:
    """Return the way from the same value, or with ``again`` from one that was computed alike."""
    if key in ways or not again:
        return ways.get(key)
    alike = (way for way in ways.values() if way.stands and _computed_alike(way.value, origin.value))
    return next(alike, None)


def _computed_alike(one: Tensor, other: Tensor) -> bool:
    """Tell whether two values are equal and come of the same values by the same operations."""
    if one.shape != other.shape or one.dtype != other.dtype or not _same_graph(one.grad_fn, other.grad_fn, _DEPTH):
        return False
    return torch.equal(one, other)


def _same_graph(one: Node | None, other: Node | None, depth: int) -> bool:
    """Tell whether two nodes are of the same operations, at most ``depth`` in a row, of the same nodes."""
    if one is None or other is None or one is other:
        return one is other and one is not None
    parents = one.next_functions, other.next_functions
    if not depth or one.name() != other.name() or len(parents[0]) != len(parents[1]):
        return False
    return all(k == n and (a is b or _same_graph(a, b, depth - 1)) for (a, k), (b, n) in zip(*parents, strict=True))


def _set(target: Tensor, *rest: ModelOutput) -> Tensor:
    written = target.clone()
    written[rest[0]] = rest[1]
    return written


def _rectified(origins: Iterable[_Origin]) -> tuple[Tensor, Tensor] | None:
    """Return the value that a function of it is a ReLU of, and its factors; None if it is none."""
    for origin in origins:
        if origin.value.is_floating_point() and origin.value.requires_grad and origin.stands:
            like = origin.value
            # a few test values tell as much, with no axis less: the largest of one channel would be the channel
            sizes = [min(size, 2) for size in like.shape[:-1]] + [min(size, 8) for size in like.shape[-1:]]
            if origin.alone and 8 <= math.prod(sizes) < like.numel():
                few = _factor(origin.function, like.new_empty(sizes))
                factor = None if few is None or few.min() != few.max() else few.flatten()[0].expand(like.shape)
            else:
                factor = _factor(origin.function, like)
            if factor is not None:
                return like, factor
    return None


def _factor(function: _Function, like: Tensor) -> Tensor | None:
    """Return c if f(u) = c max(u, 0) for test values u, place by place; None otherwise."""
    places = torch.arange(like.numel(), device=like.device)
    sizes = torch.logspace(-2, 2, like.numel(), dtype=like.dtype, device=like.device)
    tests = [sizes * (1 - 2 * (places % 2)), sizes.flip(0) * (1 - places // 2 % 2 * 2)]
    factor = torch.zeros_like(like)
    for u in (sign * test.reshape(like.shape) for test in tests for sign in (1, -1)):
        try:
            with torch.no_grad():
                given = _first(function(u.clone()))
        except (RuntimeError, ValueError, IndexError, TypeError):  # what the function needs is not in these values
            return None
        if given is None or given.shape != u.shape or given.dtype != u.dtype:
            return None
        factor = torch.where((u > 0) & (factor == 0), given / u, factor)
        # a leak of 1 % is told from rounding in half precision too
        slack = torch.finfo(u.dtype).eps * torch.where(u > 0, 8 * given, u).abs()
        if not ((given - factor * u.clamp(min=0)).abs() <= slack).all():
            return None
    return factor if (factor > 0).all() else None


def _first(result: ModelOutput) -> Tensor | None:
    """Return a result, the values of a selection with its places."""
    return result if isinstance(result, Tensor) else next(iter(flat(result)), None)
