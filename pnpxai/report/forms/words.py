"""Draws words on the colours of their attributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pnpxai.pictures import View, colour_of, dark, merged, words_of_example
from pnpxai.report.forms.base import Form, per_position

__all__ = ["DEPTHS", "WordsForm", "shades"]

DEPTHS = 16
"""Number of steps of a word's colour from neutral to the deepest."""
_LONG = 60
"""Number of words from which on a text is drawn wider."""


class WordsForm(Form):
    """Draws words, or ids, on the colours of their attributions."""

    kind = "tokens"

    def __init__(self, view: View, x: np.ndarray, maps: Sequence[np.ndarray], k: int) -> None:
        self.texts, self.counts = words_of_example(k, x, view)
        if maps and k >= len(view.words):  # positions without a value in any map are the padding of a shorter text
            known = np.any([~np.isnan(per_position(values[: len(x)])) for values in maps], axis=0)
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
        return merged(values[: sum(self.counts)], self.counts)  # maps are as long as the longest text


def shades() -> str:
    """Return the CSS of words: from blue (against the target) over neutral to red (for it)."""
    rules = []
    for k in range(2 * DEPTHS + 1):
        colour = colour_of(k / DEPTHS - 1)
        ink = "#fff" if dark(colour) else "#000"
        rules.append(f".w{k} {{ background: #{bytes(colour[:3]).hex()}; color: {ink}; }}")
    return "\n".join(rules)
