"""The trials of a study as a queue: each is claimed by one process, and taken up again if that process dies."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

import optuna
from optuna.trial import FrozenTrial, TrialState

from pnpxai.tuning.space.parameters import Parameters
from pnpxai.tuning.storage.optuna_private import put_back, stored
from pnpxai.tuning.storage.storages import TrialStorage

__all__ = ["Queue"]

_SEEN_EVERY = 20.0
_LOST_AFTER = 180.0
_WORKER = "worker"


class _Worker(TypedDict):
    """What tells a process from all others: its machine since the last start, number, start time, and a random name."""

    host: str
    pid: int
    born: str | None
    id: str


class Queue:
    """The trials of one study.

    Every trial that is to be run lies in the storage beforehand, so that each is claimed by exactly one process. A
    trial whose process is gone goes back into the queue as it is: its settings and the examples that it has reported
    stay, and whoever takes it up goes on from there.
    """

    def __init__(self, study: optuna.Study, storage: TrialStorage) -> None:
        self.study = study
        self._storage = storage
        self._me: _Worker = {
            "host": _host(),
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "id": uuid.uuid4().hex[:12],
        }

    def plan(self, trials: Sequence[Parameters]) -> None:
        """Add what is missing of the planned trials (an empty one means: what the sampler suggests)."""
        with self._storage.exclusive():
            for parameters in trials[len(self.study.get_trials(deepcopy=False)) :]:
                self.study.enqueue_trial(parameters)

    def claim(
        self, sampler: Callable[[int], optuna.samplers.BaseSampler], *, endless: bool = False
    ) -> optuna.Trial | None:
        """Return the next trial, which is now this process's; None where none waits.

        Args:
            sampler: gives the sampler of a trial, by its number.
            endless: make a new trial where none waits.
        """
        with self._storage.exclusive():
            self._take_back()
            waiting = self._in(TrialState.WAITING)
            if not waiting:
                if not endless:
                    return None
                self.study.enqueue_trial({})
                waiting = self._in(TrialState.WAITING)
            self.study.sampler = sampler(waiting[0].number)
            trial = self.study.ask()
            _draw_again(self.study, trial)
            trial.set_user_attr(_WORKER, self._me)
            return trial

    def give_back(self, trial: optuna.Trial) -> None:
        """Put a trial that was not finished back into the queue."""
        with self._storage.exclusive():
            self._requeue(trial)

    def running(self) -> bool:
        """Tell whether another process is at work on a trial."""
        return bool(self._in(TrialState.RUNNING))

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that are done."""
        return self._in(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Let processes on other machines see that this one is alive, inside a ``with`` block."""
        if not self._storage.common:
            yield
            return
        done = threading.Event()

        def beat() -> None:
            while True:
                with contextlib.suppress(Exception):  # a storage that is gone for a moment
                    self.study.set_user_attr(f"seen {self._me['id']}", time.time())
                if done.wait(_SEEN_EVERY):
                    return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _in(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _take_back(self) -> None:
        """Put trials back whose process is gone."""
        for trial in self._in(TrialState.RUNNING):
            if not self._at_work(trial.user_attrs.get(_WORKER)):
                self._requeue(trial)

    def _requeue(self, trial: optuna.Trial | FrozenTrial) -> None:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            put_back(self.study, trial)

    def _at_work(self, worker: _Worker | None) -> bool:
        if worker is None:  # killed while it claimed the trial: nobody claims one without the lock that is held here
            return False
        if worker["host"] == self._me["host"]:
            return worker["born"] == _born(worker["pid"])
        seen = self.study.user_attrs.get(f"seen {worker['id']}", 0.0)
        return time.time() - seen < _LOST_AFTER


def _draw_again(study: optuna.Study, trial: optuna.Trial) -> None:
    """Draw what a killed process had drawn for a trial, so that what follows is what would have followed there."""
    before = stored(trial)
    fixed = before.system_attrs.get("fixed_params", {})
    for name, distribution in before.distributions.items():
        if name not in fixed and name not in trial.relative_params:
            study.sampler.sample_independent(study, before, name, distribution)


@cache
def _host() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip() if boot.exists() else platform.node()}"


def _born(pid: int) -> str | None:
    """Return what tells a process from a later one with its number; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        if Path("/proc/self").exists():
            return None
    else:
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return str(pid)
