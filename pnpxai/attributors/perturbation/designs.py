"""Which coalitions run: all of them, random orders forwards and backwards, or pairs drawn by leverage scores."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pnpxai.engine.running.seeds import Draws, draws
from pnpxai.errors import ArgumentError

__all__ = [
    "MOST_PAIRS",
    "Budget",
    "Design",
    "Estimator",
    "design_of",
    "every_coalition",
    "from_orders",
    "orders",
    "pairs",
]

Estimator: TypeAlias = Literal["auto", "exact", "permutation", "leverage", "odd"]
"""How Shapley values are estimated; "auto" goes by the budget."""

_ALL_ROWS = 4096
"""All coalitions run by default while coalitions x rows are at most so many."""
_FEW_PLAYERS, _PER_PLAYER, _ENOUGH, _MOST_CALLS = 16, 8, 512, 4096
MOST_PAIRS = 1200
"""With more pairs of coalitions the regression on odd terms takes longer than most models."""
_MOST_PLAYERS = 20
_LISTED = 20_000
"""Strata of at most so many coalitions are listed, in larger ones draws hardly ever meet."""


@dataclass(frozen=True)
class Design:
    """Coalitions and how they were chosen.

    Attributes:
        method: "exact" (all, in the order of their numbers: bit g says whether player g is present), "permutation"
            (orders; every second one is the one before it, backwards), or "pairs" (each coalition is followed by its
            complement).
        present: (coalitions, players) who is present. But for "exact", the first is empty and the second full.
        weights: (pairs,) the share of the Shapley kernel that each pair stands for.
        strata: (pairs,) the size of the smaller coalition of each pair.
        sampled: (pairs,) the share of its stratum that was drawn.
        orders: (orders, players) who joins first, second, ...
        shrinks: whether the values of one order and its reverse are shrunk, as where nobody asked for orders.
    """

    method: Literal["exact", "permutation", "pairs"]
    present: Tensor
    weights: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.float64))
    strata: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.long))
    sampled: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.float64))
    orders: Tensor = field(default_factory=lambda: torch.ones(0, 0, dtype=torch.long))
    shrinks: bool = False

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.present.shape[1]

    @property
    def empty(self) -> int:
        """Number of the coalition of nobody."""
        return 0

    @property
    def full(self) -> int:
        """Number of the coalition of all players."""
        return len(self.present) - 1 if self.method == "exact" else 1


@dataclass(frozen=True)
class Budget:
    """How many coalitions may run.

    Attributes:
        n_samples: number of coalitions, the empty and the full one included; "auto" takes all of them while coalitions
            x rows are at most 4,096, else 16 for each player up to 512 in all, or eight for each player, at most 4,096
            but at least two for each player.
        estimator: how the values are estimated.
        n_rows: number of rows that each coalition is averaged over.
        n_orders: number of orders, which then say how many coalitions run.
    """

    n_samples: int | Literal["auto"] = "auto"
    estimator: Estimator = "auto"
    n_rows: int = 1
    n_orders: int | None = None

    def method(self, size: int) -> Estimator:
        """Return how the values of a game of so many players are estimated."""
        calls = self.calls(size)
        if self.estimator == "exact" and size > _MOST_PLAYERS:
            raise ArgumentError(
                f"feature_mask: expected at most {_MOST_PLAYERS} groups, as all 2**groups coalitions run, got {size}; "
                "make fewer groups, or take estimator='auto'"
            )
        if self.estimator == "exact" or size < 2 or (size < 62 and 2**size <= calls):
            return "exact"
        if self.estimator != "auto":
            return self.estimator
        if 2 * size + 2 <= calls <= 2 * MOST_PAIRS + 2:
            return "odd"
        return "permutation" if 2 * size <= calls < 2 * size + 2 else "leverage"

    def calls(self, size: int) -> int:
        """Return how many coalitions may run in a game of so many players."""
        if self.n_orders is not None:
            return 2 + self.n_orders * (size - 1)
        if self.n_samples != "auto":
            return self.n_samples
        if size <= _MOST_PLAYERS and 2**size * self.n_rows <= _ALL_ROWS:
            return 2**size
        wanted = max(min(_FEW_PLAYERS * size, _ENOUGH), _PER_PLAYER * size)
        return max(2 * size, min(wanted, _MOST_CALLS))


def design_of(budget: Budget, size: int, seed: int) -> tuple[Design, Estimator]:
    """Return the coalitions that run in a game of so many players, and how values are estimated from their scores."""
    method, calls = budget.method(size), budget.calls(size)
    if method == "exact":
        return Design("exact", every_coalition(size)), method
    if method == "permutation":
        count = budget.n_orders or 2 * max(1, (calls - 2) // (2 * (size - 1)))
        shrinks = budget.estimator == "auto" and count == 2
        return replace(from_orders(orders(size, count, seed)), shrinks=shrinks), method
    return pairs(size, (calls - 2) // 2, seed, alone_first=method == "odd"), method


def every_coalition(size: int) -> Tensor:
    """Return (2**size, size) all coalitions: bit g of a row's number says whether group g is present."""
    return (torch.arange(2**size)[:, None] >> torch.arange(size)) & 1 == 1


