"""Trials outlast their process: resumed, given back, kept apart from other runs; what cannot be reached is said."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from pnpxai.tuning.search.plan import quiet
from pnpxai.tuning.search.samplers import Sampling
from pnpxai.tuning.storage.queue import Queue
from pnpxai.tuning.storage.storages import opened
from tests.small import Bright, examples

PLACES = ["run", "tuning.db", "tuning.journal"]


def _tuned(storage: Any, **options: Any) -> TuningResult:
    import torch

    torch.manual_seed(0)
    net = Bright()
    given = {"traits": Traits.image(), "n_trials": 6, "n_seeds": 0, "show_progress": False, "sampler": "tpe"} | options
    explainer = given.pop("explainer", SmoothGrad)
    return tune(explainer(net), examples(net), given.pop("metric", "AbPC"), storage=storage, **given)


def _history(result: TuningResult) -> list[tuple[dict, list[float] | None, dict]]:
    return [(t.params, t.values, t.intermediate_values) for t in result.study.trials]


@pytest.mark.parametrize("place", PLACES)
def test_the_same_call_goes_on_where_it_stopped(place: str, tmp_path: Path) -> None:
    def interrupt(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.number == 2:
            raise KeyboardInterrupt

    storage = tmp_path / place
    with pytest.raises(KeyboardInterrupt):
        _tuned(storage, callbacks=[interrupt])
    resumed, whole = _tuned(storage), _tuned(None)
    assert _history(resumed) == _history(whole)
    assert resumed.gain == whole.gain
    before = [t.datetime_complete for t in resumed.study.trials]
    again = _tuned(storage)
    assert [t.datetime_complete for t in again.study.trials] == before, "what is done is not done again"
    more = _tuned(storage, n_trials=8)
    assert _history(more)[:6] == _history(whole)
    assert more.trials == 8


@pytest.mark.parametrize("place", PLACES)
def test_a_trial_that_fails_in_the_middle_is_taken_up_again(place: str, tmp_path: Path) -> None:
    from pnpxai.tuning.trials.objective import Objective

    storage, plain = tmp_path / place, Objective.__call__

    def failing(self: Objective, trial: optuna.Trial) -> list[float]:
        values = plain(self, trial)
        if trial.number == 3:
            raise RuntimeError("the power went")
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "__call__", failing)
        with pytest.raises(RuntimeError, match="the power went"):
            _tuned(storage)
    calls: list[int] = []

    def counting(self: Objective, trial: optuna.Trial) -> list[float]:
        before = self.judges.shared.separate
        values = plain(self, trial)
        calls.append(self.judges.shared.separate - before)
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "__call__", counting)
        resumed = _tuned(storage)
    assert _history(resumed) == _history(_tuned(None))
    assert len(calls) == 3
    assert calls[0] == 0, "its examples had been reported"


@pytest.mark.parametrize("place", ["tuning.db", "tuning.journal"])
def test_settings_are_the_same_if_a_process_was_killed_between_two_of_them(place: str, tmp_path: Path) -> None:
    suggested = []
    for killed in (False, True):
        with quiet():
            store = opened(tmp_path / f"{killed}{place}")
            queue = Queue(optuna.create_study(storage=store.backend), store)
            queue.plan([{}])
            for names in ("a", "abc") if killed else ("abc",):
                trial = queue.claim(lambda number: Sampling("tpe", 0).sampler(number, several_workers=False))
                assert trial is not None
                values = [trial.suggest_float(name, 0, 1) for name in names]
                queue.give_back(trial)
            store.close()
        suggested.append(values)
    assert suggested[0] == suggested[1]


@pytest.mark.parametrize("place", ["tuning.db", "tuning.journal"])
def test_trials_of_the_dead_are_given_back_and_those_of_the_living_are_not(place: str, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with quiet():
        store = opened(tmp_path / place)
        study = optuna.create_study(storage=store.backend)
        queue = Queue(study, store)
        queue.plan([{}] * 5)
        me = queue._me
        workers: list[dict | None] = [
            me,
            me | {"pid": gone.pid, "born": "7"},
            me | {"pid": os.getppid(), "born": "7"},  # the number was given to another process
            None,
            me | {"host": "elsewhere", "id": "far"},
        ]
        for worker in workers:
            trial = study.ask()
            if worker is not None:
                trial.set_user_attr("worker", worker)
        study.set_user_attr("seen far", time.time() - 30)
        queue._take_back()
        states = [t.state for t in study.get_trials()]
        assert [s == TrialState.RUNNING for s in states] == [True, False, False, False, True]
        study.set_user_attr("seen far", time.time() - 3600)
        queue._take_back()
        assert study.get_trials()[4].state == TrialState.WAITING
        store.close()


def test_a_line_that_was_not_written_to_its_end_is_cut_off(tmp_path: Path) -> None:
    place = tmp_path / "tuning.journal"
    _tuned(place, n_trials=3)
    with place.open("ab") as file:
        file.write(b'{"op_code": 5, "worker')
    resumed = _tuned(place, n_trials=5)
    assert [t.number for t in resumed.study.trials] == list(range(5))
    assert all(json.loads(line) for line in place.read_text().splitlines())


def test_another_run_is_refused_and_another_name_is_not(tmp_path: Path) -> None:
    _tuned(tmp_path, n_trials=2)
    for options, differs in (
        ({"seed": 1}, "examples, seed"),
        ({"traits": Traits("image", 1, 1)}, None),
        ({"metric": "AbPC", "tuning_fraction": 0.25}, "examples"),
    ):
        if differs is not None:
            with pytest.raises(ArgumentError, match=f"holds another run called .* differs in {differs}"):
                _tuned(tmp_path, n_trials=2, **options)
    assert _tuned(tmp_path, n_trials=2, seed=1, study_name="another").trials == 2
    assert _tuned(tmp_path, n_trials=2, explainer=Gradient).best.label == "Gradient"


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "text.db").write_text("this is no database, but a text that is long enough to be read as one" * 20)
    for storage, message in (
        (tmp_path / "file" / "run", "storage: .* cannot be used"),
        (tmp_path / "text.db", "cannot be opened: .*file is not a database"),
        ("nonsense://somewhere/db", "storage: .* cannot be opened"),
        (3, "storage: expected a folder, a file, a URL or an Optuna storage, got 3"),
    ):
        with pytest.raises(ArgumentError, match=message):
            _tuned(storage)


def test_a_server_that_does_not_answer_is_said_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ArgumentError, match="cannot be opened: .*") as refusal:
        _tuned("postgresql://me:secret@127.0.0.1:9/none")
    assert "secret" not in str(refusal.value)
    assert "127.0.0.1" in str(refusal.value)


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match="pnpxai\\[postgres\\]"):
        _tuned("postgresql://127.0.0.1/none")


def test_functions_without_a_name_do_not_go_to_other_processes(tmp_path: Path) -> None:
    net = Bright()
    explainer = SmoothGrad(net, forward_arg_extractor=lambda batch: batch)
    with pytest.raises(ArgumentError, match="must be able to import all"):
        tune(explainer, examples(net), "AbPC", n_trials=2, storage=tmp_path, workers=2, show_progress=False)


def test_the_database_is_a_plain_one_that_other_tools_read(tmp_path: Path) -> None:
    _tuned(tmp_path, n_trials=2)
    with sqlite3.connect(tmp_path / "tuning.db") as connection:
        assert connection.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone() == (2,)
    connection.close()


HALF = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE half (x)")
connection.executemany("INSERT INTO half VALUES (?)", [("x" * 500,)] * 2000)
os._exit(1)
"""


def test_what_a_killed_process_left_half_written_is_rolled_back(tmp_path: Path) -> None:
    with quiet():
        store = opened(tmp_path / "tuning.db")
        optuna.create_study(storage=store.backend, study_name="s")
        store.close()
        subprocess.run([sys.executable, "-c", HALF, str(tmp_path / "tuning.db")], check=False)  # noqa: S603
        assert (tmp_path / "tuning.db-journal").stat().st_size, "there is something to roll back"
        assert optuna.get_all_study_names(opened(tmp_path / "tuning.db").backend) == ["s"]
