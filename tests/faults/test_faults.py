"""Every planted fault is caught by each of the tests that it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.planted import FAULTS
from tests.faults.planting import planted
from tests.faults.reliability import RELIABILITY


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_the_source_has_the_place_where_it_is_planted(fault):
    with planted(fault):
        pass


def test_there_are_many_and_half_of_them_are_of_reliability():
    assert len({(fault.where, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS) >= 60
    assert len(RELIABILITY) >= 30


@pytest.mark.slow(first=True)
def test_every_fault_is_caught_and_the_sound_package_passes():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--sound"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
