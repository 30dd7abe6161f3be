"""The families of problems: fifteen to choose rules on, sixteen to judge them on; a third of each is redundant."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import nn

from pnpxai.truth import nets, real_draws, real_nets
from pnpxai.truth.draws import COLUMNS, PATTERNS, SENSORS, WORDS, patches, series_events, table, text
from pnpxai.truth.graphs import GraphNet, motifs
from pnpxai.truth.problem import Drawn, Family, trained

__all__ = ["FAMILIES"]


def _fit(net: Callable[[], nn.Module], steps: int) -> Callable[[Drawn, int], nn.Module]:
    return functools.partial(trained, net, steps)


def _image(name: str, split: str, pattern: str, copies: int = 1) -> Family:
    shapes = PATTERNS[pattern]
    net = functools.partial(nets.pictures, shapes.shape[1], len(shapes))
    return Family(name, "image", split, copies > 1, patches(pattern, copies), _fit(net, 300))


def _table(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    net = functools.partial(nets.columns, COLUMNS, 4 if rule == "largest" else 2)
    return Family(name, "table", split, redundant, table(rule), _fit(net, 500))


def _series(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    net = functools.partial(nets.series, SENSORS, 2)
    return Family(name, "series", split, redundant, series_events(rule), _fit(net, 250))


def _text(name: str, split: str, rule: str, *, redundant: bool = False) -> Family:
    net = functools.partial(nets.Reader, WORDS, 2)
    return Family(name, "text", split, redundant, text(rule), _fit(net, 400))


def _graph(name: str, split: str, copies: int) -> Family:
    return Family(name, "graph", split, copies > 1, motifs(copies), _fit(GraphNet, 400))


def _objects(seen: Drawn, seed: int) -> nn.Module:
    return real_nets.ChosenClasses(real_nets.efficientnet_lite0(), tuple(real_draws.OBJECTS.values())).eval()


def _faces(seen: Drawn, seed: int) -> nn.Module:
    return real_nets.FaceQuadrants(real_nets.centerface()).eval()


def _mails(seen: Drawn, seed: int) -> nn.Module:
    return real_nets.fitted_probe(seen.inputs, seen.labels)


_DIGITS = functools.partial(nets.pictures, 1, 5)


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
        Family("digit copies", "image", "dev", True, real_draws.digits(2), _fit(_DIGITS, 200), needs=real_draws.DIGITS),
        Family("faces", "image", "dev", False, real_draws.faces, _faces, 32, 64, real_nets.CENTERFACE),
        _graph("motif", "dev", 1),
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
        Family("mosaic", "image", "held", False, real_draws.mosaics, _objects, 32, 64, real_nets.EFFICIENTNET),
        Family("pasted", "image", "held", False, real_draws.pasted, _objects, 32, 64, real_nets.EFFICIENTNET),
        Family(
            "mails", "text", "held", False, real_draws.mails, _mails, 1024, 128, (*real_nets.MINILM, *real_draws.MAILS)
        ),
        _graph("motif copies", "held", 2),
    )
}
