"""``python -m pnpxai.truth dev out.json``: truth by explainer, and regret by way of choosing, on known problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pnpxai.truth.benchmark import run
from pnpxai.truth.families import FAMILIES
from pnpxai.truth.packages import package
from pnpxai.truth.tables import regrets, truths, worth

_QUICK = {
    "dev": ["glyph", "additive", "bump", "pair", "motif"],
    "held": ["texture", "gate", "frequency", "needle", "motif copies"],
}
"""One family of each kind of data."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m pnpxai.truth", description=__doc__)
    parser.add_argument("split", choices=("dev", "held"), help="dev: to choose rules on; held: to judge them on, once")
    parser.add_argument("out", type=Path, help="JSON file of cells; what it holds already is not measured again")
    parser.add_argument("--seeds", type=int, help="problems of each family; by default one")
    parser.add_argument("--examples", type=int, default=16, help="examples of each problem")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one problem of each kind of data, eight examples: minutes")
    size.add_argument("--full", action="store_true", help="four problems of each family: hours")
    parser.add_argument("--download", action="store_true", help="fetch packages with trained weights and data first")
    given = parser.parse_args(arguments)
    names = _QUICK[given.split] if given.quick else [f.name for f in FAMILIES.values() if f.split == given.split]
    if given.download:
        for needed in dict.fromkeys(needed for name in names for needed in FAMILIES[name].needs):
            package(*needed, download=True)
    seeds = range(given.seeds or (4 if given.full else 1))
    cells = run(given.split, seeds, given.out, 8 if given.quick else given.examples, names)
    sys.stdout.write(f"{truths(cells)}\n\n{regrets(cells)}\n\n{worth(cells)}\n")


if __name__ == "__main__":
    main()