def orders(size: int, count: int, seed: int) -> Tensor:
    """Return (count, size) random orders; every second one is the one before it, backwards.

    The first orders do not depend on how many follow.
    """
    forward = draws(seed, "orders", size).at(range((count + 1) // 2)).permutation(size)
    return torch.stack([forward, forward.flip(1)], 1).flatten(0, 1)[:count]


def from_orders(order: Tensor) -> Design:
    """Return the coalitions of those that have joined, order by order, without the empty and the full one."""
    count, size = order.shape
    ranks = order.argsort(1)
    joined = ranks[:, None] < torch.arange(1, size)[None, :, None]
    ends = torch.tensor([[False], [True]]).expand(2, size)
    return Design("permutation", torch.cat([ends, joined.reshape(count * (size - 1), size)]), orders=order)


def pairs(size: int, count: int, seed: int, *, alone_first: bool = False) -> Design:
    r"""Return coalitions drawn by leverage scores, without replacement, each with its complement.

    In the regression that defines Shapley values, the leverage score of a coalition of s of n players is 1 / C(n, s):
    every size counts the same, and within a size every coalition. So each size gets an equal share of the pairs (all
    that it has, where these are fewer), and its pairs weigh what the Shapley kernel gives the whole size. Musco and
    Witter, 2025 (arXiv:2410.01917).

    Args:
        size: number of players.
        count: number of pairs.
        seed: fixes what is drawn.
        alone_first: every player alone (and all others without it) comes first, where there are enough pairs.
    """
    source = draws(seed, "pairs", size, count)
    rows, weights, strata, sampled = [torch.zeros(0, size, dtype=torch.bool)], [], [], []
    for members, drawn in _shares(size, count, source, alone_first).items():
        if not drawn:
            continue
        population = _population(size, members)
        rows.append(_subsets(size, members, drawn, source.at(members)))
        # (n - 1) / (C(n, s) s (n - s)), times the pairs of that size over those drawn; both ends of a pair count
        kernel = (size - 1) / (math.comb(size, members) * members * (size - members))
        weights += [2 * kernel * population / drawn] * drawn
        strata += [members] * drawn
        sampled += [drawn / population] * drawn
    first = torch.cat(rows)
    inner = torch.stack([first, ~first], 1).flatten(0, 1)
    ends = torch.tensor([[False], [True]]).expand(2, size)
    double = torch.float64
    return Design(
        "pairs",
        torch.cat([ends, inner]),
        weights=torch.tensor(weights, dtype=double),
        strata=torch.tensor(strata, dtype=torch.long),
        sampled=torch.tensor(sampled, dtype=double),
    )


def _population(size: int, members: int) -> int:
    """Return the number of pairs of a coalition of so many members and its complement."""
    return math.comb(size, members) // (2 if 2 * members == size else 1)


def _shares(size: int, count: int, source: Draws, alone_first: bool) -> dict[int, int]:
    """Return how many pairs of each smaller size are drawn: equal shares, and all of a size that has fewer."""
    wanted = {members: 0.5 if 2 * members == size else 1.0 for members in range(1, size // 2 + 1)}
    counts: dict[int, int] = {}
    left = count
    if alone_first and size > 2 and count >= size:
        counts[1] = size
        left -= size
        del wanted[1]
    while wanted:
        unit = left / sum(wanted.values())
        complete = [members for members, share in wanted.items() if _population(size, members) <= unit * share]
        if not complete:
            break
        for members in complete:
            counts[members] = _population(size, members)
            left -= counts[members]
            del wanted[members]
    if wanted:
        unit = left / sum(wanted.values())
        counts |= {members: int(unit * share) for members, share in wanted.items()}
        remainders = torch.tensor([unit * share % 1 for share in wanted.values()], dtype=torch.float64)
        rest = min(count - sum(counts.values()), len(wanted))
        if rest > 0:
            sizes = list(wanted)
            waits = -(-source.uniform((len(sizes),)).double()).log1p() / (remainders + 1e-9)
            for k in waits.argsort()[:rest].tolist():  # drawn without replacement, in proportion to the remainders
                counts[sizes[k]] += 1
    return dict(sorted(counts.items()))


def _subsets(size: int, members: int, count: int, source: Draws) -> Tensor:
    """Return (count, size) different coalitions of so many members, none the complement of another."""
    halves = 2 * members == size
    if _population(size, members) <= _LISTED:
        combinations = itertools.combinations(range(size), members)
        listed = torch.tensor([c for c in combinations if not halves or c[0] == 0])
        chosen = listed if count == len(listed) else listed[source.permutation(len(listed))[:count]]
        return torch.zeros(count, size, dtype=torch.bool).scatter_(1, chosen, True)
    rows, more = torch.zeros(0, size, dtype=torch.bool), 0
    while len(rows) < count:
        drawn = source.at(range(more, more + count - len(rows))).permutation(size) < members
        more += count - len(rows)
        if halves:  # the one of a pair that the first player is in
            drawn = torch.where(drawn[:, :1], drawn, ~drawn)
        rows = torch.cat([rows, drawn]).unique(dim=0)
    return rows
