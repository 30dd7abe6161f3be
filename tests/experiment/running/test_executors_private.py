"""The number of an executor's workers is found where the package looks for it."""

import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from pnpxai.experiment.running.executors_private import worker_count


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_pools_say_how_many_workers_they_have(pool: type) -> None:
    with pool(3) as executor:
        assert worker_count(executor) == 3


def test_an_executor_that_does_not_say_gets_one_task_for_each_processor() -> None:
    assert worker_count(Executor()) == os.cpu_count()
