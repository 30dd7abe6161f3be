"""Draws of examples with known evidence: pictures, tables, series and texts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pnpxai.truth.problem import Drawn

__all__ = ["COLUMNS", "PATTERNS", "SENSORS", "WORDS", "generator", "patches", "series_events", "table", "text"]

SIDE, COLUMNS, SENSORS, STEPS, LENGTH, WORDS = 16, 12, 4, 32, 12, 24

_BURST = torch.arange(8) / 8 * 2 * torch.pi
PATTERNS: dict[str, Tensor] = {
    "glyph": torch.tensor([
        [[0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]],
        [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1]],
        [[0, 1, 1, 1, 0], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [0, 1, 1, 1, 0]],
    ]).float()[:, None] * 2,
    "mark": torch.tensor([
        [[2, 2, -2, -2], [-2, -2, 2, 2]], [[2, 2, 2, 2], [-2, -2, -2, -2]], [[-2, -2, 2, 2], [-2, -2, 2, 2]],
    ]).float()[:, None],
    "texture": torch.stack([
        (torch.arange(6) % 2)[:, None].expand(6, 6), (torch.arange(6) % 2)[None].expand(6, 6),
        (torch.arange(6)[:, None] + torch.arange(6)) % 2,
    ]).float()[:, None] * 4 - 2,
    "colour": torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) * 3,
}  # fmt: skip
"""(classes, channels, height, width) what a class looks like; it is added to smooth noise."""


def generator(*seeds: int) -> torch.Generator:
    """Return a generator that several seeds fix together."""
    number = 0
    for seed in seeds:
        number = number * 1009 + seed + 1
    return torch.Generator().manual_seed(number)


def patches(pattern: str, copies: int = 1) -> Callable[[int, int, int], Drawn]:
    """Return a draw of pictures: smooth noise, a pattern that is the class, a square that means nothing."""
    shapes = PATTERNS[pattern]
    channels, height, width = shapes.shape[1:]

    def draw(count: int, problem: int, seed: int) -> Drawn:
        g = generator(problem, seed, 11)
        backs = [
            functional.avg_pool2d(torch.randn(count, channels, SIDE + 2, SIDE + 2, generator=g), 3, 1) for _ in "ab"
        ]
        empty, other = (back * 1.2 for back in backs)
        labels = torch.randint(len(shapes), (count,), generator=g)
        planted, truth = torch.zeros_like(empty), torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
        for k in range(count):
            free = torch.ones(SIDE, SIDE, dtype=torch.bool)
            for part in range(copies + 1):
                size = (height, width) if part < copies else (3, 3)
                y, x = _place(free, size, g)
                here = (slice(y, y + size[0]), slice(x, x + size[1]))
                free[max(y - 1, 0) : y + size[0] + 1, max(x - 1, 0) : x + size[1] + 1] = False
                if part < copies:
                    planted[(k, slice(None), *here)] = shapes[labels[k]]
                    truth[(k, *here)] = True
                else:
                    empty[(k, slice(None), *here)] += 1.5
                    other[(k, slice(None), *here)] += 1.5
        return Drawn(empty + planted, labels, truth, empty, other + planted)

    return draw


def _place(free: Tensor, size: tuple[int, int], g: torch.Generator) -> tuple[int, int]:
    """Return a place at which a rectangle covers nothing that is taken."""
    fits = functional.avg_pool2d(free[None].float(), size, 1)[0] == 1
    places = (fits if fits.any() else torch.ones_like(fits)).nonzero()
    y, x = places[int(torch.randint(len(places), (1,), generator=g))].tolist()
    return y, x


def table(rule: str) -> Callable[[int, int, int], Drawn]:
    """Return a draw of rows of normal numbers of which a few columns, drawn for the problem, decide."""

    def draw(count: int, problem: int, seed: int) -> Drawn:
        a, b, c, d = torch.randperm(COLUMNS, generator=generator(problem, 5))[:4].tolist()
        g = generator(problem, seed, 12)
        x, empty, other = (torch.randn(count, COLUMNS, generator=g) for _ in range(3))
        every = torch.zeros(count, COLUMNS, dtype=torch.bool)
        if rule == "copies":  # the same number in three columns
            for column in (b, c):
                x[:, column] = x[:, a] + 0.1 * x[:, column]
        if rule == "additive":
            score, used = x[:, a] + x[:, b] - x[:, c], (a, b, c)
        elif rule == "interact":
            score, used = x[:, a] * x[:, b], (a, b)
        elif rule == "gate":
            score, used = torch.where(x[:, a] > 0, x[:, b], x[:, c]), (a,)
            every[:, b], every[:, c] = x[:, a] > 0, x[:, a] <= 0
        elif rule == "copies":
            score, used = x[:, [a, b, c]].sum(1), (a, b, c)
        elif rule == "majority":  # three columns that mostly agree: any two of them suffice
            sign = torch.randint(2, (count, 1), generator=g) * 2.0 - 1
            x[:, [a, b, c]] = sign * (1 + 0.3 * x[:, [a, b, c]].abs())
            score, used = sign[:, 0], (a, b, c)
        else:  # which of four is the largest
            score, used = None, (a, b, c, d)
        every[:, list(used)] = True
        labels = x[:, [a, b, c, d]].argmax(1) if score is None else (score > 0).long()
        return Drawn(x, labels, every, torch.where(every, empty, x), torch.where(every, x, other))

    return draw


def series_events(rule: str) -> Callable[[int, int, int], Drawn]:
    """Return a draw of noisy series with an event on a sensor, drawn for the problem, and events elsewhere."""

    def draw(count: int, problem: int, seed: int) -> Drawn:
        sensors = torch.randperm(SENSORS, generator=generator(problem, 6)).tolist()
        g = generator(problem, seed, 13)
        empty, other = (0.4 * torch.randn(count, SENSORS, STEPS, generator=g) for _ in range(2))
        labels = torch.randint(2, (count,), generator=g)
        planted, truth = torch.zeros_like(empty), torch.zeros(count, SENSORS, STEPS, dtype=torch.bool)
        bump = 2 * torch.sin(_BURST / 2 + 0.2)
        for k in range(count):
            sign = 2.0 * labels[k] - 1
            events: list[tuple[int, int, Tensor]] = []
            start = int(torch.randint(STEPS - 8, (1,), generator=g))
            if rule == "bump":
                events = [(sensors[0], start, sign * bump)]
            elif rule == "frequency":
                events = [(sensors[0], start, 2 * torch.sin(_BURST * (1 + 2 * labels[k])))]
            elif rule == "trend":
                events = [(sensors[0], start, sign * torch.linspace(-2.5, 2.5, 8))]
            elif rule == "order":
                first, then = sensors[:2] if labels[k] else sensors[1::-1]
                early = int(torch.randint(8, (1,), generator=g))
                events = [(first, early, bump), (then, early + 16, bump)]
            elif rule == "sensors":
                events = [(sensor, start, sign * bump) for sensor in sensors[:3]]
            else:  # the same event three times
                places = [int(torch.randint(3, (1,), generator=g)) + 10 * part for part in range(3)]
                events = [(sensors[0], place, sign * bump) for place in places]
            for sensor, place, values in events:
                planted[k, sensor, place : place + 8] = values
                truth[k, sensor, place : place + 8] = True
            idle = sensors[3]  # its events mean nothing
            for noise in (empty, other):
                at = int(torch.randint(STEPS - 8, (1,), generator=g))
                noise[k, idle, at : at + 8] += bump * (2.0 * torch.randint(2, (1,), generator=g) - 1)
        return Drawn(empty + planted, labels, truth, empty, other + planted)

    return draw


def text(rule: str) -> Callable[[int, int, int], Drawn]:
    """Return a draw of ids with a few that decide; 0 stands for what is left out, and stands among the others too."""

    def draw(count: int, problem: int, seed: int) -> Drawn:
        g = generator(problem, seed, 14)
        low = 10
        empty, other = (torch.randint(low, WORDS, (count, LENGTH), generator=g) for _ in range(2))
        for ids in (empty, other):
            ids[torch.rand(count, LENGTH, generator=g) < 0.2] = 0
        key = torch.randperm(low - 1, generator=generator(problem, 7)) + 1
        labels = torch.randint(2, (count,), generator=g)
        planted = torch.full((count, LENGTH), -1)
        for k in range(count):
            places = torch.randperm(LENGTH, generator=g).tolist()
            y = int(labels[k])
            if rule == "order":
                low_place, high_place = sorted(places[:2])
                planted[k, low_place], planted[k, high_place] = (key[0], key[1]) if y else (key[1], key[0])
            elif rule == "pair":  # the classes differ in which word goes with the first: both are needed
                first = int(torch.randint(2, (1,), generator=g))
                planted[k, places[0]], planted[k, places[1]] = key[first], key[2 + (first ^ y)]
            elif rule == "negation":
                negated = int(torch.randint(2, (1,), generator=g))
                at = min(places[0], LENGTH - 2)
                planted[k, at], planted[k, at + 1] = key[2 + negated], key[y ^ negated]
            elif rule == "needle":
                planted[k, places[0]] = key[y]
            elif rule == "repeats":
                planted[k, places[:3]] = key[y]
            else:  # synonyms: two words that say the same
                planted[k, places[0]], planted[k, places[1]] = key[y], key[2 + y]
        truth = planted >= 0
        return Drawn(torch.where(truth, planted, empty), labels, truth, empty, torch.where(truth, planted, other))

    return draw
