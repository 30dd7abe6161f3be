"""A problem: data whose evidence is known, a small net trained on it, and the proof that the net uses the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pnpxai.traits import Traits

__all__ = ["Drawn", "Family", "Problem", "Proof", "trained"]


@dataclass(frozen=True)
class Drawn:
    """Examples of a problem.

    Attributes:
        inputs: (examples, ...) what the net is given.
        labels: (examples,) the classes.
        truth: the positions that hold the evidence: (examples, *positions), of series each sensor's.
        emptied: the inputs without their evidence.
        replaced: the inputs with all else replaced.
    """

    inputs: Tensor
    labels: Tensor
    truth: Tensor
    emptied: Tensor
    replaced: Tensor


@dataclass(frozen=True)
class Proof:
    """What the net says of inputs with and without their evidence, as shares of right answers.

    Attributes:
        accuracy: of new inputs.
        emptied: without the evidence; the share of the most frequent class at best.
        replaced: with all else replaced.
        chance: the share of the most frequent class.
    """

    accuracy: float
    emptied: float
    replaced: float
    chance: float

    @property
    def holds(self) -> bool:
        """True if the net is right, for the sake of the evidence alone."""
        return self.accuracy > 0.9 and self.emptied < self.chance + 0.15 and self.replaced > 0.85


@dataclass(frozen=True)
class Problem:
    """Examples that a trained net has not seen, with what is known of them.

    Attributes:
        family: the family's name.
        seed: which of the family.
        model: the net, in eval mode.
        examples: new examples that the net gets right.
        background: (rows, ...) inputs that the net was trained on.
        traits: facts about the inputs.
        proof: that the net uses the evidence.
    """

    family: Family
    seed: int
    model: nn.Module
    examples: Drawn
    background: Tensor
    traits: Traits
    proof: Proof


@dataclass(frozen=True)
class Family:
    """Problems of one kind, which differ in what is drawn by their seed.

    Attributes:
        name: the name.
        kind: "image", "table", "series", "text" or "graph".
        split: "dev", to choose rules on, or "held", to judge them on once.
        redundant: whether the evidence stands more than once, so that one part can go without a loss.
        draw: (count, seed of the problem, seed of the examples) -> examples.
        fit: (examples, seed) -> a net in eval mode that was trained on them, or that comes trained.
        n_seen: number of examples to train on.
        n_new: number of examples the proof is measured on.
        needs: names and versions of the packages that hold trained weights or data.
    """

    name: str
    kind: str
    split: str
    redundant: bool
    draw: Callable[[int, int, int], Drawn]
    fit: Callable[[Drawn, int], nn.Module]
    n_seen: int = 2048
    n_new: int = 256
    needs: tuple[tuple[str, str], ...] = ()

    @property
    def traits(self) -> Traits:
        """Facts about the inputs; a graph is given by its edges."""
        known = {"image": Traits.image, "table": Traits.table, "series": Traits.series, "text": Traits.text}
        return known[self.kind]() if self.kind in known else Traits(self.kind, None, 1)

    def problem(self, seed: int, n_examples: int = 16) -> Problem:
        """Train a net on the problem of a seed, and draw new examples."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # of the CPU, which alone is forked
            seen = self.draw(self.n_seen, seed, 1)
            model = self.fit(seen, seed)
        new = self.draw(self.n_new, seed, 2)
        right = {n: _classes(model, getattr(new, n)) == new.labels for n in ("inputs", "emptied", "replaced")}
        shares = {name: float(of.double().mean()) for name, of in right.items()}
        chance = float(new.labels.bincount().max()) / len(new.labels)
        proof = Proof(shares["inputs"], shares["emptied"], shares["replaced"], chance)
        rows = right["inputs"].nonzero()[:n_examples, 0]
        kept = Drawn(*(getattr(new, n)[rows] for n in ("inputs", "labels", "truth", "emptied", "replaced")))
        return Problem(self, seed, model, kept, seen.inputs[:256], self.traits, proof)


def _classes(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in inputs.split(64)])


def trained(net: Callable[[], nn.Module], steps: int, seen: Drawn, seed: int) -> nn.Module:
    """Return a net that was trained on examples, from the global random state, in so many steps."""
    model, draw = net(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(seen.inputs), (64,), generator=draw)
        optimizer.zero_grad()
        functional.cross_entropy(model(seen.inputs[rows]), seen.labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()
