"""Processes that start at once: forked from a server that has imported the package, which takes seconds each time.

Whoever asks what a command prints or leaves behind takes one of these; a test of imports, of closed streams or of what
differs from one interpreter to the next (such as the order of a set) starts Python anew.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

__all__ = ["SERVER", "Forked", "command", "run_command"]

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A process that calls a function, with the members of ``subprocess.Popen`` that tests use.

    Args:
        call: a function of a module.
        *arguments: of the call.
        at: the folder where it works.
    """

    def __init__(self, call: Callable[..., object], *arguments: object, at: Path | None = None) -> None:
        folder = Path(tempfile.mkdtemp(prefix="forked-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._texts = [folder / "out", folder / "err"]
        self._process = SERVER.Process(target=_work, args=(call, arguments, at, *self._texts))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, None while it works."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, None while it works."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends, and return its exit code, None if it still works."""
        self._process.join(timeout)
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Wait until it ends, and return what it printed to stdout and to stderr."""
        self._process.join()
        out, said = (path.read_text() if path.exists() else "" for path in self._texts)
        return out, said

    def send_signal(self, sent: int) -> None:
        """Send it a signal, if it still works."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sent)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def command(arguments: list[str], at: Path) -> CompletedProcess[str]:
    """Run a command of ``pnpxai`` to its end, in a process of its own."""
    process = Forked(run_command, arguments, at=at)
    out, said = process.communicate()
    assert process.returncode is not None
    return CompletedProcess(arguments, process.returncode, out, said)


def run_command(arguments: list[str]) -> None:
    """Be ``python -m pnpxai``."""
    sys.argv = ["pnpxai", *arguments]
    runpy.run_module("pnpxai", run_name="__main__", alter_sys=True)


def _work(call: Callable[..., object], arguments: tuple[object, ...], at: Path | None, out: Path, said: Path) -> None:
    """Call a function as the leader of a group of processes, with its output in files."""
    os.setsid()
    for stream, path in ((1, out), (2, said)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    if at is not None:
        os.chdir(at)
    sys.path[0:0] = [""]  # as with python -m
    call(*arguments)
