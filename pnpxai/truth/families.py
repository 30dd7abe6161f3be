"""The families of problems: twelve to choose rules on, twelve to judge them on; a third of each is redundant."""

from __future__ import annotations

import functools

from pnpxai.truth import nets
from pnpxai.truth.draws import COLUMNS, PATTERNS, SENSORS, WORDS, patches, series_events, table, text
from pnpxai.truth.problem import Family

__all__ = ["FAMILIES"]


def _image(name: str, split: str, pattern: str, copies: int = 1) -> Family:
    shapes = PATTERNS[pattern]
    net = functools.partial(nets.pictures, shapes.shape[1], len(shapes))
    return Family(name, "image", split, copies > 1, patches(pattern, copies), net, 300)


def _table(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    net = functools.partial(nets.columns, COLUMNS, 4 if rule == "largest" else 2)
    return Family(name, "table", split, redundant, table(rule), net, 500)


def _series(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    net = functools.partial(nets.series, SENSORS, 2)
    return Family(name, "series", split, redundant, series_events(rule), net, 250)


def _text(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    return Family(name, "text", split, redundant, text(rule), functools.partial(nets.Reader, WORDS, 2), 400)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _image("glyph", "dev", "glyph"),
        _image("mark", "dev", "mark"),
        _image("glyph copies", "dev", "glyph", 2),
        _table("additive", "dev", "additive"),
        _table("interaction", "dev", "interact"),
        _table("column copies", "dev", "copies", redundant=True),
        _series("bump", "dev", "bump"),
        _series("trend", "dev", "trend"),
        _series("bump repeats", "dev", "repeats", redundant=True),
        _text("order", "dev", "order"),
        _text("pair", "dev", "pair"),
        _text("word repeats", "dev", "repeats", redundant=True),
        _image("texture", "held", "texture"),
        _image("colour", "held", "colour"),
        _image("texture copies", "held", "texture", 2),
        _table("gate", "held", "gate"),
        _table("largest", "held", "largest"),
        _table("majority", "held", "majority", redundant=True),
        _series("frequency", "held", "frequency"),
        _series("sensor order", "held", "order"),
        _series("sensor copies", "held", "sensors", redundant=True),
        _text("negation", "held", "negation"),
        _text("needle", "held", "needle"),
        _text("synonyms", "held", "synonyms", redundant=True),
    )
}
