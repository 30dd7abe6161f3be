"""Defines what all forms share: the input as HTML, a tile for each map, and the place of its peak."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from markupsafe import Markup

__all__ = ["Form", "per_position"]


class Form(ABC):
    """Draws an input and its maps as HTML.

    Attributes:
        kind: image, series, table, tokens or graph.
        drawn: the input as HTML.
        style: CSS of the input's row.
        reduced: (from, to) the longest side, if the input is drawn smaller than it is.
    """

    kind: ClassVar[str]
    drawn: Markup
    style: str = ""
    reduced: tuple[int, int] | None = None

    @abstractmethod
    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return the drawing of a map.

        Args:
            values: (*positions), with leading axes that are added up.
            alt: text that describes the map.
        """

    @abstractmethod
    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value of a finite map that is largest in absolute value, and its position in words."""


def per_position(values: np.ndarray) -> np.ndarray:
    """Return a map with the axes after the first added up."""
    return values.reshape(len(values), -1).sum(1)
