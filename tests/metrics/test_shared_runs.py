"""What does not depend on a map is run once for eight explainers, by hand, in a comparison and while tuning."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from pnpxai.examples import Examples
from pnpxai.experiment import compare
from pnpxai.experiment.running import work
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad, VarGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate, explain_and_measure
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation, MuFidelity, SensitivityN
from pnpxai.metrics.faithfulness.infidelity import Infidelity
from pnpxai.metrics.randomisation.randomisation import MPRT
from pnpxai.metrics.randomisation.randomised_models import RandomisedCopy
from pnpxai.metrics.shared_runs import SharedRuns
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.testing.subject import counted
from pnpxai.traits import Traits
from pnpxai.tuning import Shared, tune

SIZE, BATCH = 6, 3


@pytest.fixture
def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 3)).double().eval()


def _examples() -> Examples:
    x = torch.rand(SIZE, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(SIZE) % 3
    return Examples.of([(x[k : k + BATCH], targets[k : k + BATCH], None) for k in range(0, SIZE, BATCH)])


def _explainers(net: nn.Module) -> list[Explainer]:
    few = [IntegratedGradients(net, n_steps=5), SmoothGrad(net, n_iter=3), VarGrad(net, n_iter=3)]
    return [
        Gradient(net), GradientXInput(net), *few, Occlusion(net), RISE(net, n_masks=10), KernelShap(net, n_samples=10),
    ]  # fmt: skip


def _metrics(net: nn.Module) -> list[Metric]:
    return [FaithfulnessCorrelation(net), Infidelity(net), SensitivityN(net, n_runs=5), MuFidelity(net, grid_size=4)]


MASKED = SIZE * (101 + 26 + 151)
"""Rows of the four: the first two have the same subsets."""


def test_eight_explainers_cost_one_masked_run(net: nn.Module) -> None:
    explainers, shared = _explainers(net), SharedRuns()
    assert len(explainers) == 8
    metrics = {type(m).__name__: m for m in _metrics(net)}
    with counted(net) as rows:
        for batch in _examples():
            for explainer in explainers:
                candidate = Candidate("", explainer, PostProcessor.on(Traits.image()))
                explain_and_measure(candidate, metrics, batch, 0, shared)
    own = sum(e.cost(batch.inputs) for e in explainers for batch in _examples())
    assert rows.rows == own + MASKED == own + shared.rows_run
    assert shared.rows_saved == 8 * SIZE * (101 + 101 + 26 + 151) - MASKED


def test_a_comparison_runs_them_once(net: nn.Module) -> None:
    explainers = _explainers(net)
    with counted(net) as rows:
        compare(net, _examples(), explainers, _metrics(net), traits=Traits.image(), controls=False, show_progress=False)
    own = sum(e.cost(batch.inputs) for e in explainers for batch in _examples())
    assert rows.rows == own + MASKED


def test_tuning_of_several_explainers_runs_them_once(net: nn.Module) -> None:
    shared = Shared()
    for metric in _metrics(net)[:2]:
        for explainer in (Gradient(net), GradientXInput(net)):
            tune(
                explainer, _examples(), metric, n_trials=4, traits=Traits.image(), shared=shared, n_seeds=0,
                show_progress=False,
            )  # fmt: skip
    assert shared.runs.rows_run == SIZE * 101


def test_a_comparison_makes_one_random_model_of_a_batch(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = RandomisedCopy.__init__
    monkeypatch.setattr(RandomisedCopy, "__init__", lambda self, *args: (made.append(1), original(self, *args))[1])
    compare(net, _examples(), _explainers(net), [MPRT(net)], traits=Traits.image(), controls=False, show_progress=False)
    assert len(made) == SIZE / BATCH


def test_a_comparison_drops_what_a_chunk_shared(net: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it does not grow with the number of examples."""
    made: list[weakref.ref[SharedRuns]] = []
    alive: list[int] = []

    class Noted(SharedRuns):
        def __init__(self) -> None:
            super().__init__()
            alive.append(sum(ref() is not None for ref in made))
            made.append(weakref.ref(self))

    monkeypatch.setattr(work, "SharedRuns", Noted)
    compare(
        net, _examples(), _explainers(net)[:2], [FaithfulnessCorrelation(net), MPRT(net)], traits=Traits.image(),
        chunk=1, show_progress=False,
    )  # fmt: skip
    assert len(made) == SIZE
    assert max(alive) <= 1
    gc.collect()
    assert not any(ref() is not None for ref in made)


def test_the_store_is_bounded_and_forgets_the_oldest(net: nn.Module) -> None:
    x, targets = _examples().batches[0].inputs, [0, 1, 2]
    metric, maps = FaithfulnessCorrelation(net), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    alone = metric.measure(x, targets, maps).values
    small = SharedRuns(limit_bytes=2 * (101 * 8 + 2000))  # room for two or three examples
    for seed in range(5):
        metric.measure(x, targets, maps, seed=seed, shared=small)
    assert small._held <= small._limit
    assert 0 < len(small._outputs) < 4
    for _ in range(2):
        assert torch.equal(metric.measure(x, targets, maps, shared=small).values, alone)
    none = SharedRuns(limit_bytes=0)
    assert torch.equal(metric.measure(x, targets, maps, shared=none).values, alone)
    assert not none._outputs


def test_of_a_model_that_was_changed_nothing_old_is_outputs(net: nn.Sequential) -> None:
    shared, made = SharedRuns(), []

    def make() -> nn.Sequential:
        made.append(weakref.ref(thing := copy.deepcopy(net)))
        return thing

    assert shared.thing(net, "copy", make) is shared.thing(net, "copy", make)
    with torch.no_grad():
        net[1].weight.mul_(2)
    again: Tensor = shared.thing(net, "copy", make)[1].weight
    assert torch.equal(again, net[1].weight)
    gc.collect()
    assert [ref() is None for ref in made] == [True, False]
