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
    """Let processes that start within the ``with`` block ignore Ctrl-C; the process that started them ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # child processes inherit it
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def own_progress_lock() -> None:
    """Give a worker's progress bars their own lock. A shared lock would stay closed if the worker is terminated."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """Lend spawned processes. If the block ends with an error, the processes end at once.

    Args:
        workers: number of processes.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, own_progress_lock) as executor:
        with ignoring_interrupts():
            for _ in range(workers):  # each call starts one process
                executor.submit(int)
        try:
            yield executor
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            executor.shutdown(cancel_futures=True)
            raise
