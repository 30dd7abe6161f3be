"""A model of graphs as a function of their nodes or edges, the graphs first."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pnpxai.auto.graphs import Graph
from pnpxai.auto.signatures import required
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model, ModelOutput

__all__ = ["GraphModel", "explained_of_graph", "rest_of_graph"]

_WEIGHTS, _BATCH = ("edge_weight", "edge_weights"), ("batch", "batch_index")


class GraphModel(nn.Module):
    """A model of graphs as a function of the features of nodes (graphs, nodes, features), or of edges (graphs, pairs).

    An edge's weight is multiplied by its number, 1 where it is there and 0 where it is not. Several graphs run as one
    graph of parts without a link if the model is told which node is whose; else one after the other.

    Args:
        model: the model: ``(x, edge_index, ...)`` as PyTorch Geometric has it, with ``batch``, ``edge_weight`` and
            ``edge_attr`` if it takes them; its data object; or ``(x, adjacency)``.
        players: "nodes" or "features", whose first argument are nodes, or "edges".
        like: a graph, in the form that the model takes.
    """

    def __init__(self, model: Model, players: str, like: Graph) -> None:
        super().__init__()
        self.model = model
        self.__name__ = getattr(model, "__name__", type(model).__name__)
        self.players, self.dense, self.kind = players, like.dense, like.kind
        parameters = _parameters(model)
        self.as_object = like.kind is not None and len(required(model)) == 1
        self.edge_weight = next((name for name in _WEIGHTS if name in parameters), None)
        self.edge_attr = "edge_attr" if "edge_attr" in parameters else None
        self.batch = next((name for name in _BATCH if name in parameters), None)

    @property
    def weighs_edges(self) -> bool:
        """Whether the model takes weights of edges; an edge of weight 0 is left out where it does not."""
        return bool(self.dense) or self.edge_weight is not None

    def forward(
        self,
        explained: Tensor,
        other: Tensor,
        edges: Tensor,
        weights: Tensor,
        number: Tensor,
        attributes: Tensor | None,
    ) -> ModelOutput:
        """Return the model's output, (graphs, ...) or (graphs, nodes, ...).

        Raises:
            ArgumentError: edges have parts of their weight, and the model takes no weights.
        """
        x, on = (other, explained) if self.players == "edges" else (explained, other)
        weights = weights * on.gather(1, number)
        graphs, nodes = x.shape[:2]
        if self.dense:
            row = torch.arange(graphs, device=x.device)[:, None].expand_as(number)
            adjacency = weights.new_zeros(graphs, nodes, nodes).index_put((row, edges[:, 0], edges[:, 1]), weights)
            if self.dense == "batch":
                return self.model(x, adjacency)
            return _stacked([self.model(*one) for one in zip(x, adjacency, strict=True)])
        parts = range(graphs)
        if graphs > 1 and self.batch is None and not self.as_object:
            return _stacked([self._run(x[k : k + 1], edges[k : k + 1], weights[k : k + 1], _row(attributes, k))
                             for k in parts])  # fmt: skip
        return self._by_graph(self._run(x, edges, weights, attributes), graphs, nodes)

    def _run(self, x: Tensor, edges: Tensor, weights: Tensor, attributes: Tensor | None) -> ModelOutput:
        """Run graphs as one graph."""
        graphs, nodes = x.shape[:2]
        first = nodes * torch.arange(graphs, device=x.device)
        joined = (edges + first[:, None, None]).movedim(1, 0).flatten(1)
        flat, further = weights.flatten(), None if attributes is None else attributes.flatten(0, 1)
        if (
            not self.weighs_edges
            and not self.as_object
            and (flat.requires_grad or bool(((flat != 0) & (flat != 1)).any()))
        ):
            raise ArgumentError(
                "model: it takes no edge_weight, so that an edge is there or not; explain edges by what removes them, "
                "such as KernelShap or FeatureAblation"
            )
        if not self.weighs_edges and not flat.requires_grad:
            there = flat != 0
            joined, flat, further = joined[:, there], flat[there], None if further is None else further[there]
        batch = torch.arange(graphs, device=x.device).repeat_interleave(nodes)
        known: dict[str, Any] = {"edge_attr": further} if further is not None else {}
        if self.as_object and self.kind is not None:
            known |= {"edge_weight": flat} if bool((flat != 1).any()) or flat.requires_grad else {}
            return self.model(self.kind(x=x.flatten(0, 1), edge_index=joined, batch=batch, **known))
        keywords = {} if self.edge_attr is None else known
        keywords |= {} if self.edge_weight is None else {self.edge_weight: flat}
        keywords |= {} if self.batch is None else {self.batch: batch}
        return self.model(x.flatten(0, 1), joined, **keywords)

    def _by_graph(self, output: ModelOutput, graphs: int, nodes: int) -> ModelOutput:
        """Return an output of all nodes as (graphs, nodes, ...)."""
        if isinstance(output, (tuple, list)):
            return type(output)(self._by_graph(member, graphs, nodes) for member in output)
        of_nodes = isinstance(output, Tensor) and output.ndim and len(output) == graphs * nodes != graphs
        return output.reshape(graphs, nodes, *output.shape[1:]) if of_nodes else output


def explained_of_graph(inputs: Sequence[Tensor]) -> Tensor:
    """Return the nodes or edges that are explained."""
    return inputs[0]


def rest_of_graph(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what else the model is given."""
    return tuple(inputs[1:])


def _row(values: Tensor | None, k: int) -> Tensor | None:
    return None if values is None else values[k : k + 1]


def _stacked(outputs: Sequence[ModelOutput]) -> ModelOutput:
    """Return the outputs of graphs that ran one by one as those of a batch."""
    if isinstance(outputs[0], (tuple, list)):
        return tuple(_stacked(members) for members in zip(*outputs, strict=True))
    return torch.cat([out if out.ndim > 1 and len(out) == 1 else out[None] for out in outputs])


def _parameters(model: Model) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(getattr(model, "forward", model)).parameters
    except (TypeError, ValueError):
        return {}
