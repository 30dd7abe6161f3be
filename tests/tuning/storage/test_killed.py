"""Workers killed in the middle: nothing is lost or done twice, on SQLite, a journal and a real PostgreSQL server."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pnpxai.tuning import TuningResult
from pnpxai.tuning.search.plan import quiet
from pnpxai.tuning.storage.storages import opened
from tests.forked import Forked
from tests.tuning.storage import killed
from tests.tuning.storage.killed import N_TRIALS, search

ENDED = {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server of its own."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install 'pnpxai[postgres]'")
    programs = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ["PATH"].split(":"))]
    home = next((p for p in programs if (p / "initdb").exists() and (p / "pg_ctl").exists()), None)
    if home is None:
        pytest.skip("no PostgreSQL server is installed: initdb and pg_ctl were not found")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user: list[str] = []
    if os.getuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, options = folder / "data", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    start = [*as_user, home / "initdb", "-D", data, "-A", "trust", "-U", "tuner"]
    subprocess.run(start, check=True, cwd=folder, capture_output=True)
    control = [*as_user, home / "pg_ctl", "-D", data, "-w"]
    served = [*control, "-l", folder / "log", "-o", options, "start"]
    subprocess.run(served, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://tuner@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder)


@pytest.fixture(params=["tuning.db", "tuning.journal", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage of each kind."""
    if request.param != "postgresql":
        return str(tmp_path / request.param)
    import psycopg

    url, name = request.getfixturevalue("server"), f"run_{time.time_ns()}"
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url}/{name}"


def _started(storage: str) -> Forked:
    return Forked(killed.slow_search, storage)


def _trials(storage: str) -> list[optuna.trial.FrozenTrial]:
    with quiet():
        store = opened(storage)
        names = optuna.get_all_study_names(store.backend)
        trials = optuna.load_study(study_name=names[0], storage=store.backend).trials if names else []
        store.close()
        return trials


def _wait_for(storage: str, ended: int, process: Forked) -> None:
    """Wait until a few trials have ended and another one is in the middle."""
    for _ in range(600):
        trials = _trials(storage)
        busy = any(t.state == TrialState.RUNNING and t.intermediate_values for t in trials)
        if busy and sum(t.state in ENDED for t in trials) >= ended:
            return
        assert process.poll() is None, "the search ended before it was killed"
        time.sleep(0.05)
    raise AssertionError("the search did not get so far")


def _history(result: TuningResult) -> list[tuple[dict, list[float] | None, dict]]:
    return [(t.params, t.values, t.intermediate_values) for t in result.study.trials]


@cache
def _uninterrupted() -> TuningResult:
    return search(None)


@pytest.mark.slow
@pytest.mark.parametrize("ended", [2, 5, 9])
def test_one_worker_killed_and_resumed_equals_one_that_was_not(storage: str, ended: int) -> None:
    process = _started(storage)
    _wait_for(storage, ended, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = _trials(storage)
    assert any(t.state not in ENDED for t in left)
    resumed = search(storage)
    assert _history(resumed) == _history(_uninterrupted())
    assert resumed.best == _uninterrupted().best
    assert resumed.gain == _uninterrupted().gain
    for before, after in zip(left, resumed.study.trials, strict=True):
        assert before.intermediate_values.items() <= after.intermediate_values.items()
        if before.state in ENDED:
            assert before.datetime_complete == after.datetime_complete


@pytest.mark.slow
@pytest.mark.parametrize("ended", [2, 5, 9])
def test_one_of_two_workers_killed_leaves_nothing_undone(storage: str, ended: int) -> None:
    first, second = _started(storage), _started(storage)
    try:
        _wait_for(storage, ended, first)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert second.wait(timeout=120) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    trials = _trials(storage)
    assert [t.number for t in trials] == list(range(N_TRIALS))
    assert {t.state for t in trials} <= ENDED
    for trial in trials:
        stopped = trial.user_attrs.get("stopped after")
        assert len(trial.intermediate_values) == (stopped or 20)


@pytest.mark.slow
def test_workers_of_one_call_share_the_trials(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killed, "PAUSE", 1.0)  # of this process, so that the other one has time to come
    result = search(storage, workers=2)
    assert len(result.study.trials) == N_TRIALS == result.trials
    assert len({t.user_attrs["worker"]["pid"] for t in result.study.trials}) == 2
