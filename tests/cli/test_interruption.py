"""Ctrl-C while a command still imports what it needs: one line and 130, whatever the import would make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pnpxai.cli.interruption import end_at_once, interruptible

CAUGHT = """
import pathlib, time

try:
    pathlib.Path("importing").touch()
    time.sleep(60)
except BaseException as lost:  # as in the midst of an extension, which another error then comes from
    raise ImportError("cannot load module more than once per process") from lost
"""
SCRIPT = ["-c", "import sys; from pnpxai.cli import app; sys.exit(app())"]


@pytest.mark.parametrize("entry", [["-m", "pnpxai"], SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize("slow", ["torch", "typer", "yaml", "pydantic"])
@pytest.mark.usefixtures("may_be_interrupted")
def test_it_ends_with_one_line(tmp_path: Path, entry: list[str], slow: str) -> None:
    (tmp_path / f"{slow}.py").write_text(CAUGHT)
    paths = [str(tmp_path), str(Path(__file__).parents[2])]
    pipe, surroundings = subprocess.PIPE, os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, *entry, "doctor", "net.py"], stdout=pipe, stderr=pipe, text=True, cwd=tmp_path,
        env=surroundings,
    )  # fmt: skip
    while not (tmp_path / "importing").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate()
    assert (process.returncode, out, said) == (130, "", "pnpxai: interrupted\n")


@pytest.mark.usefixtures("may_be_interrupted")
def test_while_a_command_works_it_is_an_exception() -> None:
    end_at_once()
    ends = signal.getsignal(signal.SIGINT)
    assert ends is not signal.default_int_handler
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is ends


@pytest.fixture
def ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignored")
def test_where_a_shell_has_it_ignored_it_stays_so() -> None:
    end_at_once()
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
