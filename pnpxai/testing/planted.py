"""Two tasks whose evidence is known for every example, and small models that learn them in seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pnpxai.explainers.base import Explainer
from pnpxai.metrics.localisation import RelevanceRankAccuracy
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits

__all__ = ["TASKS", "Drawn", "Task", "Transformer", "pictures", "rank_accuracy", "words"]

SIDE, LENGTH, WORDS, EXAMPLES = 16, 12, 20, 40
GLYPHS = torch.tensor(
    [
        [[0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]],
        [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1]],
        [[0, 1, 1, 1, 0], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [0, 1, 1, 1, 0]],
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]],
    ],
    dtype=torch.float32,
)


class Drawn(NamedTuple):
    """Examples of a task.

    Attributes:
        inputs: the examples.
        labels: their classes.
        truth: (examples, *positions) where the evidence is.
        emptied: the inputs without their evidence.
        replaced: the inputs with everything else replaced.
    """

    inputs: Tensor
    labels: Tensor
    truth: Tensor
    emptied: Tensor
    replaced: Tensor


@dataclass(frozen=True)
class Task:
    """Held-out examples of a task, with a model that has learnt it.

    Attributes:
        model: trained, in eval mode.
        examples: that it has not seen.
        traits: facts about the inputs.
    """

    model: nn.Module
    examples: Drawn
    traits: Traits

    def accuracy(self, inputs: Tensor) -> float:
        """Return the share of such inputs that the model puts into the examples' classes."""
        with torch.no_grad():
            return float((self.model(inputs).argmax(1) == self.examples.labels).double().mean())


def _background(count: int, draw: torch.Generator) -> Tensor:
    noise = torch.randn(count, 1, SIDE + 2, SIDE + 2, generator=draw)
    return F.avg_pool2d(noise, 3, stride=1) * 1.2


def pictures(count: int, seed: int) -> Drawn:
    """Return smooth noise (count, 1, 16, 16) with a glyph, which is the class, and a square, which means nothing."""
    draw = torch.Generator().manual_seed(seed)
    empty, other = _background(count, draw), _background(count, draw)
    labels = torch.randint(len(GLYPHS), (count,), generator=draw)
    truth = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for k in range(count):
        glyph, square = torch.randint(SIDE - 4, (2, 2), generator=draw)
        while (glyph - square).abs().max() < 6:  # they do not touch
            square = torch.randint(SIDE - 4, (2,), generator=draw)
        here = (slice(glyph[0], glyph[0] + 5), slice(glyph[1], glyph[1] + 5))
        truth[(k, *here)] = True
        for picture in (empty, other):
            picture[k, 0, square[0] : square[0] + 4, square[1] : square[1] + 4] += 2
    glyphs = torch.zeros_like(empty)
    glyphs[truth[:, None]] = GLYPHS[labels].flatten() * 2
    return Drawn(empty + glyphs, labels, truth, empty, other + glyphs)


def words(count: int, seed: int) -> Drawn:
    """Return ids (count, 12) with two markers, 1 and 2, whose order is the class; 0 stands for what is left out."""
    draw = torch.Generator().manual_seed(seed)
    empty, other = (torch.randint(3, WORDS, (count, LENGTH), generator=draw) for _ in range(2))
    for ids in (empty, other):
        ids[torch.rand(count, LENGTH, generator=draw) < 0.2] = 0
    places = torch.rand(count, LENGTH, generator=draw).argsort(1)[:, :2]
    labels = (places[:, 0] < places[:, 1]).long()
    markers = torch.tensor([1, 2]).expand(count, 2)
    truth = torch.zeros(count, LENGTH, dtype=torch.bool).scatter(1, places, True)
    return Drawn(empty.scatter(1, places, markers), labels, truth, empty, other.scatter(1, places, markers))


class Transformer(nn.Module):
    """Two layers of attention over ids (examples, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 24)
        self.place = nn.Parameter(0.3 * torch.randn(LENGTH, 24))
        layers = [nn.TransformerEncoderLayer(24, 2, 48, 0.0, batch_first=True) for _ in range(2)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(24, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, 2)."""
        return self.head(self.layers(self.embedding(ids) + self.place).mean(1))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1),
        nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, len(GLYPHS)),
    )  # fmt: skip


def _trained(model: nn.Module, inputs: Tensor, labels: Tensor, steps: int, rate: float) -> nn.Module:
    draw = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (64,), generator=draw)
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _task(draw: Callable[[int, int], Drawn], build: Callable[[], nn.Module], steps: int, rate: float) -> Task:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _trained(build(), *draw(4096, 1)[:2], steps, rate)
    return Task(model, draw(EXAMPLES, 2), Traits.image() if draw is pictures else Traits.text())


TASKS: dict[str, Callable[[], Task]] = {
    "pictures": functools.cache(functools.partial(_task, pictures, _convolutions, 300, 1e-2)),
    "words": functools.cache(functools.partial(_task, words, Transformer, 600, 5e-3)),
}
"""A convolutional network that tells glyphs apart, and a transformer that tells the order of two markers; each is
trained once, within seconds."""


def rank_accuracy(explainer: type[Explainer], task: Task) -> np.ndarray:
    """Return (examples,) the relevance rank accuracy of an explainer's maps with its default settings.

    Channels are summed, as they are by default.
    """
    inputs, labels, truth = task.examples[:3]
    maps = explainer(task.model).attribute(inputs, labels)
    if maps.ndim > truth.ndim:
        maps = PostProcessor.on(task.traits)(maps)
    return RelevanceRankAccuracy(task.model).evaluate(inputs, labels, maps, masks=truth).double().numpy()
