"""Draws random numbers that depend on a seed, the draw's number and the example, never on the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.tensors import Tensors

__all__ = ["RandomStream", "generator"]


def generator(*path: object) -> torch.Generator:
    """Return a CPU generator that is seeded by a path such as ``(seed, "noise", k)``."""
    digest = hashlib.blake2b(repr(path).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class RandomStream:
    """Draws random numbers for the examples of a batch.

    Draw ``k`` comes from a generator of its own, seeded by ``(seed, k)``, and is shared by all examples of a batch;
    with ``ids``, every example has draws of its own, seeded by its id too. So an example explained alone equals the
    same example in a batch, and the first n draws do not depend on how many follow.

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

    def fork(self, name: str) -> RandomStream:
        """Return a stream whose draws are independent of this one's."""
        return replace(self, seed=generator(self.seed, name).initial_seed())

    def normal(self, like: Tensor, *path: object) -> Tensor:
        """Draw standard normal numbers for each example of ``like``: in its shape, or (1, ...) if all share them."""
        return self._draw(like, path, torch.randn)

    def uniform(self, like: Tensor, *path: object) -> Tensor:
        """Draw numbers from [0, 1) as ``normal`` does."""
        return self._draw(like, path, torch.rand)

    def generators(self, *path: object) -> list[torch.Generator]:
        """Return the generator of each example, or the one that all share."""
        owners = [()] if self.ids is None else [(name,) for name in self.ids]
        return [generator(self.seed, *path, *owner) for owner in owners]

    def _draw(self, like: Tensor, path: tuple[object, ...], sample: object) -> Tensor:
        # drawn in float32 on the CPU, so that every dtype and device sees the same numbers
        rows = [sample(like.shape[1:], generator=g) for g in self.generators(*path)]  # type: ignore[operator]
        return torch.stack(rows).to(like.device, like.dtype if like.is_floating_point() else torch.float32)
