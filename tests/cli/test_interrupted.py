"""What Ctrl-C and kill -9 leave behind: work that the same command goes on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState

from pnpxai.tuning.storage.storages import opened

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("may_be_interrupted")]

MODEL = """
import time

import torch
from torch import nn


class Slow(nn.Sequential):
    def forward(self, x):
        time.sleep(0.01)
        return super().forward(x)


torch.manual_seed(0)
model = Slow(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
"""
N_TRIALS = 16
COMPARE = ["compare", "slow.py", "x.npy", "-e", "Gradient", "-e", "SmoothGrad", "-m", "Sensitivity", "--no-controls"]
TUNE = ["tune", "slow.py", "x.npy", "-e", "SmoothGrad", "-m", "AbPC", "--n-trials", str(N_TRIALS), "--json"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((64, 1, 4, 4), np.float32))
    return tmp_path


def _start(arguments: list[str], at: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pnpxai", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=at, start_new_session=True)  # noqa: S603


def _done(arguments: list[str], at: Path) -> str:
    process = _start(arguments, at)
    out, said = process.communicate()
    assert process.returncode == 0, said
    return out


def _when(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is there."""
    while not there():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def _interrupted(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does it: all processes of the command hear it
    out, said = process.communicate()
    assert process.returncode == 130, said
    assert said.replace("\r", "\n").rstrip("\n").splitlines()[-1].startswith("pnpxai: interrupted")
    assert "Traceback" not in said
    assert out == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_comparison_goes_on_after_ctrl_c(place: Path, workers: int) -> None:
    asked = [*COMPARE, "--workers", str(workers)]
    process = _start([*asked, "--out", "run"], place)
    store = place / "run" / "store"
    _when(lambda: any(store.glob("*.parquet")), process)
    _interrupted(process)
    kept = set(store.glob("*.parquet"))
    assert kept
    assert not list(store.glob(".*.part"))
    assert not (place / "run" / "run.json").exists()
    for out in ("run", "whole"):
        _done([*asked, "--out", out], place)
    tables = [pd.read_parquet(place / out / "values.parquet") for out in ("run", "whole")]
    assert tables[0].equals(tables[1])


def _trials(storage: Path) -> list[TrialState]:
    store = opened(storage)
    studies = store.backend.get_all_studies()
    states = [t.state for study in studies for t in store.backend.get_all_trials(study._study_id, deepcopy=False)]
    store.close()
    return states


def _ended(storage: Path) -> int:
    return sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in _trials(storage))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_goes_on_after_ctrl_c(place: Path, workers: int) -> None:
    storage = place / "trials.journal"
    asked = [*TUNE, "--storage", str(storage), "--workers", str(workers), "--out", "tuned.json"]
    process = _start(asked, place)
    _when(lambda: storage.exists() and _ended(storage) > 2, process)
    _interrupted(process)
    assert not (place / "tuned.json").exists()
    assert 0 < _ended(storage) < N_TRIALS
    (found,) = json.loads(_done(asked, place))
    assert found["trials"] == _ended(storage) == len(_trials(storage)) == N_TRIALS
    assert json.loads((place / "tuned.json").read_text())[0]["explainer"] == found["explainer"]


@pytest.mark.parametrize("name", ["trials.db", "trials.journal"])
def test_commands_started_twice_share_the_trials_and_one_is_killed(place: Path, name: str) -> None:
    storage = place / name
    asked = [*TUNE, "--storage", str(storage)]
    killed, other = _start(asked, place), _start(asked, place)
    _when(lambda: storage.exists() and storage.stat().st_size > 0, killed)
    time.sleep(1)  # the tables are made
    _when(lambda: _ended(storage) > 3, killed)
    killed.kill()
    killed.communicate()
    at_kill = _ended(storage)
    out, said = other.communicate()
    assert other.returncode == 0, said
    assert at_kill < N_TRIALS
    (found,) = json.loads(out)
    states = _trials(storage)
    assert TrialState.RUNNING not in states
    assert found["trials"] == _ended(storage) == N_TRIALS
    (again,) = json.loads(_done(asked, place))  # nothing is left to do
    assert again["value"] == found["value"]
    assert len(_trials(storage)) == len(states)
