"""Defines how inputs of each kind and their maps are drawn: one class for each kind, which is found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from pnpxai.declare.registry import by_name, every
from pnpxai.errors import ArgumentError
from pnpxai.pictures import charts
from pnpxai.pictures.graphs import Topology, draw_graph
from pnpxai.pictures.table_values import table_values
from pnpxai.pictures.view import View
from pnpxai.pictures.words import line_count, merged, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Drawing", "Parts", "PictureDrawing", "RowDrawing", "WordSource", "drawing_of", "words_of_example"]

WordSource: TypeAlias = Sequence[str] | Sequence[Sequence[str]] | Callable[[list[int]], Sequence[str]] | None
"""The words of each example, or a function that returns the words of ids."""


class Drawing(ABC):
    """Says how inputs of one kind are drawn. ``View.kind`` refers to a subclass by its ``name``."""

    name: ClassVar[str]
    """Name that ``View.kind`` refers to."""
    form: ClassVar[str]
    """Form of the input in a report: image, series, table or tokens."""

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return whether a batch of unknown kind looks like one of this kind.

        Args:
            axes: number of axes of the batch.
            ids: True if its values are whole numbers.
        """
        return False

    @classmethod
    def laid_out(cls, values: np.ndarray, x: np.ndarray, view: View) -> np.ndarray:
        """Return an example's input or map with its axes in the order that the form expects.

        Args:
            values: the input, or a map of it.
            x: the input.
            view: the view of the input.
        """
        return values


class PictureDrawing(Drawing):
    """Draws pictures: tiles with the input beside its map, or the map over the input."""

    name = "image"
    form = "image"

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return whether there are four axes of numbers."""
        return not ids and axes not in (2, 3)

    @classmethod
    def laid_out(cls, values: np.ndarray, x: np.ndarray, view: View) -> np.ndarray:
        """Return a picture (channels, height, width)."""
        last = values.ndim == 3 and values.shape[-1] in (1, 3) and values.shape[0] not in (1, 3)
        return np.moveaxis(values, -1, 0) if last else values


@dataclass(frozen=True)
class Parts:
    """Holds the parts of an example that a row of a figure shows.

    Attributes:
        values: attributions of the parts.
        x: values of the parts in the input.
        names: names of the parts; None if they have none.
        texts: values of the parts in words; empty if they are plain numbers.
        graph: the number of nodes of a graph, and its pairs of nodes that are linked.
    """

    values: np.ndarray
    x: np.ndarray
    names: list[str] | None
    texts: Sequence[str] = ()
    graph: Topology | None = None


class RowDrawing(Drawing):
    """Draws each example as one row of a figure."""

    unit: ClassVar[str] = ""
    """Label of the horizontal axis."""
    positions: ClassVar[int] = 1
    """Number of axes of positions of a map; axes before them are added up."""
    styles: ClassVar[tuple[str, ...]] = ()
    """Names of the styles, the default first."""

    @classmethod
    def fits(cls, values: np.ndarray, x: np.ndarray) -> bool:
        """Return whether a map has the positions of the input."""
        return values.shape[:1] == x.shape[:1]

    @classmethod
    def parts(cls, k: int, values: np.ndarray, x: np.ndarray, view: View, word_source: WordSource) -> Parts:
        """Return what is drawn of example ``k``.

        Raises:
            ArgumentError: there are not as many names as parts.
        """
        count = cls.count(x)
        if view.names and len(view.names) != count:
            raise ArgumentError(f"names: expected {count} for example {k}, got {len(view.names)}")
        return Parts(values, x, list(view.names) or None)

    @classmethod
    def count(cls, x: np.ndarray) -> int:
        """Return how many names the parts of an input have."""
        return len(x)

    @classmethod
    @abstractmethod
    def height(cls, parts: Parts) -> float:
        """Return the height of a row in inches."""

    @classmethod
    @abstractmethod
    def draw(cls, axes: Axes, parts: Parts, limit: float | None, style: str | None, score: float | None) -> None:
        """Draw a row on matplotlib's axes.

        Args:
            axes: where to draw.
            parts: what to draw.
            limit: the value of the deepest colour or the longest bar; by default the largest absolute value.
            style: one of ``styles``.
            score: the model's output.
        """


class SeriesDrawing(RowDrawing):
    """Series: each channel as a line on the colours of its map."""

    name = "series"
    form = "series"
    unit = "step"
    positions = 2

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return whether there are three axes of numbers."""
        return not ids and axes == 3

    @classmethod
    def laid_out(cls, values: np.ndarray, x: np.ndarray, view: View) -> np.ndarray:
        """Return a series (channels, time)."""
        return values.T if values.ndim == 2 and view.channel_dim in (2, -1) else values

    @classmethod
    def fits(cls, values: np.ndarray, x: np.ndarray) -> bool:
        """Return whether a map has as many steps as the input."""
        return values.shape[-1:] == x.shape[-1:]

    @classmethod
    def count(cls, x: np.ndarray) -> int:
        """Return the number of channels."""
        return len(np.atleast_2d(x))

    @classmethod
    def height(cls, parts: Parts) -> float:
        """Return the height of a row in inches."""
        return 0.7 + 0.5 * min(cls.count(parts.x), 12)

    @classmethod
    def draw(cls, axes: Axes, parts: Parts, limit: float | None, style: str | None, score: float | None) -> None:
        """Draw the channels as lines."""
        charts.series(axes, parts.values, parts.x, parts.names, limit)


