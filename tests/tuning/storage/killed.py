"""A search for a process of its own, slow enough to be killed."""

import time
from typing import Any, ClassVar

import torch

from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.metrics.base import Measurement
from pnpxai.metrics.complexity import Complexity
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from tests.small import Bright, examples

N_TRIALS = 12


class Slow(Complexity):
    """A metric that takes its time."""

    category: ClassVar[str] = "toys"  # a search by simplicity alone would warn

    def judge(self, sample: Any) -> Measurement:
        """Return what ``Complexity`` returns, later."""
        time.sleep(PAUSE)
        return super().judge(sample)


PAUSE = 0.0


def search(storage: Any, n_trials: int = N_TRIALS, workers: int = 1) -> TuningResult:
    """Run the search, or what is left of it."""
    torch.set_num_threads(1)
    net = Bright()
    return tune(
        SmoothGrad(net), examples(net, 40, 20), Slow(net), traits=Traits.image(), n_trials=n_trials, sampler="tpe",
        storage=storage, workers=workers, n_seeds=0, show_progress=False,
    )  # fmt: skip


def slow_search(storage: str) -> None:
    """Run the search so slowly that it can be killed in the middle."""
    global PAUSE  # noqa: PLW0603
    PAUSE = 0.1
    search(storage)
