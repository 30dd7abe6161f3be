"""How far Shapley values are from exact ones, by budget: ours beside captum's KernelShap.

    python benchmarks/games.py [--seeds 10] [--games digits wine breast_cancer transformer] [--out games.json]

The games are those of small trained networks, of which all 2^n coalitions are run once; estimators then play from
these tables, with equal numbers of coalitions. Printed is the median over examples and seeds of |error|^2 / |phi|^2.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnpxai.attributors import KernelShap
from pnpxai.attributors.perturbation.designs import every_coalition
from pnpxai.attributors.perturbation.estimates import weighted_gains

BUDGETS = (2, 4, 8, 32)


@dataclass(frozen=True)
class Game:
    """The scores (examples, 2^n) of all coalitions of some examples of a trained network."""

    name: str
    scores: Tensor

    @property
    def players(self) -> int:
        """Number of players."""
        return int(math.log2(self.scores.shape[1]))

    def model(self, example: int) -> Callable[[Tensor], Tensor]:
        """Return a model of rows of zeros and ones, which looks its scores up."""
        table, places = self.scores[example], 2 ** torch.arange(self.players)
        return lambda rows: table[((rows > 0.5).long() * places).sum(1)]


def trained(model: nn.Module, x: Tensor, y: Tensor, steps: int = 400) -> nn.Module:
    """Train a classifier for some steps."""
    source, optimiser = torch.Generator().manual_seed(0), torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=source)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def played(name: str, model: nn.Module, x: Tensor, ids: Tensor) -> Game:
    """Run all coalitions of the groups ``ids`` of each example; zeros stand in for what is absent."""
    coalitions = every_coalition(int(ids.max()) + 1)
    tables = []
    for row in x:
        target = int(model(row[None]).argmax())
        parts = [
            model(torch.where(part[:, ids], row, torch.zeros_like(row)))[:, target] for part in coalitions.split(2048)
        ]
        tables.append(torch.cat(parts).double())
    return Game(name, torch.stack(tables))


def digits() -> Game:
    """A convolutional network on 8 x 8 digits, in 16 squares."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data).float().reshape(-1, 1, 8, 8) / 16, torch.tensor(data.target)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    side = torch.arange(8) // 2
    return played("digits", trained(model, x, y), x[:3], (side[:, None] * 4 + side)[None])


def table(name: str, columns: int) -> Game:
    """A network on the first columns of a table of scikit-learn's, standardised."""
    from sklearn import datasets

    torch.manual_seed(0)
    data = getattr(datasets, f"load_{name}")()
    x, y = torch.tensor(data.data).float()[:, :columns], torch.tensor(data.target)
    x = (x - x.mean(0)) / x.std(0)
    model = nn.Sequential(
        nn.Linear(columns, 48), nn.ReLU(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, int(y.max()) + 1)
    )
    return played(name, trained(model, x, y), x[:60:10], torch.arange(columns))


class Reader(nn.Module):
    """A small transformer over 14 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(30, 32), nn.Parameter(torch.randn(14, 32) * 0.3)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)
        self.body, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(32, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (examples, 2) scores."""
        return self.out(self.body(self.embedding(ids) + self.places).mean(1))


def transformer() -> Game:
    """A transformer that counts two kinds of words, whose difference one word turns round."""
    torch.manual_seed(0)
    ids = torch.randint(2, 30, (4000, 14))
    more = ((ids < 6).sum(1) - (ids > 25).sum(1)) > 0
    model = trained(Reader(), ids, (more ^ (ids == 10).any(1)).long(), 500)
    return played("transformer", model, ids[:6], torch.arange(14))


GAMES: dict[str, Callable[[], Game]] = {
    "digits": digits,
    "wine": lambda: table("wine", 13),
    "breast_cancer": lambda: table("breast_cancer", 14),
    "transformer": transformer,
}


def error(values: Tensor, exact: Tensor) -> float:
    """Return |error|^2 / |phi|^2."""
    return float((values - exact).square().sum() / exact.square().sum())


def ours(game: Game, example: int, calls: int, seed: int) -> Tensor:
    """Return this package's values."""
    rows = torch.ones(1, game.players, dtype=torch.float64)
    return KernelShap(game.model(example)).attribute(rows, n_samples=calls, seed=seed)[0]


def captums(game: Game, example: int, calls: int, seed: int) -> Tensor:
    """Return captum's values."""
    from captum.attr import KernelShap as Rival

    torch.manual_seed(seed)
    rows = torch.ones(1, game.players)
    model = game.model(example)
    return Rival(lambda x: model(x).float()).attribute(rows, n_samples=calls, perturbations_per_eval=calls)[0].double()


def main() -> None:
    """Print a table and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--out")
    options = parser.parse_args()
    lines = []
    for name in options.games:
        game = GAMES[name]()
        exact = weighted_gains(every_coalition(game.players), game.scores)
        for budget in BUDGETS:
            line: dict[str, object] = {"game": name, "players": game.players, "calls": budget * game.players}
            for who, values in (("ours", ours), ("captum", captums)):
                start = time.process_time()
                errors = [
                    error(values(game, e, budget * game.players, seed), exact[e])
                    for e in range(len(game.scores))
                    for seed in range(options.seeds)
                ]
                line[who] = statistics.median(errors)
                line[f"{who} CPU-s"] = round((time.process_time() - start) / len(errors), 4)
            lines.append(line)
            print(
                "  ".join(f"{k} {v:.2e}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()), flush=True
            )
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(lines, file, indent=1)


if __name__ == "__main__":
    main()
