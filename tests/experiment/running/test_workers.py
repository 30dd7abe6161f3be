"""Whoever does the work, the table is the same; a worker holds the model once; one that dies loses nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results, compare
from pnpxai.experiment.running import workers
from pnpxai.experiment.running.work import Job
from pnpxai.traits import Traits
from tests.forked import SERVER
from tests.small import Bright, examples

QUIET: dict[str, Any] = {"traits": Traits.image(), "show_progress": False, "chunk": 4}
EXPLAINERS, METRICS = ["GradientXInput", "SmoothGrad"], ["AbPC", "Complexity"]


class Slow(Bright):
    """Takes its time, so that a worker is at work when it is killed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return super().forward(x)


@pytest.fixture(scope="module")
def net() -> Bright:
    return Bright()


@pytest.fixture(scope="module")
def alone(net: Bright) -> Results:
    return compare(net, examples(net, 24), EXPLAINERS, METRICS, **QUIET)


def _same(found: Results, expected: Results) -> None:
    assert found.table.equals(expected.table)
    assert found.curves == expected.curves
    assert found.decision == expected.decision
    assert all(torch.equal(found.maps[label], maps) for label, maps in expected.maps.items())


def test_threads_give_the_same(net: Bright, alone: Results) -> None:
    with ThreadPoolExecutor(3) as executor:
        _same(compare(net, examples(net, 24), EXPLAINERS, METRICS, executor=executor, **QUIET), alone)


def test_an_executor_that_answers_in_any_order_gives_the_same(net: Bright, alone: Results) -> None:
    class Backwards(ThreadPoolExecutor):
        """Does what it was given last first."""

        def __init__(self) -> None:
            super().__init__(1)
            self.given: list[tuple[Future[Any], Any, Any]] = []

        def submit(self, function, /, *arguments, **named):  # noqa: ANN001, ANN002, ANN003, ANN202
            future: Future[Any] = Future()
            self.given.append((future, function, arguments))
            threading.Timer(0.05, self.do).start()
            return future

        def do(self) -> None:
            future, function, arguments = self.given.pop()
            future.set_result(function(*arguments))

    _same(compare(net, examples(net, 24), EXPLAINERS, METRICS, executor=Backwards(), **QUIET), alone)


@pytest.mark.slow
def test_processes_give_the_same(net: Bright, alone: Results, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        _same(compare(net, examples(net, 24), EXPLAINERS, METRICS, executor=executor, folder=tmp_path, **QUIET), alone)
    assert Results.load(tmp_path).table.equals(alone.table)


def test_a_worker_is_sent_the_model_once(net: Bright, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, held = [], []
    monkeypatch.setattr(workers, "_hold", lambda key, job: held.append(job))  # as if this process were another one
    original = workers.perform

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, function, key, payload, packed):  # noqa: ANN001, ANN202
            sent.append(payload is not None)
            future: Future[Any] = Future()
            future.set_result(original(key, payload, packed))
            if payload is not None:
                workers._held[os.getpid(), key] = held[-1]
            return future

    found = compare(net, examples(net, 24), ["Gradient"], METRICS, executor=Elsewhere(1), **QUIET)
    assert len(found.table) == 24 * 3 * 2
    ahead = 2
    assert sent.count(True) <= ahead
    assert isinstance(held[-1], Job)
    assert held[-1].model is not net
    workers._held.clear()


def test_what_cannot_be_sent_is_refused(alone: Results) -> None:
    class Local(Bright):
        pass

    net = Local()
    with ProcessPoolExecutor(1, SERVER) as executor:
        with pytest.raises(ArgumentError, match="cannot be sent to another process"):
            compare(net, examples(net, 8), ["Gradient"], ["Complexity"], executor=executor, **QUIET)
    with ThreadPoolExecutor(1) as executor:
        assert len(compare(net, examples(net, 8), ["Gradient"], METRICS, executor=executor, **QUIET).table) == 48


@pytest.mark.slow
def test_a_pool_that_breaks_leaves_what_was_done(net: Bright, alone: Results, tmp_path: Path) -> None:
    slow = Slow()
    slow.load_state_dict(net.state_dict())
    given = examples(net, 24)
    with ProcessPoolExecutor(2, SERVER) as executor:
        threading.Thread(target=_kill_one, args=(executor, tmp_path / "store"), daemon=True).start()
        with pytest.raises(BrokenExecutor, match="the same call goes on"):
            compare(slow, given, EXPLAINERS, METRICS, executor=executor, folder=tmp_path, **QUIET)
    kept = len(list((tmp_path / "store").glob("*.parquet")))
    assert kept >= 1
    _same(compare(slow, given, EXPLAINERS, METRICS, folder=tmp_path, **QUIET), alone)


def _kill_one(executor: ProcessPoolExecutor, store: Path) -> None:
    while not list(store.glob("*.parquet")):
        time.sleep(0.01)
    os.kill(next(iter(executor._processes)), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_that_loses_a_worker_loses_nothing(net: Bright, alone: Results, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")
    slow = Slow()
    slow.load_state_dict(net.state_dict())
    store = tmp_path / "store"
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        killed = []

        def kill() -> None:
            while len(list(store.glob("*.parquet"))) < 2:
                time.sleep(0.01)
            killed.append(next(iter(pids.values())))
            os.kill(killed[0], signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        executor = client.get_executor()
        found = compare(slow, examples(net, 24), EXPLAINERS, METRICS, executor=executor, folder=tmp_path, **QUIET)
        assert killed
    _same(found, alone)
