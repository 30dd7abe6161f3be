"""Processes that an interruption ends without a word of theirs."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time

import pytest

from pnpxai.processes import ignoring_interrupts, worker_pool


def test_what_is_started_deaf_stays_so_and_the_caller_hears_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ignoring_interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is before
    thread = threading.Thread(
        target=lambda: ignoring_interrupts().__enter__()
    )  # signals are the main thread's business
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_workers_do_not_hear_an_interruption_and_end_with_the_work() -> None:
    with worker_pool(2) as executor:
        heard = executor.submit(signal.getsignal, signal.SIGINT)
        assert heard.result() is signal.SIG_IGN
        assert executor.submit(sum, [1, 2]).result() == 3
    assert not multiprocessing.active_children()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert time.monotonic() - start < 30
    assert not multiprocessing.active_children()


def _interrupted() -> None:
    with worker_pool(1) as executor:
        executor.submit(time.sleep, 60)
        raise KeyboardInterrupt