class TableDrawing(RowDrawing):
    """Draws rows of tables: bars, the largest first, or a waterfall."""

    name = "table"
    form = "table"
    unit = "attribution"
    styles = ("bars", "waterfall")

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return whether there are two axes of numbers."""
        return not ids and axes == 2

    @classmethod
    def laid_out(cls, values: np.ndarray, x: np.ndarray, view: View) -> np.ndarray:
        """Return a row (columns, ...); where the input is a single number, it is a row of one column."""
        return values.reshape(1, *values.shape) if x.ndim == 0 else values

    @classmethod
    def parts(cls, k: int, values: np.ndarray, x: np.ndarray, view: View, word_source: WordSource) -> Parts:
        """Return the columns of example ``k`` as people know them."""
        plain = super().parts(k, values, x, view, word_source)
        shown = table_values(plain.values.reshape(1, len(x), -1).sum(2), x.reshape(1, -1), view)
        return Parts(shown.attributions[0], shown.values[0], list(shown.names) or None, shown.texts(0))

    @classmethod
    def height(cls, parts: Parts) -> float:
        """Return the height of a row in inches."""
        return 0.7 + 0.22 * min(len(parts.x), charts.ROWS + 1)

    @classmethod
    def draw(cls, axes: Axes, parts: Parts, limit: float | None, style: str | None, score: float | None) -> None:
        """Draw the columns as bars, or as steps to the score."""
        if style == "waterfall":
            charts.waterfall(axes, parts.values, parts.x, parts.names, score, parts.texts)
        else:
            charts.columns(axes, parts.values, parts.x, parts.names, limit, parts.texts)


class GraphDrawing(RowDrawing):
    """Graphs: nodes as discs and edges as lines, with the colours of their attributions."""

    name = "graph"
    form = "graph"

    @classmethod
    def parts(cls, k: int, values: np.ndarray, x: np.ndarray, view: View, word_source: WordSource) -> Parts:
        """Return the nodes or edges of example ``k``, and which nodes are linked.

        Raises:
            ArgumentError: it is not known which nodes are linked.
        """
        if k >= len(view.graphs):
            raise ArgumentError("views: a graph is drawn with its edges, which are not known; see View.graphs")
        count, pairs = view.graphs[k]
        length = count if x.ndim > 1 else len(pairs)
        return Parts(values.reshape(len(values), -1).sum(1)[:length], x[:length], None, graph=(count, pairs))

    @classmethod
    def height(cls, parts: Parts) -> float:
        """Return the height of a row in inches."""
        return 4.2

    @classmethod
    def draw(cls, axes: Axes, parts: Parts, limit: float | None, style: str | None, score: float | None) -> None:
        """Draw the nodes and edges."""
        if parts.graph is not None:
            draw_graph(axes, parts.values, *parts.graph, of_edges=parts.x.ndim == 1, limit=limit)


class TokenDrawing(RowDrawing):
    """Draws texts: words on the colours of their attributions."""

    name = "tokens"
    form = "tokens"

    @classmethod
    def guessed(cls, axes: int, ids: bool) -> bool:
        """Return whether the values are whole numbers."""
        return ids

    @classmethod
    def parts(cls, k: int, values: np.ndarray, x: np.ndarray, view: View, word_source: WordSource) -> Parts:
        """Return the words of example ``k`` and the sums over their tokens."""
        texts, counts = words_of_example(k, x, view, word_source)
        return Parts(merged(values, counts), x, texts)

    @classmethod
    def height(cls, parts: Parts) -> float:
        """Return the height of a row in inches."""
        return 0.22 + 0.28 * line_count(parts.names or [])

    @classmethod
    def draw(cls, axes: Axes, parts: Parts, limit: float | None, style: str | None, score: float | None) -> None:
        """Draw the words in lines."""
        words(axes, parts.values, parts.names or [], limit)


def drawing_of(view: View, axes: int = 4, ids: bool = False) -> type[Drawing]:
    """Return the drawing of a view: by its ``kind``, or by the look of the batch if the view has none.

    Args:
        view: the view.
        axes: number of axes of the batch.
        ids: True if its values are whole numbers.

    Raises:
        ArgumentError: no drawing has the name in ``kind``.
    """
    if view.kind is not None:
        return by_name(Drawing, view.kind, "kind")
    return next((drawing for drawing in every(Drawing) if drawing.guessed(axes, ids)), PictureDrawing)


def words_of_example(k: int, x: np.ndarray, view: View, source: WordSource = None) -> tuple[list[str], list[int]]:
    """Return the words of an example of ids, and the number of tokens of each word.

    Args:
        k: number of the example in the view.
        x: (tokens,) ids of the example.
        view: the view, which may hold words.
        source: words of each example, or a function from ids to words, instead of the view's words.

    Raises:
        ArgumentError: there are not as many words as ids.
    """
    if source is not None:
        texts = list(map(str, source([int(token) for token in x]) if callable(source) else source[k]))
        counts = [1] * len(texts)
    elif k < len(view.words):
        texts, counts = [word for word, _ in view.words[k]], [count for _, count in view.words[k]]
        if sum(counts) < len(x):  # the example comes from a shorter batch, and was padded
            texts, counts = [*texts, ""], [*counts, len(x) - sum(counts)]
    else:
        texts, counts = [str(int(token)) for token in x], [1] * len(x)
    if sum(counts) != len(x):
        raise ArgumentError(f"names: expected {len(x)} for example {k}, got {sum(counts)}")
    return texts, counts
