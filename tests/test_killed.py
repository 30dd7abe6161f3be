"""Comparisons, searches and rankings that are killed at random moments go on and give what they give otherwise."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
KILLS = 2


def _start(what: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.killed_commands", what, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    return subprocess.Popen(command, cwd=root, env=environment, text=True, stderr=subprocess.PIPE)  # noqa: S603


def _finished(what: str, folder: Path) -> str:
    process = _start(what, folder)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return (folder / "done").read_text()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("what", ["compare", "tune", "rank"])
def test_it_goes_on_after_random_kills(what: str, sent: signal.Signals, tmp_path: Path) -> None:
    draw = random.Random(f"{what} {sent}")  # noqa: S311
    started = time.monotonic()
    whole = _finished(what, tmp_path / "whole")
    takes = time.monotonic() - started
    for _ in range(KILLS):
        process = _start(what, tmp_path / "killed")
        try:
            process.wait(draw.uniform(0.3, 1.0) * takes)
        except subprocess.TimeoutExpired:
            process.send_signal(sent)
        process.communicate()
    resumed = _finished(what, tmp_path / "killed")
    if what == "compare":
        assert resumed == whole
    else:  # a trial that was killed between its reports runs the rest in a smaller batch, which may round otherwise
        _assert_alike(json.loads(resumed), json.loads(whole))
    assert not list((tmp_path / "killed").rglob(".*.part"))


def _assert_alike(one: object, other: object) -> None:
    """Compare what was read from JSON, numbers to 1e-6."""
    assert type(one) is type(other)
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _assert_alike(a, b)
    else:
        assert one == (pytest.approx(other, rel=1e-6, abs=1e-7) if isinstance(other, float) else other)
