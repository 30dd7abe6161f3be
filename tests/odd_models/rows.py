"""Models whose rows depend on each other, that take one batch size, or that draw or keep numbers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.odd_models.judging import Does, Given, Situation

__all__ = ["SITUATIONS"]

D = torch.float64
EDGES = torch.tensor([[0, 1, 2, 3, 4, 0, 2, 4, 1], [1, 2, 3, 4, 0, 3, 0, 2, 4]])


def linear(given: int, wanted: int) -> nn.Linear:
    return nn.Linear(given, wanted).double()


def on_rows(does: Any, *extra: Any, rows: int = 5, **parts: Any) -> Given:
    """Return a model of rows of three numbers with layers ``a`` and ``b``."""
    model = Does(does, a=linear(3, 4), b=linear(4, 2), **parts)
    return Given(model.eval(), torch.randn(rows, 3, dtype=D), extra)


def gathered(values: Tensor, edges: Tensor) -> Tensor:
    return torch.zeros(5, values.shape[1], dtype=values.dtype).index_add(0, edges[1], values)


def attention_by_edges(m: Any, x: Tensor, edges: Tensor) -> Tensor:
    h = m.a(x)
    scores = F.leaky_relu(m.s(torch.cat([h[edges[0]], h[edges[1]]], 1)))[:, 0]
    largest = torch.full((5,), -1e9, dtype=D).scatter_reduce(0, edges[1], scores, "amax")
    weights = (scores - largest[edges[1]]).exp()
    total = torch.zeros(5, dtype=D).index_add(0, edges[1], weights)
    return m.b(gathered((weights / total[edges[1]])[:, None] * h[edges[0]], edges))


def mean_of_neighbours(m: Any, x: Tensor, edges: Tensor) -> Tensor:
    h = m.a(x)
    return m.b(
        torch.zeros_like(h).scatter_reduce(0, edges[1][:, None].expand(-1, 4), h[edges[0]], "mean", include_self=False)
    )


def isomorphism(m: Any, x: Tensor, edges: Tensor) -> Tensor:
    h = m.a(x)
    return m.b(F.relu(m.c(1.3 * h + gathered(h[edges[0]], edges))))


def kept(m: Any, x: Tensor) -> Tensor:
    h = m.a(x) + 0.5 * m.state
    m.state = h.detach().mean(0)
    return m.b(h.tanh())


def counted(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    m.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
    return m.b(m.a(x).tanh())


def rounded_by_largest(m: Any, x: Tensor) -> Tensor:
    step = x.abs().max().detach().clamp_min(1e-9) / 127
    return m.b(m.a(x + ((x / step).round() * step - x).detach()).tanh())


def sparse() -> Tensor:
    return torch.sparse_coo_tensor(EDGES.flip(0), torch.ones(9, dtype=D), (5, 5)).coalesce()


def neighbours_compared(m: Any, x: Tensor) -> Tensor:
    pairs = m.a(x).reshape(-1, 2, 4)
    return m.b((pairs - pairs.flip(1).square()).reshape(-1, 4).tanh())


def attended(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    return m.b(m.t(h, h, h, need_weights=False)[0])


def chunks_centred(m: Any, x: Tensor) -> Tensor:
    return torch.cat([m.b((h - h.mean(0)).exp()) for h in m.a(x).split(2)])


def largest_counts_more(m: Any, x: Tensor) -> Tensor:
    first = x[:, :1].detach()
    return m.b((m.a(x) * (1 + (first == first.max()))).tanh())


def best_half(m: Any, x: Tensor) -> Tensor:
    h, gates = m.a(x), m.b(m.a(x)).softmax(1)
    total = torch.zeros_like(h)
    for k in range(2):  # each expert takes the half of the batch that wants it most
        taken = gates[:, k].topk(max(1, len(x) // 2)).indices
        total = total.index_add(0, taken, gates[taken, k : k + 1] * m.e[k](x[taken]).tanh())
    return m.b(total)


_UNSEEN = "no rule for"
S = Situation
SITUATIONS = [
    S("nodes attend along edges", lambda: on_rows(attention_by_edges, EDGES, s=linear(8, 1))),
    S("nodes add up neighbours (GIN)", lambda: on_rows(isomorphism, EDGES, c=linear(4, 4))),
    S("nodes take the mean of neighbours", lambda: on_rows(mean_of_neighbours, EDGES)),
    S(
        "edges have features",
        lambda: on_rows(
            lambda m, x, e, f: m.b(gathered(torch.tanh(m.a(x)[e[0]] + m.e(f)), e)),
            EDGES,
            torch.randn(9, 2, dtype=D),
            e=linear(2, 4),
        ),
    ),
    S(
        "a dense adjacency, divided by degrees",
        lambda: on_rows(
            lambda m, x, w: m.b(torch.tanh(w / w.sum(1, keepdim=True) @ m.a(x))),
            (torch.rand(5, 5) > 0.5).double() + torch.eye(5, dtype=D),
        ),
    ),
    S("a sparse adjacency", lambda: on_rows(lambda m, x, w: m.b(torch.tanh(torch.sparse.mm(w, m.a(x)))), sparse())),
    S(
        "a sparse adjacency in the model",
        lambda: on_rows(lambda m, x: m.b(torch.tanh(m.edges @ m.a(x))), edges=sparse().to_sparse_csr()),
    ),
    S(
        "one row of outputs for a graph",
        lambda: on_rows(lambda m, x, e: m.b(gathered(m.a(x)[e[0]], e).tanh()).mean(0, keepdim=True), EDGES),
    ),
    S(
        "several graphs in a batch, all of them explained",
        lambda: on_rows(
            lambda m, x, e, graph: m.b(
                torch.zeros(2, 4, dtype=D).index_add(0, graph, gathered(m.a(x)[e[0]], e).tanh())
            ),
            EDGES,
            torch.tensor([0, 0, 0, 1, 1]),
        ),
        target=lambda output: output[:, 1].sum().reshape(1),
    ),
    S(
        "several graphs in a batch, one row of outputs each",
        lambda: on_rows(
            lambda m, x, graph: m.b(torch.zeros(2, 4, dtype=D).index_add(0, graph, m.a(x).tanh())),
            torch.tensor([0, 0, 0, 1, 1]),
        ),
        refusal="expected 5 rows of output for 5 rows of input, got 2; .* of several graphs in one batch, explain",
    ),
    S(
        "normalised by the batch",
        lambda: on_rows(lambda m, x: m.b(m.n(m.a(x)).tanh()), n=nn.BatchNorm1d(4, track_running_stats=False).double()),
        refusal=f"{_UNSEEN} .*batch.norm",
    ),
    S("standardised by the batch", lambda: on_rows(lambda m, x: m.b(m.a((x - x.mean(0)) / (x.std(0) + 0.1)).tanh()))),
    S("scaled by the largest of the batch", lambda: on_rows(lambda m, x: m.b(m.a(x / (1 + x.abs().max())).tanh()))),
    S("shifted by the smallest of the batch", lambda: on_rows(lambda m, x: m.b(m.a(x - x.min()).tanh()))),
    S("rounded in steps of the batch's largest", lambda: on_rows(rounded_by_largest)),
    S("gated by the mean of the batch", lambda: on_rows(lambda m, x: m.b(m.a(x).tanh() * m.a(x).mean().sigmoid()))),
    S(
        "experts that choose their share of the batch",
        lambda: on_rows(best_half, e=nn.ModuleList(linear(3, 4) for _ in range(2)), rows=4),
        refusal="'getitem' follows a mask, index or condition",
    ),
    S("softmax over the rows", lambda: on_rows(lambda m, x: m.b(m.a(x).softmax(0)))),
    S("rows attend to rows", lambda: on_rows(attended, t=nn.MultiheadAttention(4, 2).double())),
    S("similarity of rows", lambda: on_rows(lambda m, x: F.normalize(m.a(x)) @ F.normalize(m.a(x)).T)),
    S("rows sorted by column", lambda: on_rows(lambda m, x: m.b(m.a(x).sort(0).values))),
    S("rows cumulated", lambda: on_rows(lambda m, x: m.b(m.a(x).cumsum(0).tanh()))),
    S("rows are steps of a recurrence", lambda: on_rows(lambda m, x: m.b(m.r(x)[0]), r=nn.GRU(3, 4).double())),
    S(
        "rows are steps of a convolution",
        lambda: on_rows(lambda m, x: m.b(m.c(x.T[None])[0].T.relu()), c=nn.Conv1d(3, 4, 3, padding=1).double()),
    ),
    S("neighbouring rows compared", lambda: on_rows(neighbours_compared, rows=4)),
    S(
        "halves of the batch compared",
        lambda: on_rows(lambda m, x: m.b((m.a(x) - m.a(x).roll(len(x) // 2, 0).square()).tanh()), rows=4),
    ),
    S("every chunk of rows is centred", lambda: on_rows(chunks_centred)),
    S("the largest row counts more", lambda: on_rows(largest_counts_more)),
    S(
        "every other row is another",
        lambda: on_rows(lambda m, x: m.b(m.a(x).tanh()) * (1 + torch.arange(len(x)) % 2)[:, None]),
    ),
    S("a batch size in a view", lambda: on_rows(lambda m, x: m.b(m.a(x.view(5, 3)).tanh()))),
    S(
        "a mask for one batch size",
        lambda: on_rows(lambda m, x: m.b((m.a(x) * m.mask).tanh()), mask=torch.rand(5, 1, dtype=D)),
    ),
    S(
        "a first state for one batch size",
        lambda: on_rows(
            lambda m, x: m.b(m.r(x[:, None], torch.full((1, 5, 4), 0.1, dtype=D))[0][:, -1]),
            r=nn.GRU(3, 4, batch_first=True).double(),
        ),
    ),
    S(
        "another branch for another batch size",
        lambda: on_rows(lambda m, x: m.b(m.a(x).tanh() if len(x) == 5 else m.a(x).relu())),
    ),
    S(
        "the number of the row counts",
        lambda: on_rows(lambda m, x: m.b((m.a(x) + torch.arange(len(x))[:, None]).tanh())),
    ),
    S("dropout that is never closed", lambda: on_rows(lambda m, x: m.b(F.dropout(m.a(x).tanh(), 0.5)))),
    S("noise of its own", lambda: on_rows(lambda m, x: m.b(m.a(x + 0.1 * torch.randn_like(x)).tanh()))),
    S("buffers that are updated", lambda: on_rows(counted, calls=torch.tensor(0), mean=torch.zeros(3, dtype=D))),
]
"""What happens to the rows of a batch."""
