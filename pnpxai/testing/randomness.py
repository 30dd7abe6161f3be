"""Laws of randomness: a seed fixes everything, another seed changes what is random, global states are not used."""

from __future__ import annotations

import random

import numpy as np
import torch

from pnpxai.testing.audit import audit
from pnpxai.testing.subject import Subject, close, require
from pnpxai.testing.zoo import Case

__all__ = ["check_global_state", "check_other_seed", "check_same_seed"]


def check_same_seed(subject: Subject, case: Case) -> None:
    """The same seed gives the same result, bit by bit, whatever was computed in between."""
    first = subject.run(case, seed=3)
    subject.run(case.take(slice(0, 1)), seed=4)
    second = subject.run(case, seed=3)
    require(close(first, second, 0.0), "same seed", "a second call gives another result")


def check_other_seed(subject: Subject, case: Case) -> None:
    """Another seed gives another result where numbers are drawn, and the same where none are."""
    one, other = subject.run(case, seed=3), subject.run(case, seed=4)
    alike = close(one, other, 0.0)
    if subject.stochastic:
        require(not alike, "other seed", "it changes nothing, though numbers are said to be drawn")
    else:
        require(alike, "other seed", "it changes the result, though nothing is said to be drawn")


def check_global_state(subject: Subject, case: Case) -> None:
    """The result does not depend on the random states of torch, NumPy and Python, nor are they moved."""
    results = []
    for seed in (0, 1):
        state = np.random.get_state()
        with torch.random.fork_rng():
            python = random.getstate()
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            try:
                with audit():
                    results.append(subject.run(case))
            finally:
                np.random.set_state(state)
                random.setstate(python)
    require(close(results[0], results[1], 0.0), "global random state", "the result depends on it")
