"""Draws a network from a seed: its kind of data, its blocks, what it returns."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pnpxai.explainers import Gradient
from pnpxai.testing.subject import close
from pnpxai.testing.zoo import Case, calibrated, drawn
from pnpxai.traits import Traits
from tests.fuzz.blocks import MAPS, SEQUENCES, TABLES
from tests.laws.trial import Trial

__all__ = ["architecture"]

WIDTH, OUTPUTS, WORDS = 8, 3, 12


class Network(nn.Module):
    """Blocks in a row on each input, joined in one head."""

    def __init__(self, stems: list[nn.Module], pool: str, returns: str) -> None:
        super().__init__()
        self.stems = nn.ModuleList(stems)
        self.pool, self.returns = pool, returns
        self.head = nn.Linear(WIDTH * len(stems), OUTPUTS)

    def forward(self, *inputs: Tensor):
        seen = torch.cat([self.pooled(stem(x)) for stem, x in zip(self.stems, inputs, strict=True)], 1)
        logits = self.head(seen)
        return {"plain": logits, "tuple": (logits, seen), "mapping": {"logits": logits, "features": seen}}[self.returns]

    def pooled(self, x: Tensor) -> Tensor:
        """Return (examples, width) of maps (examples, width, ...), sequences (examples, steps, width) or rows."""
        if x.ndim == 2:
            return x
        along = x.movedim(-1, 1).flatten(2) if x.ndim == 3 and x.shape[1] != WIDTH else x.flatten(2)
        return {"mean": along.mean(2), "largest": along.amax(2), "last": along[:, :, -1]}[self.pool]


class Sequence(nn.Module):
    """Embeds ids or takes vectors, and runs blocks along them; gives (examples, width, steps)."""

    def __init__(self, embedding: nn.Module, blocks: list[nn.Module], positions: bool) -> None:
        super().__init__()
        self.embedding = embedding
        self.places = nn.Parameter(torch.zeros(1, 7, WIDTH)) if positions else None
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        x = x if self.places is None else x + self.places[:, : x.shape[1]]
        return self.blocks(x).transpose(1, 2)


def maps(draw: random.Random, axes: int) -> nn.Module:
    first = (nn.Conv1d, nn.Conv2d)[axes - 1](2, WIDTH, 3, padding=1)
    blocks = [draw.choice(MAPS)(draw, axes, WIDTH) for _ in range(draw.randint(1, 4))]
    return nn.Sequential(first, *blocks)


def sequence(draw: random.Random, *, ids: bool) -> nn.Module:
    embedding = nn.Embedding(WORDS, WIDTH) if ids else nn.Linear(5, WIDTH)
    blocks = [draw.choice(SEQUENCES)(draw, WIDTH) for _ in range(draw.randint(1, 3))]
    return Sequence(embedding, blocks, draw.random() < 0.5)


def table(draw: random.Random) -> nn.Module:
    blocks = [draw.choice(TABLES)(draw, WIDTH) for _ in range(draw.randint(1, 4))]
    return nn.Sequential(nn.Linear(6, WIDTH), *blocks)


def ids_of(size: int, generator: torch.Generator) -> Tensor:
    """Draw different words for each row, since the largest of two that are the same is decided by rounding."""
    return torch.rand(size, WORDS - 1, generator=generator).argsort(1)[:, :7] + 1


KINDS: dict[str, tuple[Traits, Callable[..., Tensor], Callable[[random.Random], nn.Module]]] = {
    "pictures": (Traits.image(), drawn(2, 8, 8), lambda draw: maps(draw, 2)),
    "series": (Traits.series(), drawn(2, 12), lambda draw: maps(draw, 1)),
    "steps": (Traits.series(2), drawn(7, 5), lambda draw: sequence(draw, ids=False)),
    "words": (Traits.text(), ids_of, lambda draw: sequence(draw, ids=True)),
    "rows": (Traits.table(), drawn(6), table),
}
"""Kinds of data: facts about an input, what draws it, what draws the blocks that read it."""


class _Winners(TorchFunctionMode):
    """Notes which places hold the largest values, wherever a network takes these."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Tensor] = []

    @classmethod
    def of(cls, case: Case) -> tuple[Tensor, ...]:
        with torch.no_grad(), cls() as winners:
            case.model(*case.tensors)
        return tuple(winners.places)

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "max" in getattr(func, "__name__", "") and "softmax" not in func.__name__ and isinstance(args[0], Tensor):
            with torch.enable_grad():
                leaf = args[0].detach().requires_grad_()
                largest = func(leaf, *args[1:], **kwargs)
                self.places.append(torch.autograd.grad(largest.sum(), leaf)[0])
        return func(*args, **kwargs)


def architecture(seed: int) -> Case:
    """Return a calibrated network with a batch; the same for the same seed.

    Raises:
        ValueError: its outputs cannot be told apart, or are but rounding errors, an input has no effect, or
            autograd fails on it.
    """
    draw = random.Random(seed)
    names = [draw.choice(sorted(KINDS))]
    if names[0] in ("pictures", "rows", "series") and draw.random() < 0.25:
        names.append(draw.choice(("pictures", "rows", "series")))
    kinds = [KINDS[name] for name in names]

    def build() -> nn.Module:
        stems = [stem(draw) for _, _, stem in kinds]
        pool = draw.choice(("mean", "mean", "largest", "last"))
        return Network(stems, pool, draw.choice(("plain", "plain", "tuple", "mapping")))

    def inputs(size: int, generator: torch.Generator):
        values = tuple(values_of(size, generator) for _, values_of, _ in kinds)
        return values if len(values) > 1 else values[0]

    layer = "stems.0.embedding" if names[0] == "words" else None
    case = calibrated(
        f"fuzz {seed}: {' and '.join(names)}", build, inputs, kinds[0][0], seed=seed, layer=layer, centred=True
    )
    try:
        gradients = Trial(Gradient, case).gradient()
        alone = [Trial(Gradient, case.take(slice(k, k + 1))).gradient() for k in range(len(case))]
        single = Trial(Gradient, case.to(torch.float32)).gradient()
    except RuntimeError as error:  # such as a result of relu that is changed in place
        raise ValueError(f"{case.name}: {error}") from error
    slopes = [float(g.abs().max()) for g in gradients]
    rows = tuple(torch.cat(parts) for parts in zip(*alone, strict=True))
    if not close(gradients, rows, 1e-6) or not close(gradients, single, 1e-2):
        # such as that of a norm of what is all but constant, or of the largest of two positions that tie
        raise ValueError(f"{case.name}: its gradients are decided by rounding")
    if not close(_Winners.of(case), _Winners.of(case.to(torch.float32)), 1e-3):  # such as of saturated values
        raise ValueError(f"{case.name}: which value is the largest is decided by rounding")
    if min(slopes) < 1e-6 * max(slopes):  # such as that of a mean over what a norm has centred
        raise ValueError(f"{case.name}: an input has no effect")
    if not close((case.scores(),), (case.to(torch.float32).scores(),), 1e-3):
        raise ValueError(f"{case.name}: its outputs are rounding errors")
    return case
