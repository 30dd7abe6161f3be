"""What all tests share: a random state of their own, and the ways to choose a few of them.

``pytest --only SmoothGrad`` runs the cells of one class and its own test file; ``pytest -m smoke`` runs what is marked,
and of each file in which nothing is marked the first test, which should therefore be a telling one.
"""

from __future__ import annotations

import contextlib
import gc
import random
import re
import sys
from pathlib import Path

# before other imports: asserts, hypothesis' too, are rewritten once and not in every run, beside pytest's other caches
sys.dont_write_bytecode = False
sys.pycache_prefix = sys.pycache_prefix or str(Path(__file__).parents[1] / ".pytest_cache/compiled")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from pnpxai.declare import registry  # noqa: E402
from pnpxai.testing.architectures import ARCHITECTURES  # noqa: E402

# the same examples everywhere, and no verdict by the clock
hypothesis.settings.register_profile("pnpxai", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("pnpxai")
# the models are small: several threads would mostly wait for each other
torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--cells", type=int, help="how many generated networks are explained, with -m fuzz")
    parser.addoption("--seed", type=int, help="which generated networks, with -m fuzz")
    parser.addoption("--only", metavar="CLASS", help="run the cells of one class, and its own test file")
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run files, and the tests of each, in random order")


def pytest_ignore_collect(collection_path, config):
    """With ``--only``, leave out the files that neither sweep over all classes nor belong to the class."""
    name = config.getoption("--only")
    if name is None or not collection_path.name.startswith("test_"):
        return None
    return None if _belongs(collection_path, name) or _sweeps(collection_path, name) else True


def pytest_collection_modifyitems(config, items):
    name = config.getoption("--only")
    if name is not None:
        _keep(config, items, lambda item: _belongs(item.path, name) or _is_cell_of(item, name))
        _keep(config, items, lambda item: not item.get_closest_marker("trained"))
    if re.search(r"\bsmoke\b", config.getoption("-m")):
        _mark_first_tests(items)
    items.sort(key=lambda item: not any(mark.kwargs.get("first") for mark in item.iter_markers("slow")))
    if config.getoption("--shuffle") is not None:
        _shuffle(items, random.Random(config.getoption("--shuffle")))


def _belongs(path, name):
    """Tell whether a test file mirrors the source file that defines a class."""
    return path.name in {f"test_{source.name}" for source in _sources(name)}


def _sources(name, known={}):  # noqa: B006  (found once)
    if name not in known:
        package = Path(__file__).parents[1] / "pnpxai"
        known[name] = [s for s in package.rglob("*.py") if re.search(rf"^class {name}\b", s.read_text(), re.M)]
        if not known[name]:
            raise pytest.UsageError(f"--only: the package has no class {name!r}")
    return known[name]


def _sweeps(path, name):
    """Tell whether a test file, in the room of a class, runs over all classes of its kind."""
    return path.parent in _rooms(name) and "every(" in path.read_text()


def _rooms(name):
    tests, package = Path(__file__).parent, Path(__file__).parents[1] / "pnpxai"
    return {tests / source.relative_to(package).parts[0] for source in _sources(name)}


def _is_cell_of(item, name):
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(getattr(value, "__name__", value) == name for value in parameters)


def _keep(config, items, wanted):
    kept = [item for item in items if wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = kept


def _shuffle(items, draws):
    """Put files, and the tests of each file, in random order: fixtures of a file are still made once."""
    files = {item.path: draws.random() for item in items}
    items.sort(key=lambda item: (files[item.path], draws.random()))


def _mark_first_tests(items):
    marked = {item.path for item in items if item.get_closest_marker("smoke")}
    for item in items:
        long = any(item.get_closest_marker(name) for name in ("slow", "trained", "fuzz", "real"))
        if item.path not in marked and not long:
            item.add_marker("smoke")
            marked.add(item.path)


@pytest.fixture(autouse=True, scope="module")
def _garbage_of_one_file():
    """Spare the garbage collector what was imported and kept before: tests collect often, to count what they leave."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_random_state():
    """Start every test at the same seed, so that none depends on which ran before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with torch.random.fork_rng() if torch.cuda.is_initialized() else contextlib.nullcontext():
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(0)
        torch.default_generator.manual_seed(0)  # torch.manual_seed notes its caller for every kind of device
        np.random.seed(0)
        random.seed(0)
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


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
