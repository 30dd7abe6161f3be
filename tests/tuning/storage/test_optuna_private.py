"""The private names of Optuna that the package uses mean what the package takes them for."""

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pnpxai.tuning.search.plan import quiet
from pnpxai.tuning.storage.optuna_private import BaseJournalFileLock, callbacks_stop, put_back, stored


def test_a_running_trial_is_read_with_what_it_has_reported() -> None:
    with quiet():
        trial = optuna.create_study().ask()
        trial.report(2.0, 3)
    assert stored(trial).intermediate_values == {3: 2.0}
    assert stored(trial).number == trial.number


def test_a_trial_that_is_put_back_waits_and_keeps_its_values() -> None:
    with quiet():
        study = optuna.create_study()
        study.enqueue_trial({"a": 1.0})
        trial = study.ask()
        trial.report(2.0, 3)
        put_back(study, trial)
        assert study.trials[0].state == TrialState.WAITING
        again = study.ask()
        assert again.number == trial.number
        assert again.suggest_float("a", 0.0, 2.0) == 1.0
        assert stored(again).intermediate_values == {3: 2.0}


@pytest.mark.parametrize("stops", [True, False])
def test_a_callback_may_stop_the_study(stops: bool) -> None:
    with quiet():
        study = optuna.create_study()
        trial = study.ask()
        trial = study.tell(trial, 1.0)
        assert callbacks_stop(study, trial, [lambda study, _: study.stop() if stops else None]) is stops
        with pytest.raises(RuntimeError):
            study.stop()


def test_a_journal_uses_a_lock_of_ours(tmp_path) -> None:
    calls = []

    class Lock(BaseJournalFileLock):
        def acquire(self) -> bool:
            calls.append("acquire")
            return True

        def release(self) -> None:
            calls.append("release")

    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log"), lock_obj=Lock()))
    optuna.create_study(storage=storage)
    assert calls[:2] == ["acquire", "release"]
    assert calls.count("acquire") == calls.count("release")
