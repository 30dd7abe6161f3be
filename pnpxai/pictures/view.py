"""Holds what is known of the look of data beyond the model's numbers: scaling of pictures, names, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from pydantic import BeforeValidator
from torch import Tensor

from pnpxai.declare.declared import Declared
from pnpxai.errors import ArgumentError
from pnpxai.files import ReadJson

__all__ = ["Display", "Kind", "View", "as_array"]

Kind: TypeAlias = str
"""Name of a ``Drawing``: image, series, tokens, table, or one that another module defines."""


def as_array(values: Tensor | np.ndarray) -> np.ndarray:
    """Return numbers as an array of double precision."""
    return values.detach().double().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _level(value: Any) -> Any:
    """Return the numbers of a list, an array or a tensor as a tuple, or as one number; other values unchanged."""
    try:
        array = as_array(value)
    except ValueError:  # its parts differ in length
        return value
    if array.dtype.kind not in "iuf":
        return value
    return float(array.reshape(-1)[0]) if array.size == 1 else tuple(map(float, array.reshape(-1)))


Level: TypeAlias = Annotated[float | tuple[float, ...], BeforeValidator(_level)]
"""A number, or one for each channel."""


class Display(Declared):
    """Says how pictures were scaled for the model: (value - mean) / std for values from ``low`` to ``high``."""

    mean: Level = 0.0
    """Number that was subtracted, or one for each channel."""
    std: Level = 1.0
    """Number by which was divided, or one for each channel."""
    low: float = 0.0
    """Darkest value before scaling."""
    high: float = 1.0
    """Brightest value before scaling."""

    def check(self) -> None:
        """Refuse a division by zero, and an empty range."""
        if not np.all(self.std):
            raise ArgumentError(f"std: expected numbers other than 0, got {self.std}")
        if self.low >= self.high:
            raise ArgumentError(f"low: expected a number below high={self.high:g}, got {self.low:g}")

    @classmethod
    def of(cls, spec: object) -> Self | None:
        """Read a ``Display``, a pair (mean, std), a mapping, or a transform or image processor that has both.

        Raises:
            ArgumentError: the mean or the standard deviation is missing, or is not a number.
        """
        if spec is None or isinstance(spec, cls):
            return spec
        if isinstance(spec, Mapping):
            return cls(**spec)
        if isinstance(spec, (tuple, list)) and len(spec) == 2:
            return cls(*spec)
        steps = [spec, *reversed(getattr(spec, "transforms", None) or [])]
        for one in steps:
            for mean, std in (("mean", "std"), ("image_mean", "image_std")):
                if hasattr(one, mean) and hasattr(one, std):
                    return cls(getattr(one, mean), getattr(one, std))
        raise ArgumentError(
            f"display: expected a Display, (mean, std), or a transform with mean and std, got {spec!r}; such as "
            "display=pnpxai.Display(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))"
        )

    @property
    def limits(self) -> tuple[Level, Level]:
        """The darkest and the brightest value after scaling, one number or one for each channel."""
        ends = [(end - np.asarray(self.mean)) / np.asarray(self.std) for end in (self.low, self.high)]
        low, high = (_level(end) for end in ends)
        return low, high

    def apply(self, values: Tensor) -> Tensor:
        """Scale pictures (examples, channels, ...) with values from 0 to 1 for the model."""
        mean, std = (values.new_tensor(v).reshape(-1, *[1] * (values.ndim - 2)) for v in (self.mean, self.std))
        return (self.low + (self.high - self.low) * values - mean) / std

    def undo(self, picture: np.ndarray, channel_axis: int | None = 0) -> np.ndarray:
        """Return a picture with values from 0 to 1."""
        shape = [1] * picture.ndim
        if channel_axis is not None:
            shape[channel_axis] = -1
        mean, std = (
            np.asarray(v).reshape(shape) if np.ndim(v) and channel_axis is not None else np.mean(v)
            for v in (self.mean, self.std)
        )
        return np.clip((picture * std + mean - self.low) / (self.high - self.low), 0, 1)


@dataclass(frozen=True)
class View:
    """Says how one input is drawn.

    Attributes:
        kind: name of a ``Drawing``; by default the input's shape decides.
        channel_dim: axis of channels in a batch.
        display: scaling of pictures.
        names: names of columns, or of a series' channels.
        words: words of each example, each with its number of tokens.
        classes: names of the model's outputs.
        levels: numbers of columns of categories, and the words that their codes 0, 1, ... stand for.
        sources: name of each example's file, if it has one.
        groups: names of categories that several columns make up, and the places of these columns.
        dates: places of columns of dates, which are days since 1970 began.
        scales: (factor, offset) of each column: what is shown of a number is factor * number + offset.
        graphs: of each graph the number of nodes, and the two nodes of each pair that is linked.
        boxes: corners (x0, y0, x1, y1) of a box in each picture, in pixels, which is drawn as a frame.
    """

    kind: Kind | None = None
    channel_dim: int | None = 1
    display: Display | None = None
    names: tuple[str, ...] = ()
    words: tuple[tuple[tuple[str, int], ...], ...] = ()
    classes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    levels: tuple[tuple[int, tuple[str, ...]], ...] = ()
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    dates: tuple[int, ...] = ()
    scales: tuple[tuple[float, float], ...] = ()
    graphs: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def take(self, rows: Sequence[int]) -> View:
        """Return the view of some of the examples."""
        words, sources, graphs = (
            tuple(of_each[row] for row in rows) if of_each else ()
            for of_each in (self.words, self.sources, self.graphs)
        )
        return replace(self, words=words, sources=sources, graphs=graphs)

    def without(self, masks: np.ndarray) -> View:
        """Return the view with empty words where attention is masked for all tokens of a word.

        Args:
            masks: (examples, tokens) truth values.
        """
        if not self.words:
            return self
        rows = []
        for words, mask in zip(self.words, masks, strict=True):
            ends = np.cumsum([count for _, count in words])
            attended = [bool(mask[end - count : end].any()) for (_, count), end in zip(words, ends, strict=True)]
            rows.append(
                tuple((word if seen else "", count) for (word, count), seen in zip(words, attended, strict=True))
            )
        return replace(self, words=tuple(rows))

    @classmethod
    def joined(cls, views: Sequence[View]) -> View:
        """Return the view of all examples of several batches."""
        words = tuple(words for view in views for words in view.words)
        sources = tuple(name for view in views for name in view.sources)
        return replace(views[0], words=words, sources=sources, graphs=tuple(g for view in views for g in view.graphs))

    def to_dict(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, ReadJson]) -> View:
        """Return the view that ``to_dict`` wrote, also after JSON has turned its tuples into lists."""
        display = Display.of(data["display"])
        words = tuple(tuple((str(word), int(count)) for word, count in row) for row in data["words"])
        names, classes, sources = (tuple(data.get(name, ())) for name in ("names", "classes", "sources"))
        levels = tuple((int(place), tuple(map(str, of_place))) for place, of_place in data.get("levels", ()))
        groups = tuple((str(name), tuple(map(int, places))) for name, places in data.get("groups", ()))
        dates = tuple(map(int, data.get("dates", ())))
        scales = tuple((float(factor), float(offset)) for factor, offset in data.get("scales", ()))
        graphs = tuple(
            (int(count), tuple((int(a), int(b)) for a, b in pairs)) for count, pairs in data.get("graphs", ())
        )
        return cls(
            data["kind"], data["channel_dim"], display, names, words, classes, sources, levels, groups, dates, scales,
            graphs,
        )  # fmt: skip
