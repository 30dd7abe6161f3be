"""Every command, run as a person runs it, where it cannot work: one line, a nonzero exit, nothing half-written."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors import safe_open

import pnpxai

pytestmark = pytest.mark.slow

MODEL = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)).eval()
"""
ON_DATA = {
    "doctor": [],
    "explain": ["-e", "Gradient", "--out", "room/out"],
    "tune": ["-e", "SmoothGrad", "--n-trials", "2", "--out", "room/tuned.json"],
    "rank": ["-e", "SmoothGrad", "--n-trials", "2", "--out", "room/ranking.json"],
    "compare": ["-e", "Gradient", "-m", "AbPC", "--out", "room/run"],
}
WRITING = {name: [name, "net.py", "x.npy", *options] for name, options in ON_DATA.items() if name != "doctor"} | {
    "tune with a storage": ["tune", "net.py", "x.npy", "-e", "SmoothGrad", "--storage", "room/trials.db"],
    "tune with a journal": ["tune", "net.py", "x.npy", "-e", "SmoothGrad", "--storage", "room/trials.journal"],
    "report": ["report", "finished", "--out", "room/report.html"],
    "demo": ["demo", "--n-images", "32", "--n-trials", "1", "--out", "room/demo"],
}
FREE = {"tune": 0, "rank": 0, "tune with a journal": 0, "report": 2, "explain": 3, "compare": 2, "demo": 2}
"""How many blocks of the full disk are free: too few for what is written, where possible enough to begin."""
PAGE = 4096


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, data and a finished run."""
    import numpy as np

    folder = tmp_path_factory.mktemp("place")
    (folder / "net.py").write_text(MODEL)
    np.save(folder / "x.npy", np.random.default_rng(0).random((8, 1, 8, 8), np.float32))
    (folder / "empty").mkdir()
    done = _run(["compare", "net.py", "x.npy", "-e", "Gradient", "-m", "AbPC", "--out", "finished"], folder)
    assert done.returncode == 0, done.stderr
    return folder


def _run(arguments: list[str], at: Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "pnpxai", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=at)  # noqa: S603


def _refused(ran: subprocess.CompletedProcess[str], words: str, code: int) -> None:
    last = ran.stderr.replace("\r", "\n").rstrip("\n").splitlines()[-1]  # progress goes before it
    assert ran.returncode == code, ran.stderr
    assert last.startswith("pnpxai: "), ran.stderr
    assert words in last
    assert ran.stderr.count("pnpxai: ") == 1
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("command", ON_DATA)
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"net.py": "nothing.py"}, "model: no file nothing.py"),
        ({"x.npy": "empty"}, "data: no pictures"),
        (
            {"--options": "bad.yaml"},
            "options: bad.yaml, line 2, metrix: there is no such option; did you mean 'metrics'?",
        ),
    ],
    ids=["a wrong model", "an empty folder", "a bad key"],
)
def test_what_is_asked_wrongly(place: Path, command: str, changed: dict[str, str], words: str) -> None:
    (place / "bad.yaml").write_text("seed: 1\nmetrix: [AbPC]\n")
    (place / "room").mkdir(exist_ok=True)
    asked = [changed.get(word, word) for word in [command, "net.py", "x.npy", *ON_DATA[command]]]
    asked += ["--options", changed["--options"]] if "--options" in changed else []
    _refused(_run(asked, place), words, 2)
    assert not list((place / "room").iterdir())


def test_a_report_of_nothing(place: Path) -> None:
    _refused(_run(["report", "empty"], place), "empty", 2)
    _refused(_run(["report", "missing"], place), "missing", 2)
    assert not list((place / "empty").iterdir())
    assert not (place / "missing").exists()


@pytest.mark.parametrize("command", WRITING)
def test_a_folder_that_cannot_be_written_to(place: Path, tmp_path: Path, command: str) -> None:
    if _mounts():
        ran, seen = _in_room(place, tmp_path, WRITING[command], "mount -o remount,ro room")
    elif os.geteuid():
        (place / "room").mkdir(exist_ok=True)
        (place / "room").chmod(0o555)
        ran, seen = _run(WRITING[command], place), place / "room"
    else:
        pytest.skip("root may write to any folder, and may mount none here; test_refusals.py simulates it")
    _refused(ran, "room", ran.returncode)
    assert ran.returncode in (1, 2)
    assert "ead-only" in ran.stderr or "readonly" in ran.stderr or "denied" in ran.stderr
    assert not list(seen.iterdir())


@pytest.mark.parametrize("command", WRITING)
def test_a_full_disk(place: Path, tmp_path: Path, command: str) -> None:
    if not _mounts():
        pytest.skip("no file system can be mounted here (unshare -rm); test_refusals.py simulates a full disk")
    used = (16 - FREE.get(command, 4)) * PAGE
    ran, seen = _in_room(place, tmp_path, WRITING[command], f"head -c {used} /dev/zero > room/filler")
    assert ran.returncode in (1, 2), (ran.stdout, ran.stderr)
    _refused(ran, "", ran.returncode)
    assert "full" in ran.stderr or "No space left" in ran.stderr or "disk I/O error" in ran.stderr
    for path in seen.rglob("*"):
        assert path.is_dir() or path.name == "filler" or _is_whole(path), path


def _in_room(
    place: Path, tmp_path: Path, arguments: list[str], prepare: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run with a small file system of its own at ``room``; return what it held in the end, too."""
    (place / "room").mkdir(exist_ok=True)
    script = (
        f"mount -t tmpfs -o size={16 * PAGE} tmpfs room && {prepare} || exit 99; "
        f'"$@"; code=$?; cp -a room/. {tmp_path}; exit $code'
    )
    return _run(arguments, place, ("unshare", "-rm", "sh", "-c", script, "sh")), tmp_path


@functools.cache
def _mounts() -> bool:
    """Tell whether this process may have a mount of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, check=False
    )
    return tried.returncode == 0


def _is_whole(path: Path) -> bool:
    """Tell whether a file can be read to its end."""
    if path.name.endswith(".part"):
        return False
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".parquet":
        pd.read_parquet(path)
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as tensors:
            assert list(tensors.keys())
    elif path.name == "versions":
        return pnpxai.__version__ in path.read_text()
    else:  # the lock of a run, and what its owner mends: a storage of trials
        return path.name == ".lock" or path.name.startswith("trials.")
    return True
