"""Starts worker processes that end quietly when the user interrupts the main process."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

__all__ = ["own_progress_lock", "ignoring_interrupts", "worker_pool"]


@contextlib.contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Start processes here: they do not hear Ctrl-C, of which whoever started them makes an end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # they inherit it
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def own_progress_lock() -> None:
    """Let progress bars of a worker share no lock with other processes, which would outlive a worker that is ended."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """Lend spawned processes; where the work is given up, they end at once.

    Args:
        workers: how many.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, own_progress_lock) as executor:
        with ignoring_interrupts():
            for _ in range(workers):  # each starts one
                executor.submit(int)
        try:
            yield executor
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            executor.shutdown(cancel_futures=True)
            raise
