"""Tasks on an executor: any of ``concurrent.futures`` or alike; a worker is sent the model once and holds it."""

from __future__ import annotations

import io
import os
import pickle
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait

import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment.running.executors_private import worker_count
from pnpxai.experiment.running.work import Job, Task
from pnpxai.experiment.storage.records import ChunkResult

__all__ = ["carried_out", "work_on"]

_HELD = 2
_held: OrderedDict[tuple[int, str], Job] = OrderedDict()
_held_guard = threading.Lock()
_place: torch.device | None = None


def work_on(device: str | None) -> None:
    """Let this process place the models it is sent on a device; None for where they were."""
    global _place
    _place = None if device is None else torch.device(device)


def carried_out(job: Job, tasks: Iterable[Task], executor: Executor | None) -> Iterator[tuple[Task, ChunkResult]]:
    """Do tasks, and yield each with its result as soon as it is done; few tasks are read ahead.

    Args:
        job: what a worker holds.
        tasks: the tasks.
        executor: runs the tasks; None for this process.

    Raises:
        ArgumentError: the model cannot be sent to another process.
        BrokenExecutor: a worker died and the executor does not mend itself.
    """
    if executor is None:
        for task in tasks:
            yield task, job.do(task)
        return
    yield from _SentJob(job, executor).through(iter(tasks))


class _SentJob:
    """A job that is sent to each worker once, with the first task that finds it missing there."""

    def __init__(self, job: Job, executor: Executor) -> None:
        self.job, self.executor = job, executor
        self.key = uuid.uuid4().hex
        self._payload: bytes | None = None
        self._waiting: dict[Future[bytes | None], tuple[Task, bytes]] = {}
        self._ahead = 2 * worker_count(executor)

    def through(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, ChunkResult]]:
        _hold(self.key, self.job)  # threads find it there
        try:
            more = True
            while more or self._waiting:
                while more and len(self._waiting) < self._ahead:
                    task = next(tasks, None)
                    more = task is not None
                    if task is not None:
                        self._submit(task, pickle.dumps(task), None)
                yield from self._finished()
        except BrokenExecutor as broken:
            raise BrokenExecutor(
                "executor: a worker died; what was done is kept, if there is a folder: the same call goes on"
            ) from broken
        finally:
            for future in self._waiting:
                future.cancel()
            _drop(self.key)

    def _submit(self, task: Task, packed: bytes, payload: bytes | None) -> None:
        self._waiting[self.executor.submit(perform, self.key, payload, packed)] = task, packed

    def _finished(self) -> Iterator[tuple[Task, ChunkResult]]:
        done, _ = wait(self._waiting, return_when=FIRST_COMPLETED) if self._waiting else ((), ())
        for future in done:
            task, packed = self._waiting.pop(future)
            answer = future.result()
            if answer is None:  # a worker that does not hold the job yet
                self._submit(task, packed, self._packed())
            else:
                yield task, pickle.loads(answer)  # noqa: S301  made by our own worker

    def _packed(self) -> bytes:
        if self._payload is None:
            try:
                self._payload = as_sent(self.job)
            except (pickle.PicklingError, AttributeError, TypeError) as problem:
                raise ArgumentError(
                    f"executor: this comparison cannot be sent to another process ({problem}); define the model's "
                    "class and all functions at the top of a module, or use threads"
                ) from problem
        return self._payload


def as_sent(job: Job) -> bytes:
    """Return a job as it is sent."""
    torch.save(job, buffer := io.BytesIO())
    return buffer.getvalue()


def received(payload: bytes, device: torch.device | None) -> Job:
    """Return a job that was sent by our own process, with all its tensors on a device; None for where they were."""
    return torch.load(io.BytesIO(payload), map_location=device, weights_only=False)  # noqa: S614


def perform(key: str, payload: bytes | None, task: bytes) -> bytes | None:
    """Do a task in a worker; None if it does not hold the job and was not sent it."""
    with _held_guard:
        job = _held.get((os.getpid(), key))
    if job is None:
        if payload is None:
            return None
        job = received(payload, _place)
        if torch.get_num_threads() != job.threads:  # another number may round otherwise
            torch.set_num_threads(job.threads)
        _hold(key, job)
    return pickle.dumps(job.do(pickle.loads(task)))  # noqa: S301


def _hold(key: str, job: Job) -> None:
    with _held_guard:
        _held[os.getpid(), key] = job
        while len(_held) > _HELD:
            _held.popitem(last=False)


def _drop(key: str) -> None:
    with _held_guard:
        _held.pop((os.getpid(), key), None)
