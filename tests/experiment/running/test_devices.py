"""Several devices: each worker places what it is sent on its own."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment import OnDevices, compare
from pnpxai.experiment.running import workers
from pnpxai.experiment.running.work import Job
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.metrics.complexity import Complexity
from pnpxai.metrics.evaluation import Candidate
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from tests.small import Bright, examples, pictures

QUIET: dict[str, Any] = {"traits": Traits.image(), "show_progress": False, "chunk": 4}


def test_all_that_is_sent_arrives_on_the_workers_device() -> None:
    net = Bright()
    explainer = IntegratedGradients(net, baseline_fn=Background(pictures(3)))
    job = Job({"a": Candidate("a", explainer, PostProcessor())}, {"b": Complexity(net)}, 0, net)
    there = workers.received(workers.as_sent(job), torch.device("meta"))
    sent = there.candidates["a"].explainer
    assert {p.device.type for p in there.model.parameters()} == {"meta"}
    assert sent.model is there.model is there.metrics["b"].model
    assert sent.baseline_fn.examples.device.type == "meta"
    here = workers.received(workers.as_sent(job), None)
    assert torch.equal(here.model.head.weight, net.head.weight)
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_a_worker_goes_by_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    original = workers.received
    monkeypatch.setattr(workers, "received", lambda payload, device: places.append(device) or original(payload, None))
    monkeypatch.setattr(workers, "_place", None)
    net = Bright()
    job = Job({}, {}, 0, net, threads=torch.get_num_threads())
    for device in ("cpu:1", None):
        workers.work_on(device)
        with pytest.raises(AttributeError):  # no task, but the job is there
            workers.perform(str(device), workers.as_sent(job), b"\x80\x04N.")
    assert places == [torch.device("cpu:1"), None]
    workers._held.clear()


def test_devices_are_of_one_type() -> None:
    for bad, words in {(): "got none", ("cpu", "cuda:0"): "got cpu, cuda"}.items():
        with pytest.raises(ArgumentError, match=f"expected devices of one type, {words}"):
            OnDevices(bad)


def place_of_worker(seconds: float) -> tuple[str, int]:
    time.sleep(seconds)
    return str(workers._place), os.getpid()


@pytest.mark.slow
def test_each_device_has_a_process_and_the_table_is_the_same() -> None:
    net = Bright()
    with OnDevices(["cpu", "cpu"]) as executor:
        assert executor.device_type == "cpu"
        found = [future.result() for future in [executor.submit(place_of_worker, 0.5) for _ in range(4)]]
        assert {place for place, _ in found} == {"cpu"}
        assert sorted(map(found.count, set(found))) == [2, 2]
        shared = compare(net, examples(net, 24), ["SmoothGrad"], ["AbPC"], executor=executor, **QUIET)
    assert shared.table.equals(compare(net, examples(net, 24), ["SmoothGrad"], ["AbPC"], **QUIET).table)
