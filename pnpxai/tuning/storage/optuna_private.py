"""What Optuna has no public name for. A test fails when one of these names changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import optuna
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

__all__ = ["BaseJournalFileLock", "Callback", "callbacks_stop", "put_back", "stored"]

Callback: TypeAlias = Callable[[optuna.Study, FrozenTrial], None]
"""Is called with the study and each finished trial."""


def stored(trial: optuna.Trial) -> FrozenTrial:
    """Return a running trial as the storage has it, with the values that it has reported."""
    return trial.storage.get_trial(trial._trial_id)


def put_back(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> None:
    """Let a trial that was not finished wait for a process again, with all that it has reported."""
    study._storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)


def callbacks_stop(study: optuna.Study, trial: FrozenTrial, callbacks: Sequence[Callback]) -> bool:
    """Call the callbacks, and return whether one of them called ``study.stop()``.

    ``study.stop()`` raises outside of ``study.optimize``, so the study is told that it is inside.
    """
    local = study._thread_local
    local.in_optimize_loop = True
    study._stop_flag = False
    try:
        for callback in callbacks:
            callback(study, trial)
    finally:
        local.in_optimize_loop = False
    return study._stop_flag
