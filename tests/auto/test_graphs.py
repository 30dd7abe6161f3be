"""Graphs at the front door: in every form that people have them, nodes and edges get what they are worth."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.modalities import GraphModality

TRIANGLE = [(0, 2), (2, 4), (0, 4)]


def linked(pairs):
    edges = torch.tensor(pairs).T
    return torch.cat([edges, edges.flip(0)], 1)


def graph(size, extra, seed):
    """Nodes of which 0, 2 and 4 carry the mark and are all linked; other links lead to nodes without the mark."""
    x = 0.01 * torch.randn(size, 3, generator=torch.Generator().manual_seed(seed))
    x[[0, 2, 4], 0] += torch.tensor([1.0, 2.0, 3.0])
    return x, linked([*TRIANGLE, *extra])


SMALL, LARGE = graph(5, [(1, 2), (3, 4)], 0), graph(7, [(1, 6), (5, 6), (4, 5)], 1)


class Marked(nn.Module):
    """The score of a graph is the sum over its edges of the product of both ends' marks; weights count."""

    def __init__(self):
        super().__init__()
        self.sign = nn.Parameter(torch.tensor([1.0, -1.0]))

    def forward(self, x, edge_index, batch=None, edge_weight=None):
        a, b = edge_index
        product = x[a, 0] * x[b, 0] * (1 if edge_weight is None else edge_weight)
        whose = torch.zeros(len(x), dtype=torch.long) if batch is None else batch
        total = torch.zeros(int(whose.max()) + 1).index_add(0, whose[a], product)
        return total[:, None] * self.sign


class Unweighted(Marked):
    def forward(self, x, edge_index, batch=None):
        return super().forward(x, edge_index, batch)


class OneByOne(Marked):
    """Knows of no other graph."""

    def forward(self, x, edge_index):
        return super().forward(x, edge_index)


class Dense(Marked):
    def forward(self, x, adj):
        x = x[None] if adj.ndim == 2 else x
        return (
            torch.einsum("bi,bj,bij->b", x[..., 0], x[..., 0], adj.reshape(len(x), *adj.shape[-2:]))[:, None]
            * self.sign
        )


class Data:
    """Holds what an object of PyTorch Geometric holds."""

    def __init__(self, x, edge_index, batch=None, y=None, edge_weight=None):
        self.x, self.edge_index, self.batch, self.y, self.edge_weight = x, edge_index, batch, y, edge_weight


class OfObject(Marked):
    def forward(self, data):
        return super().forward(data.x, data.edge_index, data.batch, data.edge_weight)


def joined():
    x = torch.cat([SMALL[0], LARGE[0]])
    return x, torch.cat([SMALL[1], LARGE[1] + 5], 1), torch.tensor([0] * 5 + [1] * 7)


def adjacency(one):
    matrix = torch.zeros(len(one[0]), len(one[0]))
    matrix[one[1][0], one[1][1]] = 1
    return matrix


def forms():
    yield "parts of one graph", Marked(), joined()
    yield "mapping", Marked(), dict(zip(("x", "edge_index", "batch"), joined(), strict=True))
    yield "list of pairs", Marked(), [SMALL, LARGE]
    yield "no batch", OneByOne(), [SMALL, LARGE]
    yield "no weights", Unweighted(), [SMALL, LARGE]
    yield "objects", Marked(), [Data(*SMALL), Data(*LARGE)]
    yield "a model of objects", OfObject(), [Data(*SMALL), Data(*LARGE)]
    yield "a batch object", OfObject(), Data(*joined())
    yield "labels beside", Marked(), [(SMALL, 0), (LARGE, 0)]


def removed(one, node=None, edge=None):
    x, edges = one[0].clone(), one[1]
    if node is not None:
        x[node] = 0
    if edge is not None:
        edges = edges[:, ~((edges == edge[0]).any(0) & (edges == edge[1]).any(0))]
    with torch.no_grad():
        return float(Marked()(x, edges)[0, 0])


@pytest.mark.parametrize(("form", "model", "data"), list(forms()), ids=lambda of: of if isinstance(of, str) else "")
def test_nodes_and_edges_are_worth_what_is_lost_without_them(form, model, data):
    nodes = pnpxai.auto_explain(model, data).explain("FeatureAblation")
    for k, one in enumerate((SMALL, LARGE)):
        right = [removed(one) - removed(one, node=node) for node in range(len(one[0]))]
        got = nodes.attributions[0][k, : len(right), 0]
        torch.testing.assert_close(got, torch.tensor(right), atol=1e-5, rtol=1e-5)
        assert set(got.topk(3).indices.tolist()) == {0, 2, 4}
    edges = pnpxai.auto_explain(model, data, GraphModality(players="edges")).explain("FeatureAblation")
    for k, one in enumerate((SMALL, LARGE)):
        _, pairs = edges.views[0].graphs[k]
        right = [removed(one) - removed(one, edge=pair) for pair in pairs]
        got = edges.attributions[0][k, : len(right)]
        torch.testing.assert_close(got, torch.tensor(right), atol=1e-5, rtol=1e-5)
        assert {pairs[place] for place in got.topk(3).indices.tolist()} == set(TRIANGLE)


