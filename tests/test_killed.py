"""Comparisons, searches and rankings that are killed at random moments go on and give what they give otherwise."""

from __future__ import annotations

import functools
import json
import random
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests import killed_commands
from tests.forked import Forked

pytestmark = pytest.mark.slow
KILLS = 2


@functools.cache
def _whole(what: str) -> tuple[str, float]:
    """Return what it gives if nothing interrupts it, here, where sets have another order; and how long it takes."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        return killed_commands.main(what, Path(folder)), time.monotonic() - started


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("what", ["compare", "tune", "rank"])
def test_it_goes_on_after_random_kills(what: str, sent: signal.Signals, tmp_path: Path) -> None:
    draw = random.Random(f"{what} {sent}")  # noqa: S311
    whole, takes = _whole(what)
    for _ in range(KILLS):
        process = Forked(killed_commands.write, what, tmp_path)
        if process.wait(draw.uniform(0.3, 1.0) * takes) is None:
            process.send_signal(sent)
        process.communicate()
    last = Forked(killed_commands.write, what, tmp_path)
    said = last.communicate()
    assert last.returncode == 0, said
    resumed = (tmp_path / "done").read_text()
    if what == "compare":
        assert resumed == whole
    else:  # a trial that was killed between its reports runs the rest in a smaller batch, which may round otherwise
        _assert_alike(json.loads(resumed), json.loads(whole))
    assert not list(tmp_path.rglob(".*.part"))


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
