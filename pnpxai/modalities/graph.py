"""Graphs, whose nodes or edges are explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from pnpxai.declare.marks import Settings
from pnpxai.modalities.base import Modality
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.traits import Traits

__all__ = ["GraphModality"]


class GraphModality(Modality):
    """Graphs: features of nodes (graphs, nodes, features), or edges (graphs, pairs of nodes)."""

    name: ClassVar[str] = "graph"
    players: Literal["nodes", "features", "edges"] = "nodes"
    """What explainers that remove parts remove: the features of a node together, or each by itself; or edges. An edge
    in both directions is one. Zeros stand for a node that is absent; its edges stay."""

    @property
    def traits(self) -> Traits:
        """One axis of nodes, with features; or one of edges."""
        return Traits(self.name, None if self.players == "edges" else 2, 1)

    @classmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Return None: graphs are told by their edges, which no single tensor holds."""
        return None

    def common(self, inputs: Sequence[Tensor]) -> Settings:
        """Return what all kinds share, and whether features of a node are removed one by one."""
        return super().common(inputs) | ({"each_channel": True} if self.players == "features" else {})

    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return a view of graphs; which nodes are linked is known of each graph alone."""
        return View(self.name, None if self.players == "edges" else 2, classes=classes)
