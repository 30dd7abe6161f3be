"""How long a run takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

Run = Callable[[], Any]


def timed(run: Run, device: torch.device) -> tuple[float, Any]:
    """Return the seconds a run takes, and its result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if device.type == "cuda":
            torch.cuda.synchronize()
            start = time.perf_counter()
            result = run()
            torch.cuda.synchronize()
            return time.perf_counter() - start, result
        start = time.process_time()
        result = run()
        return time.process_time() - start, result
