"""Memory does not grow with the number of examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, resource, sys, threading, time
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from pnpxai.experiment import compare
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.traits import Traits

torch.set_num_threads(1)
torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(3, 8, 7, stride=4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10),
).eval()


class Generated(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        return torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(k))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def run(n, folder=None):
    compare(
        net, DataLoader(Generated(n), batch_size=16), ["Gradient"], ["Complexity", AbPC(net, n_steps=3)],
        traits=Traits.image(), folder=folder, show_progress=False, keep=4, controls=False,
    )


run(16)  # what is imported and kept for good
baseline, peak, going = resident(), 0, True


def watch():
    global peak
    while going:
        peak = max(peak, resident())
        time.sleep(0.005)


thread = threading.Thread(target=watch)
thread.start()
run(int(sys.argv[1]), sys.argv[2])
going = False
thread.join()
print(json.dumps([baseline, peak]))
"""


@pytest.mark.slow(first=True)
def test_a_long_run_peaks_where_a_short_one_does(tmp_path: Path) -> None:
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"}
    peaks = {}
    for n in (300, 1500):
        command = [sys.executable, "-c", SCRIPT, str(n), str(tmp_path / str(n))]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
        baseline, peak = json.loads(ran.stdout)
        peaks[n] = (peak - baseline) / 2**20
    inputs = 1500 * 3 * 224 * 224 * 4 / 2**20
    assert peaks[1500] < inputs / 3, peaks
    assert peaks[1500] <= 1.1 * peaks[300] + 2, peaks
