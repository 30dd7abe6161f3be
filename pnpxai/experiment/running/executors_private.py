"""What executors have no public name for. A test fails when this name changes."""

from __future__ import annotations

import os
from concurrent.futures import Executor

__all__ = ["worker_count"]


def worker_count(executor: Executor) -> int:
    """Return how many workers an executor has; of one that does not say, the number of processors."""
    workers = getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) else os.cpu_count() or 1
