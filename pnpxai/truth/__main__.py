"""``python -m pnpxai.truth dev out.json``: truth by explainer, and regret by way of choosing, on known problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pnpxai.truth.benchmark import run
from pnpxai.truth.tables import regrets, truths, worth


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m pnpxai.truth", description=__doc__)
    parser.add_argument("split", choices=("dev", "held"), help="dev: to choose rules on; held: to judge them on, once")
    parser.add_argument("out", type=Path, help="JSON file of cells; what it holds already is not measured again")
    parser.add_argument("--seeds", type=int, default=1, help="problems of each family")
    parser.add_argument("--examples", type=int, default=12, help="examples of each problem")
    parser.add_argument("--quick", action="store_true", help="one problem of each kind of data, eight examples")
    given = parser.parse_args(arguments)
    quick = {"dev": ["glyph", "additive", "bump", "pair"], "held": ["texture", "gate", "frequency", "needle"]}
    cells = run(
        given.split,
        range(1 if given.quick else given.seeds),
        given.out,
        8 if given.quick else given.examples,
        quick[given.split] if given.quick else None,
    )
    sys.stdout.write(f"{truths(cells)}\n\n{regrets(cells)}\n\n{worth(cells)}\n")


if __name__ == "__main__":
    main()
