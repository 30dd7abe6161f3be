"""Draws texts on the colours of their attributions, with the tokens of each word together."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pnpxai.pictures.colours import colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LINE", "NEW_LINE", "dark", "line_count", "merged", "one_line", "without_formula", "words", "words_html"]

NEW_LINE = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
"""Sign of a new line at the end of a word; the next word begins a line."""
LINE = 88
"""Number of characters in a line of words."""


def one_line(text: str, limit: int) -> str:
    """Return a text on one line, cut with an ellipsis after so many characters; white space alone as it is written."""
    plain = " ".join(text.split()) or repr(text)[1:-1]
    return plain if len(plain) <= limit else plain[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def without_formula(text: str) -> str:
    """Return a text whose dollar signs do not begin a formula in matplotlib."""
    return text.replace("$", r"\$")


def merged(values: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return (words,) sums over the tokens of each word.

    Args:
        values: (tokens, ...) attributions, whose further axes are added up.
        counts: number of tokens of each word.
    """
    totals = values.reshape(len(values), -1).sum(1)
    return np.array([part.sum() for part in np.split(totals, np.cumsum(counts)[:-1])])


def line_count(texts: Sequence[str]) -> int:
    """Return the number of lines that words take."""
    shown = [word for word in texts if word]
    return 1 + _placed(shown)[-1][0] if shown else 1


def words(axes: Axes, totals: np.ndarray, texts: Sequence[str], limit: float | None = None) -> None:
    """Draw words on the colours of their attributions, in lines, on matplotlib's axes.

    Args:
        axes: axes of matplotlib.
        totals: (words,) attributions of the words.
        texts: the words; empty ones, such as padding, are left out.
        limit: the value of the deepest colour; by default the largest absolute value.
    """
    colours = [colour for colour, word in zip(_colours(totals, limit), texts, strict=True) if word]
    texts, line = [word for word in texts if word], 0
    for (line, column), word, colour in zip(_placed(texts), texts, colours, strict=True):
        axes.text(
            column, -line, without_formula(word), family="monospace", fontsize=9, va="center",
            color="white" if dark(colour) else "black",
            bbox={"facecolor": colour / 255, "edgecolor": "none", "pad": 2},
        )  # fmt: skip
    axes.set_xlim(-0.5, LINE + 4)
    axes.set_ylim(-line - 0.7, 0.7)
    axes.set_axis_off()


def words_html(totals: np.ndarray, texts: Sequence[str], limit: float | None = None) -> str:
    """Return words on the colours of their attributions as HTML; the arguments are those of ``words``."""
    spans = []
    for word, total, colour in zip(texts, totals, _colours(totals, limit), strict=True):
        if not word:
            continue
        ink = "#fff" if dark(colour) else "#000"
        style = f"background:#{bytes(colour[:3]).hex()};color:{ink};padding:0 .2em;border-radius:.2em"
        breaks = "<br>" * word.count(NEW_LINE) if word.endswith(NEW_LINE) else ""
        spans.append(f'<span style="{style}" title="{float(total):.3g}">{html.escape(word)}</span>{breaks}')
    return '<p style="line-height:1.8;margin:.3em 0">' + " ".join(spans) + "</p>"


def _placed(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return line and column of each word."""
    places, line, column = [], 0, 0
    for word in texts:
        if column and column + len(word) > LINE:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(word) + 1
        if word.endswith(NEW_LINE):
            line, column = line + word.count(NEW_LINE), 0
    return places


def _colours(totals: np.ndarray, limit: float | None) -> list[np.ndarray]:
    finite = np.nan_to_num(totals, posinf=0, neginf=0)
    scale = limit or float(np.abs(finite).max(initial=0)) or 1.0
    return [colour_of(float(total) / scale) for total in finite]


def dark(colour: np.ndarray) -> bool:
    """Return whether white is easier to read than black on a colour (bytes), by the contrast that WCAG defines."""
    parts = np.asarray(colour[:3], float) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722]) < 0.179
