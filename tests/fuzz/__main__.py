"""``python -m tests.fuzz --cells 1000 --seed 7`` runs cells, prints what fails, and exits with 1 if any does."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter

import torch

from tests.fuzz.cells import run_cell


def main() -> int:
    """Run cells and print what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="where to start")
    parser.add_argument("--first", type=int, default=0, help="the first cell of the seed, to repeat one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    for seed in range(asked.seed * 10**6 + asked.first, asked.seed * 10**6 + asked.first + asked.cells):
        try:
            outcome = run_cell(seed)
            counts["refused" if outcome.refused else "held"] += 1
        except Exception as error:
            counts["failed"] += 1
            print(f"cell {seed}: {type(error).__name__}: {error}"[:600], flush=True)  # noqa: T201
    print(dict(counts))  # noqa: T201
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
