"""Graphs as people have them, read one by one: objects of PyTorch Geometric, lists of edges, adjacency matrices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pnpxai.auto.conversion import Data
from pnpxai.auto.signatures import required
from pnpxai.errors import ArgumentError
from pnpxai.modalities.graph import GraphModality
from pnpxai.model_types import Model, ModelInputs

__all__ = ["Graph", "graphs_of", "label_of_graph"]

_EDGES, _ADJACENCY = ("edge_index", "edges"), ("adj", "adjacency", "adjacency_matrix")
_ROWS = 10_000
"""Graphs that are read of a loader at most."""


@dataclass(frozen=True)
class Graph:
    """One graph.

    Attributes:
        x: (nodes, features) numbers.
        edges: (2, edges) the nodes where each edge begins and ends.
        weights: (edges,) the weight of each edge.
        attributes: (edges, ...) what else is known of each edge.
        label: its class, or the classes of its nodes.
        dense: whether it came as an adjacency matrix, and of what form: "" if not, "one" or "batch".
        kind: the class of PyTorch Geometric's object that held it.
    """

    x: Tensor
    edges: Tensor
    weights: Tensor
    attributes: Tensor | None = None
    label: Tensor | None = None
    dense: str = ""
    kind: type | None = None

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """(2, pairs) the nodes of each edge, and (edges,) the pair of each; both directions of an edge are one pair."""
        both = {(int(a), int(b)) for a, b in self.edges.T}
        ends = self.edges
        if all((b, a) in both for a, b in both):
            ends = self.edges.sort(0).values
        distinct, number = ends.unique(dim=1, return_inverse=True)
        return distinct, number

    def inputs(self, players: str) -> tuple[Tensor | None, ...]:
        """Return one example as ``GraphModel`` takes it."""
        pairs, number = self.pairs
        on = torch.ones(1, pairs.shape[1], dtype=self.x.dtype, device=self.x.device)
        first, second = (on, self.x[None]) if players == "edges" else (self.x[None], on)
        attributes = None if self.attributes is None else self.attributes[None]
        return first, second, self.edges[None], self.weights[None], number[None], attributes

    def topology(self) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return the number of nodes, and the two nodes of each pair."""
        return len(self.x), tuple((int(a), int(b)) for a, b in self.pairs[0].T)


def label_of_graph(batch: tuple[ModelInputs, Tensor | None]) -> Tensor | None:
    """Return the class of a graph, None if it is not known or each node has one."""
    label = batch[1]
    return label.reshape(-1) if label is not None and label.numel() == 1 else None


def graphs_of(model: Model, data: Data, modality: object) -> list[Graph] | None:
    """Return the graphs of data, one by one; None if it holds none.

    Args:
        model: the model, which takes two arguments if adjacency matrices come as plain tensors.
        data: an object of PyTorch Geometric, several, or a loader of them; (x, edge_index), with the graph of each node
            if there are several; (x, adjacency matrices); mappings with these names; or a list of any of these.
        modality: what the user said that the data is.

    Raises:
        ArgumentError: the data is said to be graphs, and holds none; or it has several kinds of nodes.
    """
    said = isinstance(modality, GraphModality) or modality == GraphModality.name
    if modality is not None and not said:
        return None
    if hasattr(data, "edge_index_dict") or hasattr(data, "x_dict"):
        raise ArgumentError("data: expected graphs with one kind of nodes, got several kinds; explain a wrapped model")
    graphs = list(_read(data, ("x", "adjacency") if said else required(model)))
    if said and not graphs:
        raise ArgumentError(
            "data: expected graphs: objects with x and edge_index, (x, edge_index), (x, edge_index, batch) or "
            f"(x, adjacency), got {type(data).__name__}"
        )
    if graphs and not graphs[0].x.is_floating_point() and not (said and getattr(modality, "players", "") == "edges"):
        raise ArgumentError(
            f"data: expected features of nodes as numbers, got {graphs[0].x.dtype}, which are codes; explain edges: "
            "modality=pnpxai.modalities.GraphModality(players='edges')"
        )
    return graphs or None


def _read(data: Data, names: Sequence[str]) -> Iterator[Graph]:
    if _is_graph(data):
        yield from _split(data, data.x, data.edge_index, getattr(data, "batch", None), type(data))
    elif isinstance(data, Mapping) and isinstance(data.get("x"), Tensor):
        edges = next((data[name] for name in _EDGES if name in data), None)
        matrix = next((data[name] for name in _ADJACENCY if name in data), None)
        if edges is not None:
            yield from _split(data, data["x"], edges, data.get("batch"), None)
        elif matrix is not None:
            yield from _dense(data["x"], matrix)
    elif isinstance(data, tuple) and len(data) > 1 and all(isinstance(one, Tensor) for one in data[:2]):
        x, second = data[0], data[1]
        whose = data[2] if len(data) > 2 and isinstance(data[2], Tensor) else None
        if _are_edges(x, second) and len(names) > 1:
            yield from _split(None, x, second, whose if whose is not None and len(whose) == len(x) else None, None)
        elif second.ndim == x.ndim in (2, 3) and second.shape[-2:] == (x.shape[-2],) * 2 and _names_matrix(names):
            yield from _dense(x, second)
    elif isinstance(data, tuple) and len(data) == 2 and _holds_graph(data[0]):
        for graph in _read(data[0], names):
            yield _with_label(graph, data[1])
    elif _holds_graphs(data):
        for count, member in enumerate(data):
            if count < _ROWS:
                yield from _read(member, names if len(names) > 1 else ("x", "edge_index"))


