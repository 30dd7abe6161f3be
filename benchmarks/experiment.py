"""What a comparison promises: a killed run goes on, memory is bounded, and the table is the same whoever does the work.

    python benchmarks/experiment.py [--quick] [--only resume|memory|executors] [--out FOLDER]

Resume: 5,000 digits (with copies shifted by a pixel) x 8 explainers x 4 metrics in one call, once without interruption
and once killed with ``kill -9`` three times; the tables must be equal (they hold no times), and each kill may cost one
chunk of rows. Then a fifth metric, which must explain nothing. Memory: 300 and 1,500 generated pictures of
3 x 224 x 224 and a small network; what a run takes beyond what a run of 16 left must be equal within 10 %. Killed
three times and resumed too. Executors: the digits and the 1,500 pictures by one process, by a pool of two, and by a
local Dask cluster of two workers of which one is killed half way; the tables must be equal.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from distributed import Client, LocalCluster
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pnpxai.demo import digits, train
from pnpxai.experiment import Results, compare
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.traits import Traits

EIGHT = ["Gradient", "GradientXInput", "GuidedBackprop", "DeepLift", "LRPUniformEpsilon", "SmoothGrad",
         "IntegratedGradients", "GradCam"]  # fmt: skip
FOUR = ["AbPC", "FaithfulnessCorrelation", "Sensitivity", "Complexity"]
CHUNK = 32


class Shifted(Dataset[Tensor]):
    """Digits, then copies of them shifted by a pixel."""

    def __init__(self, count: int) -> None:
        (one, _), (other, _) = digits(0)
        self.pictures, self.count = torch.cat([one, other]), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Tensor:
        copy, place = divmod(number, len(self.pictures))
        return self.pictures[place].roll(copy, -1)


class Generated(Dataset[Tensor]):
    """Pictures drawn when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Tensor:
        return torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(number))


def reader() -> nn.Module:
    """Return a small network that reads digits."""
    training, _ = digits(0)
    return train(*training, 0, n_epochs=2, show_progress=False)


def watcher() -> nn.Module:
    """Return a small network on large pictures."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, stride=4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    ).eval()  # fmt: skip


def of_digits(
    net: nn.Module, folder: Path, count: int, metrics: list[str], executor: Executor | None = None
) -> Results:
    """Compare on digits."""
    loader = DataLoader(Shifted(count), batch_size=CHUNK)
    return compared(net, loader, EIGHT, metrics, folder=folder, executor=executor, chunk=CHUNK)


def of_pictures(net: nn.Module, folder: Path | None, count: int, executor: Executor | None = None) -> Results:
    """Compare on pictures."""
    loader, metrics = DataLoader(Generated(count), batch_size=16), ["Complexity", AbPC(net, n_steps=3)]
    return compared(net, loader, ["Gradient", "GradientXInput"], metrics, folder=folder, executor=executor, keep=4)


compared = functools.partial(compare, traits=Traits.image(), show_progress=False)


def digits_noted(folder: Path, count: int, metrics: list[str]) -> dict[str, Any]:
    """Compare on digits, with the rows of each pass noted as it comes."""
    net = reader()
    with (folder.parent / f"{folder.name}.rows").open("a", buffering=1) as log:
        net.register_forward_hook(lambda module, given, output: log.write(f"{len(given[0])}\n") and None)
        of_digits(net, folder, count, metrics)
    return {}


def pictures_watched(folder: Path, count: int) -> dict[str, Any]:
    """Compare on pictures, and tell how much memory that took beyond what a short run left."""
    net = watcher()
    of_pictures(net, None, 16)
    with peak() as found:
        of_pictures(net, folder, count)
    return found


@contextmanager
def peak() -> Iterator[dict[str, float]]:
    """Watch the resident memory: MiB at the start, and the most that there was."""

    def resident() -> float:
        with Path("/proc/self/statm").open() as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20

    found = {"start": (start := resident()), "most": start}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            found["most"] = max(found["most"], resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def child(*arguments: Any) -> subprocess.Popen[str]:
    """Start a part of this script in a process of its own."""
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--child", json.dumps(arguments, default=str)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a child found."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a part failed with exit code {process.returncode}")
    return json.loads(out.splitlines()[-1])


def killed(store: Path, chunks: list[int], within: float, *arguments: Any) -> dict[str, Any]:
    """Kill a part with ``kill -9`` when so many chunks are done, so many seconds into the next; let it end at last."""
    for count in chunks:
        process = child(*arguments)
        while len(list(store.glob("*.parquet"))) < count and process.poll() is None:
            time.sleep(0.002)
        time.sleep(within)
        if process.poll() is not None:
            raise SystemExit("a part ended before it could be killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
    return answer(child(*arguments))


def resume(out: Path, quick: bool) -> None:
    """Kill a long run three times."""
    count = 320 if quick else 5000
    print(f"{count} digits x 8 explainers (and 2 controls) x 4 metrics")
    whole, broken = out / "whole", out / "broken"
    start = time.perf_counter()
    answer(child("digits", whole, count, FOUR))
    seconds, chunks = time.perf_counter() - start, -(-count // CHUNK)
    print(f"  one call: {seconds:.0f} s", flush=True)
    killed(broken / "store", [chunks * k // 4 for k in (1, 2, 3)], seconds / chunks / 2, "digits", broken, count, FOUR)
    same = Results.load(whole).table.equals(Results.load(broken).table)
    ran, again = rows(whole), rows(broken)
    limit = 3 * ran * CHUNK / count
    print(f"  killed three times: table the same: {same}; goal True")
    print(f"  rows: {ran} without a kill, {again - ran} more with three; goal <= {limit:.0f} (a chunk for each kill)")
    print(f"  store: {size(whole / 'store'):.0f} MiB", flush=True)
    answer(child("digits", whole, count, [*FOUR, "Sparseness"]))
    print(f"  a fifth metric, which runs no rows itself: {rows(whole) - ran} rows; goal <= {count} (its targets)")


def rows(folder: Path) -> int:
    """Return how many rows ran for a folder; the last line may be torn."""
    lines = (folder.parent / f"{folder.name}.rows").read_text().splitlines()
    return sum(int(line) for line in lines if line)


def size(folder: Path) -> float:
    """Return the MiB of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


