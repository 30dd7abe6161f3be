"""What ``import pnpxai`` adds to ``import torch``, and which heavy packages it loads.

    python benchmarks/import_time.py [--repeats 7]

Each import runs in fresh interpreters, in turns, so that what else the machine does hits all alike; medians are shown.
``import pnpxai`` should load none of the packages: they wait until they are used. The last row is a first use.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

HEAVY = ("zennit", "torchvision", "sklearn", "scipy", "skimage", "optuna", "matplotlib", "pandas", "transformers")
TORCH = "import torch"
IMPORTS = (TORCH, "import pnpxai", "from pnpxai import AutoExplanation")

PROBE = """
import resource, sys, time
start, start_cpu = time.perf_counter(), time.process_time()
import torch
{statement}
seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
print(seconds, cpu, peak, len(sys.modules), *(name for name in {heavy!r} if name in sys.modules))
"""


def measure(statement: str) -> tuple[list[float], set[str]]:
    """Return (wall seconds, CPU seconds, peak MiB, modules) of a fresh interpreter, and the heavy packages loaded."""
    code = PROBE.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    return [float(word) for word in words[:4]], set(words[4:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="interpreters for each import")
    repeats = parser.parse_args().repeats

    for statement in IMPORTS:
        measure(statement)  # not counted: compiles the modules and warms the disk cache
    runs = [[measure(statement) for statement in IMPORTS] for _ in range(repeats)]

    print(f"{f'median of {repeats}':<36}{'wall s':>8}{'CPU s':>8}{'MiB':>8}{'modules':>9}  loaded beside torch")
    torch_alone = [statistics.median(run[0][0][column] for run in runs) for column in range(4)]
    by_torch = set.union(*(run[0][1] for run in runs))
    for k, statement in enumerate(IMPORTS):
        wall, cpu, peak, modules = (statistics.median(run[k][0][column] for run in runs) for column in range(4))
        loaded = ", ".join(sorted(set.union(*(run[k][1] for run in runs)) - by_torch)) or "none"
        if statement == TORCH:
            print(f"{statement:<36}{wall:>8.3f}{cpu:>8.3f}{peak:>8.0f}{modules:>9.0f}")
            continue
        added = [now - before for now, before in zip((wall, cpu, peak, modules), torch_alone, strict=True)]
        print(f"+ {statement:<34}{added[0]:>+8.3f}{added[1]:>+8.3f}{added[2]:>+8.0f}{added[3]:>+9.0f}  {loaded}")


if __name__ == "__main__":
    main()
