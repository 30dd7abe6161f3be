"""Every command, run as a person runs it, where it cannot work: one line, a nonzero exit, nothing half-written."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest
from safetensors import safe_open

import pnpxai
from tests.forked import Forked, command, run_command

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
    done = command(["compare", "net.py", "x.npy", "-e", "Gradient", "-m", "AbPC", "--out", "finished"], folder)
    assert done.returncode == 0, done.stderr
    return folder


def _refused(ran: CompletedProcess[str], words: str, code: int) -> None:
    last = ran.stderr.replace("\r", "\n").rstrip("\n").splitlines()[-1]  # progress goes before it
    assert ran.returncode == code, ran.stderr
    assert last.startswith("pnpxai: "), ran.stderr
    assert words in last
    assert ran.stderr.count("pnpxai: ") == 1
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("name", ON_DATA)
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
def test_what_is_asked_wrongly(place: Path, name: str, changed: dict[str, str], words: str) -> None:
    (place / "bad.yaml").write_text("seed: 1\nmetrix: [AbPC]\n")
    (place / "room").mkdir(exist_ok=True)
    asked = [changed.get(word, word) for word in [name, "net.py", "x.npy", *ON_DATA[name]]]
    asked += ["--options", changed["--options"]] if "--options" in changed else []
    _refused(command(asked, place), words, 2)
    assert not list((place / "room").iterdir())


def test_a_report_of_nothing(place: Path) -> None:
    _refused(command(["report", "empty"], place), "empty", 2)
    _refused(command(["report", "missing"], place), "missing", 2)
    assert not list((place / "empty").iterdir())
    assert not (place / "missing").exists()


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_that_cannot_be_written_to(place: Path, tmp_path: Path, name: str) -> None:
    if _mounts():
        ran, seen = _in_room(place, tmp_path, WRITING[name], "mount -o remount,ro room")
    elif os.geteuid():
        (place / "room").mkdir(exist_ok=True)
        (place / "room").chmod(0o555)
        ran, seen = command(WRITING[name], place), place / "room"
    else:
        pytest.skip("root may write to any folder, and may mount none here; test_refusals.py simulates it")
    _refused(ran, "room", ran.returncode)
    assert ran.returncode in (1, 2)
    assert "ead-only" in ran.stderr or "readonly" in ran.stderr or "denied" in ran.stderr
    assert not list(seen.iterdir())


@pytest.mark.parametrize("name", WRITING)
def test_a_full_disk(place: Path, tmp_path: Path, name: str) -> None:
    if not _mounts():
        pytest.skip("no file system can be mounted here (unshare -rm); test_refusals.py simulates a full disk")
    used = (16 - FREE.get(name, 4)) * PAGE
    ran, seen = _in_room(place, tmp_path, WRITING[name], f"head -c {used} /dev/zero > room/filler")
    assert ran.returncode in (1, 2), (ran.stdout, ran.stderr)
    _refused(ran, "", ran.returncode)
    assert "full" in ran.stderr or "No space left" in ran.stderr or "disk I/O error" in ran.stderr
    for path in seen.rglob("*"):
        assert path.is_dir() or path.name == "filler" or _is_whole(path), path


def _in_room(place: Path, tmp_path: Path, arguments: list[str], prepare: str) -> tuple[CompletedProcess[str], Path]:
    """Run with a small file system of its own at ``room``; return what it held in the end, too."""
    (place / "room").mkdir(exist_ok=True)
    process = Forked(_command_in_room, arguments, prepare, tmp_path, at=place)
    out, said = process.communicate()
    return CompletedProcess(arguments, process.returncode or 0, out, said), tmp_path


def _command_in_room(arguments: list[str], prepare: str, kept: Path) -> None:
    """Be a command that sees a small file system at ``room``, which nobody else sees; keep what it leaves there."""
    own_user, own_mounts = 0x10000000, 0x00020000
    user, group = os.geteuid(), os.getegid()
    assert not ctypes.CDLL(None).unshare(own_user | own_mounts)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    script = f"mount -t tmpfs -o size={16 * PAGE} tmpfs room && {prepare}"
    subprocess.run(["sh", "-c", script], check=True)  # noqa: S603, S607
    try:
        run_command(arguments)
    finally:
        subprocess.run(["cp", "-a", "room/.", kept], check=True)  # noqa: S603, S607


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
