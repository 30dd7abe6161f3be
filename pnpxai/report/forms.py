"""The forms in which a page draws one input of an example and its maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import (
    CLIP,
    ROWS,
    View,
    clipped_limit,
    colour_of,
    coloured,
    dark,
    drawing_of,
    inline_png,
    level_or_number,
    merged,
    pictured,
    shrunk,
    words_of_example,
)

__all__ = ["DEPTHS", "Form", "form_of", "shades"]

DEPTHS = 16
"""Steps of colour from neutral to the deepest, of words."""
_CHANNELS = 12
"""Most channels of a series that are drawn as curves; more are colours alone."""
_POINTS = 256
"""Most points of a curve, and most steps of its map."""
_LONG = 60
"""Words from which on a text is drawn wider."""


class Form(ABC):
    """An input as it is drawn.

    Attributes:
        kind: image, series, table or tokens.
        drawn: the input as HTML.
        style: CSS of its row.
        reduced: (from, to) the longest side, where the input is drawn smaller than it is.
    """

    kind: ClassVar[str]
    drawn: Markup
    style: str = ""
    reduced: tuple[int, int] | None = None

    @abstractmethod
    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return a map, drawn.

        Args:
            values: (*positions), with leading axes that are added up.
            alt: what it shows, in words.
        """

    @abstractmethod
    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value of the largest absolute value of a finite map, and its place in words."""


def form_of(view: View, x: np.ndarray, maps: Sequence[np.ndarray], k: int, *, side: int, name: str, ids: bool) -> Form:
    """Return the form of an input: that of its drawing, or a picture where the maps do not have its positions.

    Args:
        view: how it is drawn.
        x: the input.
        maps: all maps of it.
        k: which example it is, of those that are stored.
        side: the longest side of a picture, in pixels.
        name: for the example and input, unique on the page.
        ids: whether its values are ids.
    """
    drawing = drawing_of(view, x.ndim + 1, ids)
    form = drawing.form
    if form == "tokens" and x.ndim == 1 and all(len(m) >= _length(k, x, view) for m in maps):
        return WordsForm(view, x, maps, k)
    if form == "table" and x.ndim == 1 and all(len(m) == len(x) for m in maps):
        return ColumnsForm(view, x, maps)
    if form == "series":
        time_last = x.T if x.ndim == 2 and view.channel_dim in (2, -1) else np.atleast_2d(x)
        turned = x.ndim == 2 and time_last is not x
        steps = [m.shape[-1 - (turned and m.ndim == 2)] for m in maps]
        if len(time_last) <= _CHANNELS and all(count == time_last.shape[1] for count in steps):
            return SeriesForm(view, time_last, turned, name)
    if form != "image":
        return PictureForm(view, x, maps, side, clip=1.0)
    return PictureForm(view, drawing.laid_out(x, x, view), maps, side, lambda values: drawing.laid_out(values, x, view))


class PictureForm(Form):
    """A picture under its map; an input without the positions of its map stands beside it."""

    kind = "image"

    def __init__(
        self,
        view: View,
        x: np.ndarray,
        maps: Sequence[np.ndarray],
        side: int,
        lay_out: Callable[[np.ndarray], np.ndarray] = lambda values: values,
        clip: float = CLIP,
    ) -> None:
        self._lay_out, self._clip, maps = lay_out, clip, [lay_out(m) for m in maps]
        places = maps[0].shape[-2:] if maps else x.shape[-2:]
        if x.ndim == 3 and x.shape[:2] == places != x.shape[1:]:
            x = np.moveaxis(x, -1, 0)
        self.side, self.axes = side, 1 if maps and maps[0].ndim == 1 else 2
        longest = max(max(m.shape[-self.axes :]) for m in maps) if maps else max(x.shape[-2:])
        self.reduced = (longest, side) if longest > side else None
        small = shrunk(x if view.display is None else view.display.undo(x), side, min(x.ndim, self.axes))
        address = inline_png(pictured(small, None if view.display is None else (0.0, 1.0)))
        height, width = x.shape[-2:] if x.ndim > 1 and self.axes == 2 else (1, 2)
        ratio = round(min(max(width / height, 0.4), 4), 3)
        self.style = f"--input: url({address}); --ratio: {ratio}"
        crisp = " crisp" if longest <= 64 or self.axes == 1 else ""
        self._tile = f"tile{crisp}"
        self.drawn = Markup('<span class="{}" role="img" aria-label="the picture"></span>').format(self._tile)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return an inline picture."""
        values = shrunk(self._lay_out(values), self.side, self.axes)
        address = inline_png(coloured(values, clipped_limit([values], self._clip)))
        return Markup('<span class="{}"><img alt="{}" src="{}"></span>').format(self._tile, alt, address)

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and where it is in percent of width and height."""
        values = self._lay_out(values)
        values = values.sum(tuple(range(values.ndim - self.axes)))
        place = np.unravel_index(np.abs(values).argmax(), values.shape)
        *down, across = (
            f"{100 * (int(p) + 0.5) / n:.0f} % from the {edge}"
            for p, n, edge in zip(place, values.shape, ("top", "left")[-self.axes :], strict=True)
        )
        return float(values[place]), ", ".join([across, *down])


class SeriesForm(Form):
    """The curve of each channel on the colours of its map."""

    kind = "series"

    def __init__(self, view: View, x: np.ndarray, turned: bool, name: str) -> None:
        x = x[:, : _end(x)]
        self.turned, self.length = turned, x.shape[1]
        channels = len(x)
        self.names = view.names if len(view.names) == channels else tuple(map(str, range(channels)))
        self.reduced = (self.length, _POINTS) if self.length > _POINTS else None
        self.style = f"--tall: {channels}"
        box = f"0 0 {self.length} {100 * channels}"
        frame = f'<svg aria-hidden="true" focusable="false" viewBox="{box}" preserveAspectRatio="none">'
        edges = "".join(f"M0 {100 * k}H{self.length}" for k in range(1, channels))
        curves = "".join(f'<polyline points="{_curve(line, 100 * k)}"/>' for k, line in enumerate(x))
        shape = Markup(f'<path class="edge" d="{edges}"/><g class="curve"><g id="{name}">{curves}</g></g>')
        uses = f'<use class="halo" href="#{name}"/><use class="curve" href="#{name}"/>'
        self._again = Markup(f"{frame}{uses}</svg>")
        labels = Markup("").join(Markup("<span>{}</span>").format(text) for text in self.names)
        named = Markup('<span class="names">{}</span>').format(labels) if channels > 1 or view.names else ""
        curves_alone = Markup('<span class="tile line">{}{}</svg></span>').format(Markup(frame), shape)
        self.drawn = Markup('<span class="named">{}{}</span>').format(named, curves_alone)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return an inline picture beneath the curves."""
        colours = coloured(shrunk(np.atleast_2d(self._time_last(values)), _POINTS, 1))
        return Markup('<span class="tile line crisp"><img alt="{}" src="{}">{}</span>').format(
            alt, inline_png(colours), self._again
        )

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its channel and step."""
        values = np.atleast_2d(self._time_last(values))
        channel, step = np.unravel_index(np.abs(values).argmax(), values.shape)
        where = f"{self.names[int(channel)]}, " if len(values) == len(self.names) > 1 else ""
        return float(values[channel, step]), f"{where}step {int(step) + 1} of {self.length}"

    def _time_last(self, values: np.ndarray) -> np.ndarray:
        return (values.T if self.turned and values.ndim == 2 else values)[..., : self.length]


class ColumnsForm(Form):
    """A bar for each of the columns with the largest attributions, beside its name and value."""

    kind = "table"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray]) -> None:
        names = view.names if len(view.names) == len(x) else [f"column {k}" for k in range(len(x))]
        worth = np.zeros(len(x))
        for values in map(_per_position, maps):
            known = np.abs(np.nan_to_num(values, posinf=0, neginf=0))
            worth += known / (known.max() or 1.0)
        self.rows = np.sort(np.argsort(-worth, kind="stable")[:ROWS])
        self.names = names
        self.style = f"--rows: {len(self.rows)}"
        lines = Markup("").join(
            Markup("<li><span>{}</span> <b>{}</b></li>").format(names[k], level_or_number(int(k), x, view.levels))
            for k in self.rows
        )
        rest = len(x) - len(self.rows)
        more = (
            Markup('<p class="note">{} columns of which maps say less are not shown</p>').format(rest) if rest else ""
        )
        self.drawn = Markup('<ul class="columns">{}</ul>{}').format(lines, more)

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return bars to both sides of zero."""
        values = _per_position(values)[self.rows]
        values = np.where(np.isfinite(values), values, np.nan)
        limit = float(np.max(np.abs(values), initial=0.0, where=~np.isnan(values))) or 1.0
        bars = []
        for k, share in enumerate(np.clip(values / limit, -1, 1)):
            if np.isfinite(share):
                long, side = round(100 * abs(float(share)), 1), "up" if share > 0 else "down"
                bars.append(
                    f'<rect class="{side}" x="{100 if share > 0 else 100 - long:g}" y="{k}.15" width="{long:g}"/>'
                )
        whole = f'viewBox="0 0 200 {len(values)}" preserveAspectRatio="none"><path d="M100 0V{len(values)}"/>'
        return Markup('<svg class="bars" role="img" aria-label="{}" {}{}</svg>').format(
            alt, Markup(whole), Markup("".join(bars))
        )

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its column."""
        values = _per_position(values)
        place = int(np.abs(values).argmax())
        return float(values[place]), self.names[place]


class WordsForm(Form):
    """Words, or ids, on the colours of their shares."""

    kind = "tokens"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray], k: int) -> None:
        self.texts, self.counts = words_of_example(k, x, view)
        if maps and k >= len(view.words):  # positions without a value in any map fill up a shorter text
            known = np.any([~np.isnan(_per_position(values[: len(x)])) for values in maps], axis=0)
            self.texts = [text if is_known else "" for text, is_known in zip(self.texts, known, strict=True)]
        self.drawn = Markup('<p class="text">{}</p>').format(" ".join(word for word in self.texts if word))
        self.style = "--text: 24rem" if len(self.texts) > _LONG else ""

    def tile(self, values: np.ndarray, alt: str) -> Markup:
        """Return the words, each with the class of its colour."""
        totals = self._totals(values)
        finite = np.nan_to_num(totals, posinf=0, neginf=0)
        depths = np.round(DEPTHS * finite / (np.abs(finite).max(initial=0) or 1.0)).astype(int) + DEPTHS
        words = Markup(" ").join(
            Markup("<b class=w{}>{}</b>").format(depth, word)  # short, as there may be a hundred thousand
            for word, depth in zip(self.texts, depths, strict=True)
            if word
        )
        return Markup('<p class="words" role="img" aria-label="{}">{}</p>').format(alt, words)

    def peak(self, values: np.ndarray) -> tuple[float, str]:
        """Return the value, and its word."""
        totals = self._totals(values)
        place = int(np.abs(totals).argmax())
        return float(totals[place]), self.texts[place]

    def _totals(self, values: np.ndarray) -> np.ndarray:
        return merged(values[: sum(self.counts)], self.counts)  # texts of other batches may be longer


def shades() -> str:
    """Return the CSS of words, from against the target over neutral to for it."""
    rules = []
    for k in range(2 * DEPTHS + 1):
        colour = colour_of(k / DEPTHS - 1)
        ink = "#fff" if dark(colour) else "#000"
        rules.append(f".w{k} {{ background: #{bytes(colour[:3]).hex()}; color: {ink}; }}")
    return "\n".join(rules)


def _length(k: int, x: np.ndarray, view: View) -> int:
    return sum(count for _, count in view.words[k]) if k < len(view.words) else len(x)


def _end(x: np.ndarray) -> int:
    """Return how long a series is (channels, time), which NaN may fill up to the length of others."""
    known = np.flatnonzero(~np.isnan(x).all(0))
    return int(known[-1]) + 1 if len(known) else x.shape[1]


def _per_position(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).sum(1)


def _curve(line: np.ndarray, top: int) -> str:
    """Return points of a curve, 100 high; of a long one the least and the largest value of each stretch."""
    steps = np.arange(len(line)) + 0.5
    if len(line) > _POINTS:
        starts = np.unique(np.arange(_POINTS // 2) * len(line) // (_POINTS // 2))
        both = [np.minimum.reduceat(line, starts), np.maximum.reduceat(line, starts)]
        line, steps = np.stack(both, -1).reshape(-1), np.repeat(steps[starts], 2)
    low, high = float(np.nanmin(line)), float(np.nanmax(line))
    share = (line - low) / (high - low) if high > low else np.full(len(line), 0.5)
    return " ".join(f"{x:g},{top + 90 - 80 * y:.0f}" for x, y in zip(steps, share, strict=True) if np.isfinite(y))
