"""The private names of Optuna do what the package takes them to do."""

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pnpxai.tuning.storage.optuna_private import BaseJournalFileLock, storage_of, trial_id


def test_a_trial_is_found_in_its_studys_storage():
    storage = optuna.storages.InMemoryStorage()
    first, second = (optuna.create_study(storage=storage) for _ in range(2))
    first.enqueue_trial({})
    trial = second.ask()
    assert storage_of(second) is storage
    found = storage_of(second).get_trial(trial_id(trial))
    assert found.state == TrialState.RUNNING
    assert trial_id(found) == trial_id(trial)
    assert found.number == trial.number == 0 != trial_id(trial)


def test_a_journal_takes_a_lock_of_ours(tmp_path):
    calls = []

    class Lock(BaseJournalFileLock):
        def acquire(self):
            calls.append("acquire")
            return True

        def release(self):
            calls.append("release")

    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log"), lock_obj=Lock()))
    optuna.create_study(storage=storage)
    assert calls[:2] == ["acquire", "release"]
    assert calls.count("acquire") == calls.count("release")
