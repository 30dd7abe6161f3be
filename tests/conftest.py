"""What all tests share: a random state of their own."""

from __future__ import annotations

import gc
import random

import hypothesis
import numpy as np
import pytest
import torch

from pnpxai.declare import registry
from pnpxai.testing.architectures import ARCHITECTURES

# the same examples everywhere, and no verdict by the clock
hypothesis.settings.register_profile("pnpxai", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("pnpxai")
# the models are small: several threads would mostly wait for each other
torch.set_num_threads(1)


def pytest_collection_finish(session):
    """Spare the garbage collector what was imported: tests collect garbage often, to count what they leave."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_random_state():
    """Start every test at the same seed, so that none depends on which ran before."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])


@pytest.fixture(autouse=True)
def _own_toys(request, monkeypatch):
    """Let a test find the explainers, metrics and strategies of other test files no more than a user would."""
    found = registry._descendants

    def of_package_or_own(base):
        for cls in found(base):
            if cls.__module__ == request.module.__name__ or not cls.__module__.split(".")[-1].startswith("test_"):
                yield cls

    monkeypatch.setattr(registry, "_descendants", of_package_or_own)


@pytest.fixture(autouse=True)
def _shared_cases():
    """Take from the zoo's shared inputs what a rival may have left on them."""
    yield
    for make in ARCHITECTURES.values():
        for tensor in make().tensors if make.cache_info().currsize else ():
            tensor.requires_grad_(False)
            tensor.grad = None


@pytest.fixture
def double():
    """Let new tensors be of float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
