"""Where the evidence is known, every explainer finds it better than chance, with its default settings."""

from __future__ import annotations

import functools

import pytest

from pnpxai.declare.registry import every
from pnpxai.detector import detect
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.controls import RandomMap
from pnpxai.statistics import bootstrap
from pnpxai.testing.planted import TASKS, rank_accuracy

pytestmark = pytest.mark.trained
EXPLAINERS = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
BEATEN: dict[tuple[str, str], str] = {}
"""(explainer, task) that do no better than a random map, at most three: what their docstrings say of it."""

SAMPLING = {"Ensemble", "KernelShap", "MultiScaleOcclusion", "RISE", "ShapleyValueSampling", "ShapleyValues"}
"""They run thousands of rows by default, so that they are tried with ``-m slow``."""

by_chance = functools.cache(lambda name: rank_accuracy(RandomMap, TASKS[name]()))


def _fits(explainer, name):
    task = TASKS[name]()
    return explainer.reason_against(detect(task.model), task.traits) is None


@pytest.mark.parametrize("name", TASKS)
def test_the_model_goes_by_the_evidence_and_by_nothing_else(name):
    task = TASKS[name]()
    assert task.accuracy(task.examples.inputs) == 1
    assert task.accuracy(task.examples.replaced) > 0.95
    assert task.accuracy(task.examples.emptied) < 1.5 / task.model(task.examples.inputs[:1]).shape[1]


def cells():
    for explainer in EXPLAINERS:
        marks = [pytest.mark.slow] if explainer.__name__ in SAMPLING else []
        yield from (pytest.param(explainer, name, marks=marks, id=f"{explainer.__name__}-{name}") for name in TASKS)


@pytest.mark.parametrize(("explainer", "name"), list(cells()))
def test_it_finds_the_evidence_better_than_chance(explainer, name):
    if not _fits(explainer, name):
        pytest.skip("refused")
    gain = bootstrap(rank_accuracy(explainer, TASKS[name]()) - by_chance(name))
    if (explainer.__name__, name) in BEATEN:
        assert gain.low <= 0
        assert BEATEN[explainer.__name__, name] in (explainer.__doc__ or "")
    else:
        assert gain.low > 0, f"{gain} better than a random map"


def test_every_explainer_has_been_tried_and_few_may_fail():
    assert all(any(_fits(explainer, name) for name in TASKS) for explainer in EXPLAINERS)
    assert len({explainer for explainer, _ in BEATEN}) <= 3


@pytest.mark.parametrize("name", TASKS)
def test_a_random_map_finds_as_much_as_the_evidence_covers(name):
    covered = TASKS[name]().examples.truth.double().mean()
    assert by_chance(name).mean() == pytest.approx(float(covered), abs=0.08)
