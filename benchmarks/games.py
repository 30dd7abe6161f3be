"""How far Shapley values are from exact ones, by the number of calls: ours beside captum's, shap's and shapiq's.

    benchmarks/rivals.sh games.py [--seeds 10] [--games digits wine ...] [--out games.json]
    benchmarks/rivals.sh games.py --speed

All play from the tables of ``game_tables.py``, with equal numbers of calls. Printed is the median over examples and
seeds of |error|^2 / |phi|^2. Rivals that are not installed are left out (``rivals.sh`` has them all). With ``--speed``,
the CPU seconds of 200 rows x 30 columns of a network at 1,000 calls are printed instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from game_tables import GAMES, Game
from torch import Tensor, nn

from pnpxai.attributors import KernelShap
from pnpxai.attributors.perturbation.designs import every_coalition
from pnpxai.attributors.perturbation.estimates import weighted_gains

BUDGETS = (2, 4, 8, 32)
Scores = Callable[[Tensor], Tensor]
"""Gives the scores of rows of zeros and ones."""


def looked_up(table: Tensor) -> Scores:
    """Return a model of rows of zeros and ones, which looks its scores up."""
    places = 2 ** torch.arange(table.shape[0].bit_length() - 1)
    return lambda rows: table[((rows > 0.5).long() * places).sum(1)]


def ours(scores: Scores, n: int, calls: int, seed: int) -> Any:
    """Return this package's values."""
    return KernelShap(scores).attribute(torch.ones(1, n, dtype=torch.float64), n_samples=calls, seed=seed)[0]


def captums(scores: Scores, n: int, calls: int, seed: int) -> Any:
    """Return captum's values."""
    from captum.attr import KernelShap as Rival

    torch.manual_seed(seed)
    model = lambda rows: scores(rows).float()  # noqa: E731
    return Rival(model).attribute(torch.ones(1, n), n_samples=calls, perturbations_per_eval=calls)[0]


def shaps_kernel(scores: Scores, n: int, calls: int, seed: int) -> Any:
    """Return the values of shap's KernelExplainer, which runs the empty and the full coalition beside its samples."""
    import shap

    np.random.seed(seed)
    model = lambda rows: scores(torch.from_numpy(rows)).numpy()  # noqa: E731
    return shap.KernelExplainer(model, np.zeros((1, n))).shap_values(
        np.ones((1, n)), nsamples=calls - 2, l1_reg=False, silent=True
    )[0]


def shaps_permutation(scores: Scores, n: int, calls: int, seed: int) -> Any:
    """Return the values of shap's PermutationExplainer, which needs at least 2 n + 1 calls."""
    import shap

    model = lambda rows: scores(torch.from_numpy(rows)).numpy()  # noqa: E731
    explainer = shap.PermutationExplainer(model, np.zeros((1, n)), seed=seed)
    return explainer(np.ones((1, n)), max_evals=max(calls, 2 * n + 1), silent=True).values[0]


def shapiqs(name: str) -> Callable[..., Any]:
    """Return the values of one of shapiq's approximators."""

    def values(scores: Scores, n: int, calls: int, seed: int) -> Any:
        from shapiq import approximator

        kind = getattr(approximator, name)
        settings = {"index": "SV", "max_order": 1} if name == "ProxySPEX" else {}
        made = kind(n=n, random_state=seed, **settings)
        start = float(scores(torch.zeros(1, n)))
        game = lambda rows: scores(torch.from_numpy(np.atleast_2d(rows) + 0.0)).numpy() - start  # noqa: E731
        return made.approximate(calls, game).get_n_order_values(1)

    return values


SHAPIQ = ("KernelSHAP", "UnbiasedKernelSHAP", "SVARM", "PermutationSamplingSV", "StratifiedSamplingSV", "ProxySPEX")
PLAYERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "ours": ("pnpxai", ours),
    "captum": ("captum", captums),
    "shap kernel": ("shap", shaps_kernel),
    "shap permutation": ("shap", shaps_permutation),
} | {f"shapiq {name}": ("shapiq", shapiqs(name)) for name in SHAPIQ}


def errors(name: str, game: Game, exact: Tensor, calls: int, seeds: int) -> list[float]:
    """Return |error|^2 / |phi|^2 of every example and seed; none where a rival refuses or does not finish.

    Each example has seeds of its own: with the same ones, one lucky plan would count for all examples.
    """
    found = []
    for example, (table, values) in enumerate(zip(game.scores, exact, strict=True)):
        for seed in range(example * seeds, (example + 1) * seeds):
            try:
                given = PLAYERS[name][1](looked_up(table), game.players, calls, seed)
            except Exception as problem:  # noqa: BLE001  (whatever a rival raises, it has no values)
                print(f"{name}: {type(problem).__name__}: {problem}", flush=True)
                return []
            off = torch.as_tensor(np.asarray(given), dtype=torch.float64) - values
            found.append(float(off.square().sum() / values.square().sum()))
    return found


def accuracy(options: argparse.Namespace, who: list[str]) -> None:
    """Print a line for each game and budget, and write them as JSON where asked."""
    lines = []
    for name in options.games:
        game = Game.named(name)
        exact = weighted_gains(every_coalition(game.players), game.scores)
        for budget in BUDGETS:
            line: dict[str, Any] = {"game": name, "players": game.players, "calls": budget * game.players}
            for rival in who:
                start = time.process_time()
                off = errors(rival, game, exact, budget * game.players, options.seeds)
                if off:
                    spent = (time.process_time() - start) / len(off)
                    line[rival] = {"error": statistics.median(off), "CPU-ms": round(1000 * spent, 1)}
            lines.append(line)
            best = min((v["error"] for k, v in line.items() if k in who and k != "ours"), default=float("nan"))
            print(f"{name} {budget}n: {line['ours']['error'] / best:.2f} of the best rival's error", flush=True)
            for rival in who:
                if rival in line:
                    print(f"    {rival:30} {line[rival]['error']:.2e}  {line[rival]['CPU-ms']:8.1f} CPU-ms", flush=True)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(lines, file, indent=1)


def speed() -> None:
    """Print the CPU seconds of 200 rows x 30 columns at 1,000 calls; shap also as it comes, selecting ten columns."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)).eval()
    rows = torch.randn(200, 30)

    @torch.no_grad()
    def scores(x: np.ndarray) -> np.ndarray:
        return model(torch.from_numpy(x).float())[:, 1].numpy()

    def shaps(**settings: Any) -> None:
        import shap

        explainer = shap.KernelExplainer(scores, np.zeros((1, 30)))
        explainer.shap_values(rows.numpy(), nsamples=998, silent=True, **settings)

    runs = {
        "ours": lambda: KernelShap(model).attribute(rows, target=1, n_samples=1000),
        "shap, all columns": lambda: shaps(l1_reg=False),
        "shap, its defaults": shaps,
    }
    spent: dict[str, float] = {}
    for _ in range(2):  # alternately, of which the faster counts
        for name, run in runs.items():
            start = time.process_time()
            run()
            spent[name] = min(spent.get(name, float("inf")), time.process_time() - start)
    print("  ".join(f"{name}: {seconds:.2f} CPU-s" for name, seconds in spent.items()))


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--who", nargs="+", choices=PLAYERS, default=list(PLAYERS))
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    who = [name for name in options.who if importlib.util.find_spec(PLAYERS[name][0])]
    if options.speed:
        speed()
    else:
        accuracy(options, who)


if __name__ == "__main__":
    main()