@pytest.mark.parametrize("form", ["one", "batch", "said"])
def test_adjacency_matrices(form):
    x, matrix = SMALL[0], adjacency(SMALL)
    model, said = (Dense(), None) if form != "said" else (lambda a, b: Dense()(a, b), "graph")
    data = (x, matrix) if form == "one" else (torch.stack([x, 2 * x]), torch.stack([matrix, matrix]))
    maps = pnpxai.auto_explain(model, data, said).explain("GradientXInput")
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(Dense()(x[None], matrix[None])[0, 0], x)
    torch.testing.assert_close(maps.attributions[0][0], (gradient * x).detach())
    x.requires_grad_(False)
    players = GraphModality(players="edges")
    edges = pnpxai.auto_explain(model, data, players).explain("Gradient")
    expected = [removed(SMALL) - removed(SMALL, edge=pair) for pair in edges.views[0].graphs[0][1]]
    torch.testing.assert_close(edges.attributions[0][0], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_shapley_values_of_nodes_are_those_of_brute_force():
    """Also where a graph runs beside others: what is one row to the explainer is a graph of its own to the model."""
    auto = pnpxai.auto_explain(Marked(), [SMALL, LARGE])
    explanation = auto.explain("ShapleyValues", numbers=[0])
    x, edges = SMALL

    def worth(members):
        kept = torch.zeros(5, 1)
        kept[list(members)] = 1
        with torch.no_grad():
            return float(Marked()(x * kept, edges)[0, 0])

    for k in range(5):
        others = [p for p in range(5) if p != k]
        right = sum(
            (worth((*s, k)) - worth(s)) / (5 * math.comb(4, size))
            for size in range(5)
            for s in itertools.combinations(others, size)
        )
        assert float(explanation.attributions[0][0, k, 0]) == pytest.approx(right, abs=1e-5)


class OfNodes(nn.Module):
    """The score of a node is the mark of its neighbours."""

    def forward(self, x, edge_index):
        a, b = edge_index
        total = torch.zeros(len(x)).index_add(0, b, x[a, 0])
        return torch.stack([total, -total], 1)


def test_one_node_is_asked_for():
    auto = pnpxai.auto_explain(OfNodes(), SMALL, target=(2, 0))
    maps = auto.explain("GradientXInput").attributions[0][0]
    right = torch.zeros_like(SMALL[0])
    right[[0, 1, 4], 0] = SMALL[0][[0, 1, 4], 0]
    torch.testing.assert_close(maps, right)
    with pytest.raises(ArgumentError, match=r"target: .*node.*target=\(node, class\)"):
        pnpxai.auto_explain(OfNodes(), SMALL).explain("Gradient")


def test_features_of_nodes_are_told_apart():
    explanation = pnpxai.auto_explain(Marked(), [SMALL], GraphModality(players="features")).explain("FeatureAblation")
    assert (explanation.attributions[0][0, :, 1:] == 0).all()
    assert explanation.attributions[0][0, 0, 0] > 1


def test_what_is_recommended_runs_and_is_drawn():
    auto = pnpxai.auto_explain(Marked(), [SMALL, LARGE])
    assert "graph" in str(auto)
    for name, explanation in auto.explain().items():
        assert explanation.attributions[0].isfinite().all(), name
    axes = explanation.plot().axes[0]
    assert len(axes.collections[0].get_offsets()) == 5
    edges = pnpxai.auto_explain(Unweighted(), [SMALL], GraphModality(players="edges"))
    assert "Gradient" not in {cls.__name__ for cls in edges.recommended}
    assert edges.explain("KernelShap").plot()._repr_png_()
    with pytest.raises(ArgumentError, match="takes no edge_weight"):
        edges.explain("IntegratedGradients")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((SMALL[0].long(), SMALL[1]), r"got torch.int64, which are codes; explain edges"),
        ((SMALL[0], SMALL[1] + 9), r"edge_index: expected numbers below the 5 nodes"),
        (torch.rand(3, 4), "expected graphs: objects with x and edge_index"),
    ],
)
def test_what_is_no_graph_is_refused(data, words):
    with pytest.raises(ArgumentError, match=words):
        pnpxai.auto_explain(
            Marked(),
            data if isinstance(data, torch.Tensor) else dict(zip(("x", "edge_index"), data, strict=True)),
            "graph",
        )


def test_codes_beside_numbers_and_masks_of_attention_are_no_graphs():
    both = nn.Bilinear(3, 2, 2)
    model = lambda num, cat: both(num, cat.float())  # noqa: E731
    auto = pnpxai.auto_explain(model, (torch.rand(2, 3), torch.tensor([[0, 1], [1, 0]])), ("table", "table"))
    assert "graph" not in str(auto)
    masked = pnpxai.auto_explain(
        lambda x, mask: (mask @ x).mean(1), (torch.rand(2, 5, 3), torch.eye(5).expand(2, 5, 5))
    )
    assert "graph" not in masked.modality.name
