"""The planted faults: those of results, and those of reliability."""

from __future__ import annotations

from tests.faults.reliability import RELIABILITY
from tests.faults.results import RESULTS

__all__ = ["FAULTS"]

FAULTS = RESULTS + RELIABILITY