def memory(out: Path, quick: bool) -> None:
    """Compare what a short and a long run take."""
    counts = (48, 144) if quick else (300, 1500)
    print(f"{counts[0]} and {counts[1]} pictures of 3 x 224 x 224 x 2 explainers (and 2 controls) x 2 metrics")
    taken = {}
    for count in counts:
        found = answer(child("pictures", out / str(count), count))
        taken[count] = found["most"] - found["start"]
        inputs = count * 3 * 224 * 224 * 4 / 2**20
        print(
            f"  {count}: {taken[count]:.1f} MiB beyond {found['start']:.0f} MiB (inputs: {inputs:.0f} MiB)", flush=True
        )
    print(f"  ratio {taken[counts[1]] / taken[counts[0]]:.3f}; goal <= 1.1")
    chunks = counts[1] // 16
    broken, times = out / "broken", [chunks * k // 4 for k in (1, 2, 3)]
    found = killed(broken / "store", times, 0.1, "pictures", broken, counts[1])
    same = Results.load(broken).table.equals(Results.load(out / str(counts[1])).table)
    print(f"  killed three times: table the same: {same}; goal True")
    print(f"  the last of its runs took {found['most'] - found['start']:.1f} MiB")


def executors(out: Path, quick: bool) -> None:
    """Let others do the work."""
    net, seen = reader(), watcher()
    count, pictures = (320, 144) if quick else (5000, 1500)
    print(f"{count} digits x 8 explainers (and 2 controls) x 4 metrics")
    by_each(out / "digits", lambda folder, executor: of_digits(net, folder, count, FOUR, executor))
    print(f"{pictures} pictures of 3 x 224 x 224 x 2 explainers (and 2 controls) x 2 metrics")
    by_each(out / "pictures", lambda folder, executor: of_pictures(seen, folder, pictures, executor))


def by_each(out: Path, run: Callable[[Path, Executor | None], Results]) -> None:
    """Run with one process, with a pool, and with Dask workers of which one is killed half way."""
    start = time.perf_counter()
    alone = run(out / "alone", None)
    store = out / "alone" / "store"
    print(f"  one process: {time.perf_counter() - start:.0f} s, {len(alone.table)} values", flush=True)
    half = len(list(store.glob("*.parquet"))) // 2
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        same = run(out / "pool", executor).table.equals(alone.table)
    print(f"  a pool of two: table the same: {same}; goal True", flush=True)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        pids, gone, ended = list(client.run(os.getpid).values()), list[int](), threading.Event()

        def kill() -> None:
            while not ended.wait(0.01):
                if len(list((out / "dask" / "store").glob("*.parquet"))) >= half:
                    os.kill(pids[0], signal.SIGKILL)
                    return gone.append(pids[0])

        thread = threading.Thread(target=kill)
        thread.start()
        same = run(out / "dask", client.get_executor()).table.equals(alone.table)
        ended.set()
        thread.join()
    print(f"  Dask, {len(gone)} of two workers killed: table the same: {same}; goal True, 1 killed", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("resume", "memory", "executors"))
    parser.add_argument("--out", type=Path, help="an empty folder for the runs; by default one that is removed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.child is not None:
        part, folder, *rest = json.loads(given.child)
        print(json.dumps({"digits": digits_noted, "pictures": pictures_watched}[part](Path(folder), *rest)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        for name, run in {"resume": resume, "memory": memory, "executors": executors}.items():
            if given.only in (None, name):
                run(out / name, given.quick) if (out / name).mkdir() is None else None


if __name__ == "__main__":
    main()
