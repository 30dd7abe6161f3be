"""Graphs with a planted motif, given by their edges, and a net that passes messages along them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pnpxai.truth.draws import generator
from pnpxai.truth.problem import Drawn

__all__ = ["GraphNet", "motifs"]

NODES = 14
_PAIRS = torch.triu_indices(NODES, NODES, 1).unbind()
_MOTIFS = (
    tuple((0, k) for k in range(1, 6)),
    ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0)),
)
"""Edges of a star and of a ring, five each."""


def motifs(copies: int = 1) -> Callable[[int, int, int], Drawn]:
    """Return a draw of random graphs with so many stars or so many rings, which is the class.

    A graph is (pairs of nodes,) zeros and ones; the evidence is the motif's edges.
    """
    number = torch.zeros(NODES, NODES, dtype=torch.long)
    number[_PAIRS[0], _PAIRS[1]] = torch.arange(len(_PAIRS[0]))
    number = number + number.T

    def draw(count: int, problem: int, seed: int) -> Drawn:
        g = generator(problem, seed, 15)
        empty, other = (torch.rand(count, len(_PAIRS[0]), generator=g) < 0.06 for _ in "ab")
        labels = torch.randint(2, (count,), generator=g)
        truth = torch.zeros_like(empty)
        for k, label in enumerate(labels.tolist()):
            nodes = torch.randperm(NODES, generator=g)
            for part in range(copies):
                own = nodes[6 * part : 6 * part + 6]
                inside = number[own[:, None], own][~torch.eye(6, dtype=torch.bool)]
                empty[k, inside] = other[k, inside] = False
                truth[k, [int(number[own[a], own[b]]) for a, b in _MOTIFS[label]]] = True
        return Drawn((empty | truth).float(), labels, truth, empty.float(), (other | truth).float())

    return draw


class GraphNet(nn.Module):
    """Three rounds of messages along edges, from the number of each node's neighbours on; then sum and maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(width, 24) for width in (1, 24, 24))
        self.others = nn.ModuleList(nn.Linear(width, 24, bias=False) for width in (1, 24, 24))
        self.head = nn.Sequential(nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 2))

    def forward(self, edges: Tensor) -> Tensor:
        """Return (graphs, 2) of edges (graphs, pairs of nodes)."""
        half = edges.new_zeros(len(edges), NODES, NODES)
        half[:, _PAIRS[0], _PAIRS[1]] = edges
        joined = half + half.transpose(1, 2)
        states = joined.sum(2, keepdim=True)
        for own, others in zip(self.own, self.others, strict=True):
            states = torch.relu(own(states) + joined @ others(states))
        return self.head(torch.cat([states.sum(1), states.amax(1)], 1))
