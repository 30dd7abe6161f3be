"""Ctrl-C ends the process at once until a command works; then it is an exception, so that work ends properly."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

__all__ = ["end_at_once", "interruptible"]


def end_at_once() -> None:
    """Let Ctrl-C end this process with one line. During an import an exception might be lost or changed."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _leave)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise an exception inside the ``with`` block, so that files and processes are closed properly."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    os.write(2, b"pnpxai: interrupted\n")
    os._exit(130)
