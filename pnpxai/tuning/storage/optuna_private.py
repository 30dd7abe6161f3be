"""The names of Optuna that are not public and yet needed, all in one place; a test fails when one of them changes."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial

__all__ = ["BaseJournalFileLock", "storage_of", "trial_id"]


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage that a study writes to."""
    return study._storage


def trial_id(trial: optuna.Trial | FrozenTrial) -> int:
    """Return the number by which a storage knows a trial, of whatever study."""
    return trial._trial_id
