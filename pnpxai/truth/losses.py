"""Losses of random subsets at several scales, sizes and fillings: one paired design that all candidates share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pnpxai.statistics import pearson
from pnpxai.truth.problem import Problem

__all__ = ["FILLS", "SHARES", "Design", "Redundancy", "redundancy"]

FILLS = ("zeros", "marginal")
SHARES = (0.1, 0.3, 0.6)
_SCALES = {"image": (1, 2, 4), "series": (1, 4, 8), "table": (1,), "text": (1,)}


@dataclass(frozen=True)
class Design:
    """What the score loses without random subsets of blocks, for each scale, filling and share.

    Attributes:
        gone: (scale, filling, share) -> (subsets, *positions) truth values.
        losses: (scale, filling, share) -> (examples, subsets) losses of the target's margin.
    """

    gone: dict[tuple[int, str, float], Tensor]
    losses: dict[tuple[int, str, float], Tensor]

    @classmethod
    def of(cls, problem: Problem, n_subsets: int = 24, seed: int = 0) -> Design:
        """Draw the subsets, the same for all examples, and run the model on what they leave."""
        shape, g = problem.examples.truth.shape[1:], torch.Generator().manual_seed(seed)
        gone, losses = {}, {}
        for scale in _SCALES[problem.family.kind]:
            blocks = _blocks(shape, scale, problem.family.kind)
            count = int(blocks.max()) + 1
            for share in SHARES:
                chosen = torch.rand(n_subsets, count, generator=g).argsort(1) < max(1, round(share * count))
                for fill in FILLS:
                    key = (scale, fill, share)
                    gone[key] = chosen[:, blocks]
                    losses[key] = _losses(problem, gone[key], fill, g)
        return cls(gone, losses)

    def correlations(self, maps: Tensor) -> dict[tuple[int, str, float], float]:
        """Return for each part the mean correlation over examples of a map's sums with the losses."""
        flat, values = maps.flatten(1), {}
        for key, table in self.gone.items():
            sums = flat @ table.flatten(1).to(flat).T
            each, defined = pearson(sums, self.losses[key].to(sums))
            values[key] = float(torch.where(torch.tensor(defined), each, 0.0).mean())
        return values


@dataclass(frozen=True)
class Redundancy:
    """How much more halves lose than the sum of their parts.

    Attributes:
        singles: mean over examples of the sum of the losses of single blocks.
        halves: mean over examples of twice the loss of a random half.
    """

    singles: float
    halves: float

    @property
    def index(self) -> float:
        """1 - singles / halves: 0 where losses add up, near 1 where no single block is missed."""
        return 1 - self.singles / self.halves if self.halves > 1e-9 else 0.0


def redundancy(problem: Problem, seed: int = 0) -> Redundancy:
    """Return what single blocks and random halves lose, filled in from other rows."""
    kind, g = problem.family.kind, torch.Generator().manual_seed(seed)
    blocks = _blocks(problem.examples.truth.shape[1:], _SCALES[kind][-1], kind)
    count = int(blocks.max()) + 1
    singles = _losses(problem, torch.eye(count, dtype=torch.bool)[:, blocks], "marginal", g)
    half = torch.rand(24, count, generator=g).argsort(1) < count // 2
    halves = _losses(problem, half[:, blocks], "marginal", g)
    return Redundancy(float(singles.sum(1).mean()), float(2 * halves.mean()))


def _blocks(shape: torch.Size, scale: int, kind: str) -> Tensor:
    """Return (*positions) the number of each position's block; blocks of series do not span sensors."""
    ids = torch.zeros((), dtype=torch.long)
    for axis, side in enumerate(shape):
        width = 1 if kind == "series" and axis == 0 else scale
        along = torch.arange(side) // width
        ids = ids[..., None] * int(along[-1] + 1) + along
    return ids


def _losses(problem: Problem, gone: Tensor, fill: str, g: torch.Generator) -> Tensor:
    """Return (examples, subsets) what the margin of the target over the other classes loses."""
    x, labels = problem.examples.inputs, problem.examples.labels
    mask = gone if gone.ndim == x.ndim else gone.unsqueeze(1)
    columns = []
    with torch.inference_mode():
        whole = _margin(problem.model(x), labels)
        for part in mask:
            rows = torch.randint(len(problem.background), (len(x),), generator=g)
            other = problem.background[rows] if fill == "marginal" else torch.zeros_like(x)
            columns.append(whole - _margin(problem.model(torch.where(part, other, x)), labels))
    return torch.stack(columns, 1)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    own = functional.one_hot(labels, logits.shape[1]).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).logsumexp(1)
