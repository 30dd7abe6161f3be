"""What Ctrl-C does: before a command works it ends everything at once, then it is an exception that work ends by."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

__all__ = ["at_once", "heard"]


def at_once() -> None:
    """Let Ctrl-C end this process with one line: an exception in the midst of an import may be lost or changed."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _leave)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Let Ctrl-C be an exception here, so that what was begun is ended properly."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: Any) -> None:
    os.write(2, b"pnpxai: interrupted\n")
    os._exit(130)
