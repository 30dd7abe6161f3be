r"""Draws random numbers by counting: number c of draw k is a function of a seed, an example's key, k and c alone.

Nothing is drawn in a row, so that no number depends on which others are drawn, or with whom. The function is the
finalizer of SplitMix64 (Steele et al., 2014), m: key e, draw k and number c give
:math:`m(m(key_e + m(k g)) + m(c h))` in 64 bits, with two odd constants g and h.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.keys import content_key, example_keys
from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors

__all__ = ["Draws", "Hidden", "RandomStream", "at_seen", "draws", "in_single", "seed_of"]

Hidden: TypeAlias = tuple[Tensor | None, ...]
"""For each tensor, (examples, positions) true at positions that do not count, such as padding; None without any."""

_OF_DRAWS, _OF_NUMBERS = -0x61C8864680B583EB, -0x3C5D4C1F8E9A1B2D  # 64 bits, odd, as signed numbers


def seed_of(*path: object) -> int:
    """Return the seed, a whole number of 63 bits, that a path such as ``(seed, "trial", k)`` fixes."""
    return int.from_bytes(hashlib.blake2b(repr(path).encode(), digest_size=8).digest(), "little") >> 1


def draws(*path: object) -> Draws:
    """Return the draws that a path such as ``(seed, "orders")`` fixes, of no example."""
    return Draws(torch.tensor(seed_of(*path)))


@dataclass(frozen=True)
class Draws:
    """Draws of random numbers: one for each key.

    Every method returns (*keys, ...) numbers, which are alike on all devices. Real numbers are computed in float64 and
    rounded to float32, so that every dtype sees the same ones.

    Attributes:
        keys: whole numbers (int64), of any shape.
    """

    keys: Tensor

    def __getitem__(self, part: slice | Tensor) -> Draws:
        """Return the draws of some of the keys."""
        return Draws(self.keys[part])

    def at(self, steps: int | Sequence[int] | Tensor) -> Draws:
        """Return (steps, *keys) draws: draw k of each key for each k of the steps; (*keys) draws of a single step."""
        moved = _mixed(torch.as_tensor(steps, dtype=torch.int64) * _OF_DRAWS)
        return Draws(_mixed(self.keys + moved.reshape((*moved.shape, *[1] * self.keys.ndim))))

    def bits(self, count: int, device: torch.device | None = None) -> Tensor:
        """Return ``count`` signed whole numbers of 64 random bits for each key; the first ones go before any more."""
        keys = self.keys if device is None else self.keys.to(device)
        return _mixed(keys[..., None] + _counters(count, keys.device))

    def uniform(self, shape: Sequence[int] = (), like: Tensor | None = None) -> Tensor:
        """Return numbers from [0, 1), on the device and, if it is a floating one, in the dtype of ``like``."""
        bits = self.bits(torch.Size(shape).numel(), None if like is None else like.device)
        return self._formed((bits >> 40).bitwise_and_(2**24 - 1).float().mul_(2.0**-24), shape, like)

    def normal(self, shape: Sequence[int] = (), like: Tensor | None = None) -> Tensor:
        """Return standard normal numbers, in the form of ``uniform``."""
        bits = self.bits(torch.Size(shape).numel(), None if like is None else like.device)
        inside = (bits >> 11).double().add_(0.5).mul_(2.0**-52)  # -1 < inside < 1
        return self._formed(inside.erfinv_().mul_(2**0.5).float(), shape, like)

    def below(self, limit: int, shape: Sequence[int] = ()) -> Tensor:
        """Return whole numbers from 0 to ``limit`` - 1, where ``limit`` is at most 2**53."""
        bits = (self.bits(torch.Size(shape).numel()) >> 11).bitwise_and_(2**53 - 1)
        return self._formed((bits.double() * 2.0**-53 * limit).long().clamp_(max=limit - 1), shape)

    def permutation(self, size: int) -> Tensor:
        """Return the numbers from 0 to ``size`` - 1 in random order."""
        return self.bits(size).argsort(stable=True)

    def _formed(self, numbers: Tensor, shape: Sequence[int], like: Tensor | None = None) -> Tensor:
        if like is not None and like.is_floating_point():
            numbers = numbers.to(like.dtype)
        return numbers.reshape((*self.keys.shape, *shape))


@dataclass(frozen=True)
class RandomStream:
    """Gives every example of a batch draws of its own, by its id or else its content.

    So an example explained alone equals the same example in a batch, and different examples' draws are independent.

    Attributes:
        seed: fixes the draws.
        ids: a name for each example, by which its draws go.
        originals: rows that the examples are disturbed copies of. Where draws go by an example's content, as there are
            no ids, they go by the content of its original: a copy is explained with the draws of its original.
    """

    seed: int = 0
    ids: tuple[str, ...] | None = None
    originals: Tensors | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, seed: int | RandomStream) -> RandomStream:
        """Return ``seed`` as a stream.

        Raises:
            ArgumentError: it is not a whole number.
        """
        if isinstance(seed, RandomStream):
            return seed
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise ArgumentError(f"seed: expected a whole number, got {seed!r} ({type(seed).__name__})")
        return cls(int(seed))

    def take(self, rows: Sequence[int]) -> RandomStream:
        """Return the stream of some of the examples."""
        if self.ids is None and self.originals is None:
            return self
        ids = None if self.ids is None else tuple(self.ids[row] for row in rows)
        originals = None if self.originals is None else tuple(x[list(rows)] for x in self.originals)
        return RandomStream(self.seed, ids, originals)

    def of_copies(self, originals: Tensors) -> RandomStream:
        """Return the stream of disturbed copies of some examples, with the draws of those examples."""
        return replace(self, originals=originals)

    def of_examples(self, tensors: Tensors, hidden: Hidden = ()) -> RandomStream:
        """Return the stream with ids: the content of these tensors (of their originals) where there are none.

        Content is compared in single precision: the same example in float64 has the same draws. What is hidden is no
        content: an example has the same draws however far it is padded.
        """
        if self.ids is not None:
            return self
        tensors = tensors if self.originals is None else self.originals
        single = in_single(tensors)
        if all(h is None for h in hidden) or any(
            h is not None and h.shape != x.shape[:2] for x, h in zip(single, hidden, strict=False)
        ):
            return RandomStream(self.seed, example_keys(single))
        seen = [None if h is None else ~h for h in hidden]
        members = list(zip(single, seen, strict=True))
        keys = (content_key(*(x[k] if s is None else x[k][s[k]] for x, s in members)) for k in range(len(single[0])))
        return RandomStream(self.seed, tuple(keys))

    def fork(self, name: str) -> RandomStream:
        """Return a stream whose draws are independent of this one's."""
        return replace(self, seed=seed_of(self.seed, name))

    def draws(self, *path: object) -> Draws:
        """Return (examples,) the draws of each example; the stream must have ids."""
        return Draws(_mixed(self._numbers + seed_of(self.seed, *path)))

    @cached_property
    def _numbers(self) -> Tensor:
        assert self.ids is not None  # noqa: S101
        return torch.tensor([seed_of(name) for name in self.ids])


