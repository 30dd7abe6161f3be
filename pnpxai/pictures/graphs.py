"""Draws a graph: nodes as discs, edges as lines, with the colours of their attributions."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pnpxai.pictures.colours import coloured, largest
from pnpxai.pictures.words import dark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Topology", "draw_graph", "node_places", "nodes_drawn"]

Pairs: TypeAlias = Sequence[tuple[int, int]]
Topology: TypeAlias = tuple[int, Pairs]
"""Number of nodes, and the two nodes of each pair that is linked."""
_NODES = 80
"""Nodes of a graph that are all drawn; of a larger one, those that matter most and what links them."""
_NAMED = 40
"""Nodes that have their numbers."""


def draw_graph(
    axes: Axes, values: np.ndarray, nodes: int, pairs: Pairs, *, of_edges: bool = False, limit: float | None = None
) -> None:
    """Draw a graph, laid out by springs if networkx is there, else on a circle.

    Args:
        axes: matplotlib's.
        values: (nodes,) or (pairs,) attributions.
        nodes: number of nodes.
        pairs: the two nodes of each pair that is linked.
        of_edges: whether the values are those of pairs.
        limit: the value of the deepest colour; by default the largest absolute value.
    """
    shown = nodes_drawn(values, nodes, pairs, of_edges)
    limit = limit or largest([values]) or 1.0
    colours = coloured(values[None], limit)[0] / 255
    at = node_places(shown, [pair for pair in pairs if set(pair) <= set(shown)])
    for k, (a, b) in enumerate(pairs):
        if a in at and b in at:
            colour, width = ("0.8", 0.8) if not of_edges else (colours[k], 1 + 4 * abs(float(values[k])) / limit)
            axes.plot(*np.stack([at[a], at[b]]).T, color="0.8", linewidth=0.8, zorder=0)
            axes.plot(*np.stack([at[a], at[b]]).T, color=colour, linewidth=width, zorder=1, solid_capstyle="round")
    discs = np.stack([at[node] for node in shown])
    filled = ["white"] * len(shown) if of_edges else colours[shown]
    axes.scatter(*discs.T, s=260 if len(shown) <= _NAMED else 60, c=filled, edgecolors="0.3", linewidths=0.8, zorder=2)
    if len(shown) <= _NAMED:
        bright = coloured(values[None], limit)[0]
        for node in shown:
            ink = "white" if not of_edges and dark(bright[node]) else "black"
            x, y = map(float, at[node])
            axes.text(x, y, str(node), ha="center", va="center", fontsize=7, zorder=3, color=ink)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    if len(shown) < nodes:
        axes.set_xlabel(f"{len(shown)} of {nodes} nodes, those that matter most", fontsize=8)


def nodes_drawn(values: np.ndarray, nodes: int, pairs: Pairs, of_edges: bool) -> list[int]:
    """Return the nodes that are drawn, by the values (nodes,) or (pairs,) that matter most."""
    if nodes <= _NODES:
        return list(range(nodes))
    order = np.argsort(-np.abs(values), kind="stable")
    ranked = [node for k in order for node in pairs[int(k)]] if of_edges else [int(node) for node in order]
    return list(dict.fromkeys(ranked))[:_NODES]


def node_places(nodes: Sequence[int], pairs: Pairs) -> dict[int, np.ndarray]:
    """Return where each node lies."""
    try:
        networkx = importlib.import_module("networkx")
    except ImportError:
        angles = 2 * np.pi * np.arange(len(nodes)) / max(1, len(nodes))
        return {node: np.array([np.cos(angle), np.sin(angle)]) for node, angle in zip(nodes, angles, strict=True)}
    graph = networkx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(pairs)
    return {node: np.asarray(place) for node, place in networkx.spring_layout(graph, seed=0).items()}
