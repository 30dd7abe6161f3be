"""What ``import pnpxai`` adds to ``import torch``, and which heavy packages it loads.

    python benchmarks/import_time.py [--repeats 7]

Both imports run in fresh interpreters, in turns, so that what else the machine does hits both alike. The last column is
the difference of the medians. What is listed as loaded should be nothing: these packages wait until they are used.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

HEAVY = ("zennit", "torchvision", "sklearn", "scipy", "skimage", "optuna", "matplotlib", "pandas", "transformers")

PROBE = """
import resource, sys, time
start, start_cpu = time.perf_counter(), time.process_time()
import torch
{also}
seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
print(seconds, cpu, peak, len(sys.modules), ",".join(n for n in {heavy!r} if n in sys.modules))
"""


def measure(also: str) -> tuple[list[float], list[str]]:
    """Return (wall seconds, CPU seconds, peak MiB, modules) of a fresh interpreter, and the heavy packages it loaded."""
    code = PROBE.format(also=also, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *numbers, loaded = done.stdout.rstrip("\n").split(" ")
    return [float(number) for number in numbers], [name for name in loaded.split(",") if name]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="interpreters for each of the two imports")
    repeats = parser.parse_args().repeats

    measure("import pnpxai")  # once unmeasured: compiles the modules and warms the disk cache
    alone: list[list[float]] = []
    both: list[list[float]] = []
    added: set[str] = set()
    for _ in range(repeats):
        numbers, by_torch = measure("")
        alone.append(numbers)
        numbers, by_both = measure("import pnpxai")
        both.append(numbers)
        added.update(set(by_both) - set(by_torch))

    print(f"{'':<20}{'torch':>10}{'+ pnpxai':>12}{'added':>10}   (median of {repeats})")
    for k, what in enumerate(("wall seconds", "CPU seconds", "peak memory, MiB", "modules")):
        before, after = (statistics.median(run[k] for run in runs) for runs in (alone, both))
        digits = 3 if k < 2 else 0
        print(f"{what:<20}{before:>10.{digits}f}{after:>12.{digits}f}{after - before:>10.{digits}f}")
    print(f"\nloaded by import pnpxai, of {', '.join(HEAVY)}: {', '.join(sorted(added)) or 'none'}")


if __name__ == "__main__":
    main()
