"""Draws a graph with the colours of a map on its nodes or edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import View, coloured
from pnpxai.pictures.graphs import node_places, nodes_drawn
from pnpxai.report.forms.base import Form, per_position

__all__ = ["GraphForm"]


class GraphForm(Form):
    """Draws nodes as discs and edges as lines; of a large graph, the nodes that matter most to all maps together."""

    kind = "graph"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray], k: int) -> None:
        self.nodes, self.pairs = view.graphs[k]
        self.of_edges = x.ndim == 1
        shares = [np.abs(np.nan_to_num(self._values(m), posinf=0, neginf=0)) for m in maps]
        worth = sum((s / (s.max(initial=0) or 1) for s in shares), np.zeros(self._count))
        shown = nodes_drawn(worth, self.nodes, self.pairs, self.of_edges)
        places = node_places(shown, [pair for pair in self.pairs if set(pair) <= set(shown)])
        at = np.stack([places[node] for node in shown])
        middle, reach = (at.min(0) + at.max(0)) / 2, float(np.ptp(at, 0).max()) or 1.0
        self._at = {node: 50 + 84 * (place - middle) / reach for node, place in zip(shown, at, strict=True)}
        hidden = self.nodes - len(shown)
        note = Markup('<p class="note">{} nodes of which maps say less are not shown</p>').format(hidden)
        self.drawn = self._picture(None, "the graph") + (note if hidden else Markup(""))

    @property
    def _count(self) -> int:
        return len(self.pairs) if self.of_edges else self.nodes

    def _values(self, values: np.ndarray) -> np.ndarray:
        return per_position(values)[: self._count]

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return the graph in the colours of a map."""
        return self._picture(coloured(self._values(values)[None])[0], alt)

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its node or edge."""
        values = self._values(values)
        place = int(np.abs(values).argmax())
        where = "edge {}-{}".format(*self.pairs[place]) if self.of_edges else f"node {place}"
        return float(values[place]), where

    def _picture(self, colours: np.ndarray | None, alt: str) -> Markup:
        """Return the drawing; ``colours`` (nodes or edges, 4) are bytes, None for the graph alone."""
        lines, discs = [], []
        for k, pair in enumerate(self.pairs):
            if set(pair) <= set(self._at):
                (x1, y1), (x2, y2) = (self._at[node] for node in pair)
                paint = _paint("stroke", colours[k]) if self.of_edges and colours is not None else ""
                line = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
                lines.append((f'<line class="valued" {line}{paint}/>' if paint else "") + f"<line {line}/>")
        for node, (x, y) in self._at.items():
            paint = "" if self.of_edges or colours is None else _paint("fill", colours[node])
            discs.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"{paint}><title>node {node}</title></circle>')
        return Markup('<svg class="tile graph" role="img" viewBox="0 0 100 100" aria-label="{}">{}</svg>').format(
            alt, Markup("".join(lines + discs))
        )


def _paint(what: str, colour: np.ndarray) -> str:
    return f' {what}="#{bytes(colour[:3]).hex()}"' if colour[3] else ""