def in_single(tensors: Tensors) -> Tensors:
    """Return the tensors with floating numbers in single precision, by whose content draws go."""
    return tuple(x.detach().float() if x.is_floating_point() else x for x in tensors)


def at_seen(numbers: Tensor, hidden: Tensor | None, axis: int = 1) -> Tensor:
    """Return numbers of which each example's first ones stand at the positions that are seen, and zeros elsewhere.

    So what an example is given does not depend on how far, and on which side, it is padded.

    Args:
        numbers: (..., examples, positions, ...), as drawn for all positions.
        hidden: (examples, positions), or None where all are seen.
        axis: the axis of positions, right after that of examples.
    """
    if hidden is None:
        return numbers
    out = hidden.to(numbers.device)
    shape = (*out.shape, *[1] * (numbers.ndim - axis - 1))
    place = ((~out).long().cumsum(1) - 1).clamp_min(0).reshape(shape).expand(numbers.shape)
    return numbers.gather(axis, place).masked_fill(out.reshape(shape), 0)


def _mixed(numbers: Tensor) -> Tensor:
    """Return the numbers after SplitMix64's finalizer (variant 13 of Stafford)."""
    x = numbers ^ (numbers >> 30).bitwise_and_((1 << 34) - 1)
    x *= -0x40A7B892E31B1A47
    x ^= (x >> 27).bitwise_and_((1 << 37) - 1)
    x *= -0x6B2FB644ECCEEE15
    x ^= (x >> 31).bitwise_and_((1 << 33) - 1)
    return x


@lru_cache(maxsize=4)
def _counters(count: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return _mixed(torch.arange(count, device=device) * _OF_NUMBERS)