def _are_edges(x: Tensor, second: Tensor) -> bool:
    """Return whether the second tensor holds pairs of numbers of the first one's rows; codes of two rows may, too."""
    whole = second.ndim == x.ndim == 2 and len(second) == 2 and len(x) > 2 and not second.is_floating_point()
    return (
        whole
        and second.dtype != torch.bool
        and (not second.numel() or 0 <= int(second.min()) <= int(second.max()) < len(x))
    )


def _names_matrix(names: Sequence[str]) -> bool:
    """Return whether a model calls its second argument an adjacency matrix; it may be a mask of attention."""
    return len(names) > 1 and re.search(r"adj|^a$|graph|laplac|edge", names[1], re.IGNORECASE) is not None


def _holds_graph(one: Data) -> bool:
    is_pair = isinstance(one, tuple) and len(one) > 1 and all(isinstance(part, Tensor) for part in one[:2])
    return _is_graph(one) or is_pair or (isinstance(one, Mapping) and "x" in one)


def _holds_graphs(data: Data) -> bool:
    """Return whether a list, a dataset or a loader holds graphs."""
    if isinstance(data, DataLoader):
        data = data.dataset
    if not isinstance(data, (list, Iterable)) and not hasattr(data, "__getitem__"):
        return False
    if isinstance(data, (str, Tensor, Mapping, tuple)) or hasattr(data, "dtype") or hasattr(data, "columns"):
        return False
    try:
        first = data[0]  # type: ignore[index]
    except (KeyError, IndexError, TypeError, AttributeError):
        return False
    first = first[0] if isinstance(first, tuple) and len(first) == 2 and _holds_graph(first[0]) else first
    parts = list(first[:2]) if isinstance(first, tuple) else []
    of_edges = len(parts) == 2 and all(isinstance(part, Tensor) for part in parts) and _are_edges(*parts)
    return _is_graph(first) or of_edges or (isinstance(first, Mapping) and {"x", "edge_index"} <= first.keys())


def _is_graph(one: Data) -> bool:
    return isinstance(getattr(one, "x", None), Tensor) and isinstance(getattr(one, "edge_index", None), Tensor)


def _split(holder: Data, x: Tensor, edges: Tensor, whose: Tensor | None, kind: type | None) -> Iterator[Graph]:
    """Return the graphs of nodes that are told apart by numbers."""
    if edges.ndim != 2 or len(edges) != 2:
        raise ArgumentError(f"edge_index: expected (2, edges), got {tuple(edges.shape)}")
    if edges.numel() and int(edges.max()) >= len(x):
        raise ArgumentError(f"edge_index: expected numbers below the {len(x)} nodes, got {int(edges.max())}")

    def part(name: str) -> Tensor | None:
        value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        return value if isinstance(value, Tensor) else None

    weights, attributes, label = part("edge_weight"), part("edge_attr"), part("y")
    weights = torch.ones(edges.shape[1], dtype=_numbers(x).dtype, device=x.device) if weights is None else weights
    whose = torch.zeros(len(x), dtype=torch.long, device=x.device) if whose is None else whose
    count = int(whose.max()) + 1 if len(whose) else 0
    for k in range(count):
        nodes = (whose == k).nonzero().flatten()
        own = (whose[edges[0]] == k) & (whose[edges[1]] == k)
        place = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        place[nodes] = torch.arange(len(nodes), device=x.device)
        y = label if count == 1 else label[k] if label is not None and len(label) == count else None
        further = None if attributes is None else attributes[own]
        yield Graph(x[nodes], place[edges[:, own]], weights[own], further, y, kind=_single(kind))


def _dense(x: Tensor, matrix: Tensor) -> Iterator[Graph]:
    """Return the graphs of adjacency matrices."""
    form = "batch" if x.ndim == 3 else "one"
    for features, own in zip(*((x, matrix) if x.ndim == 3 else (x[None], matrix[None])), strict=True):
        edges = own.nonzero().T
        weights = own[edges[0], edges[1]].to(_numbers(features).dtype)
        yield Graph(features, edges, weights, dense=form)


def _numbers(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else torch.empty(0)


def _single(kind: type | None) -> type | None:
    """Return the class of a single graph where a batch of them was given."""
    return next((base for base in kind.__mro__ if base.__name__ == "Data"), kind) if kind is not None else None


def _with_label(graph: Graph, label: Any) -> Graph:
    return replace(graph, label=torch.as_tensor(label))
