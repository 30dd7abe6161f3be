"""``python -m tests.reliability [--all] [--captum]``: runs situations, prints what is not right and the table."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter

import torch

import pnpxai.attributors
from tests.reliability.table import cells, outcomes, sampled, table


def main() -> int:
    """Run what was asked for; return 1 if something is silently wrong or leaks, or too much is obscure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every situation with every method")
    parser.add_argument("--runs", type=int, default=400, help="else so many of them")
    parser.add_argument("--seed", type=int, default=0, help="which")
    parser.add_argument("--captum", action="store_true", help="captum's methods of the same names")
    parser.add_argument("--room", help="only what is odd about this")
    parser.add_argument("--method", help="only this method")
    asked = parser.parse_args()
    library = importlib.import_module("captum.attr") if asked.captum else pnpxai.attributors
    chosen = [
        cell for cell in cells(library)
        if asked.room in (None, cell[0].room) and asked.method in (None, str(cell[1]), cell[1].name)
    ]  # fmt: skip
    chosen = chosen if asked.all else sampled(asked.runs, asked.seed, chosen)
    torch.set_num_threads(1)
    counts: Counter[tuple[str, str]] = Counter()
    for (situation, method), outcome in outcomes(chosen, library):
        counts[situation.room, outcome.kind] += 1
        if outcome.kind not in ("right", "clear error"):
            print(f"{outcome.kind}: {situation.name}: {method}: {outcome.words}"[:300], flush=True)  # noqa: T201
    print(table(counts))  # noqa: T201
    bad = sum(n for (_, kind), n in counts.items() if kind in ("silently wrong", "leak"))
    obscure = sum(n for (_, kind), n in counts.items() if kind == "obscure")
    return int(bad > 0 or obscure > 0.01 * counts.total())


if __name__ == "__main__":
    sys.exit(main())
