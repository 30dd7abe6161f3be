"""Several devices of one machine: a worker process for each, which places what it is sent on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment.running.workers import work_on

__all__ = ["OnDevices"]

T = TypeVar("T")


class OnDevices(Executor):
    """An executor with one process for each device: ``compare(..., executor=OnDevices(["cuda:0", "cuda:1"]))``.

    Args:
        devices: of one type; a device that is named twice gets two processes.

    Raises:
        ArgumentError: there are none, or of several types, whose results would differ in their last digits.
    """

    def __init__(self, devices: Sequence[str | torch.device]) -> None:
        places = [torch.device(device) for device in devices]
        types = sorted({place.type for place in places})
        if len(types) != 1:
            raise ArgumentError(f"devices: expected devices of one type, got {', '.join(types) or 'none'}")
        self.device_type = types[0]
        self._pools = [
            ProcessPoolExecutor(1, get_context("spawn"), initializer=work_on, initargs=(str(place),))
            for place in places
        ]
        self._futures: list[set[Future[Any]]] = [set() for _ in self._pools]
        self._max_workers = len(self._pools)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Give a task to the device that has least to do."""
        waiting = [sum(not future.done() for future in futures) for futures in self._futures]
        place = waiting.index(min(waiting))
        future = self._pools[place].submit(fn, *args, **kwargs)
        self._futures[place] = {other for other in self._futures[place] if not other.done()} | {future}
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.shutdown(wait, cancel_futures=cancel_futures)
