"""What trials share changes no value, and the rows that are reported are the rows that ran."""

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.examples import Examples
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.metrics.evaluation import Candidate, evaluate
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.strategies.drawn_baselines import Background
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from pnpxai.tuning import RowCount, Shared, tune
from pnpxai.tuning.space.space import Space
from tests.small import Bright, examples

IMAGE = Traits.image()


class Texts(nn.Module):
    """Words to two classes."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draws))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.words(ids).tanh().cumsum(1).tanh().mean(1))


def _double() -> tuple[Bright, object]:
    net = Bright().double()
    data = examples(Bright(), 8)
    batch = data.batches[0]
    return net, type(data).of([(batch.inputs.double(), batch.targets, None)])


@pytest.mark.parametrize("kind", [SmoothGrad, IntegratedGradients])
@pytest.mark.parametrize("metric", [AbPC, FaithfulnessCorrelation])
def test_values_are_those_of_separate_evaluations_and_rows_are_counted_exactly(kind: type, metric: type) -> None:
    net, data = _double()
    rows, after = [], []
    handle = net.register_forward_hook(lambda module, args, output: None if is_probe() else rows.append(len(output)))
    start = kind(net)
    result = tune(
        start, data, metric(net), traits=IMAGE, n_trials=25, sampler="random", prune=False, n_seeds=0, seed=1,
        callbacks=[lambda study, trial: after.append(sum(rows))], show_progress=False,
    )  # fmt: skip
    handle.remove()
    assert result.rows is not None
    assert result.rows.used == after[-1]
    space = Space((Candidate("", start, PostProcessor.on(IMAGE)),), IMAGE)
    part, _ = data.split(0.5, 1)  # type: ignore[attr-defined]
    separate = 0
    for trial in result.study.trials:
        candidate = space.suggest(FixedTrial(trial.params))  # type: ignore[arg-type]
        separate += sum(candidate.explainer.cost(b.inputs) + metric(net).cost(b.inputs) for b in part)
        alone = evaluate(candidate, metric(net), part, 1).array()
        known = trial.intermediate_values
        np.testing.assert_allclose([known[k] for k in sorted(known)], alone[np.isfinite(alone)], atol=1e-9)
        assert (trial.state.name == "PRUNED") == (not known)
    assert result.rows.separate == separate
    assert result.rows.used < separate


@pytest.mark.parametrize("kind", [SmoothGrad, IntegratedGradients])
def test_rows_of_words_at_their_embedding_are_shared_and_counted_exactly(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched() -> tuple[int, RowCount, list[float]]:
        net, rows, after = Texts().double(), [], []
        ids = torch.randint(1, 9, (8, 5), generator=torch.Generator().manual_seed(0))
        data = Examples.of([(ids, net(ids).argmax(1), None)])
        net.register_forward_hook(lambda module, args, output: None if is_probe() else rows.append(len(output)))
        result = tune(
            kind(net), data, AbPC(net), traits=Traits.text(), n_trials=15, sampler="random", prune=False, n_seeds=0,
            callbacks=[lambda study, trial: after.append(sum(rows))], show_progress=False,
        )  # fmt: skip
        assert result.rows is not None
        return after[-1], result.rows, [trial.value for trial in result.study.trials]

    ran, rows, values = searched()
    monkeypatch.delattr("pnpxai.engine.running.site.AtSites.runs_model")
    ran_without, rows_without, values_without = searched()
    assert ran_without - ran == rows_without.used - rows.used > 0
    assert rows.separate == rows_without.separate
    np.testing.assert_allclose(values, values_without, atol=1e-9)


def test_a_function_as_target_is_searched_for() -> None:
    def difference(output: torch.Tensor) -> torch.Tensor:
        return output[:, 0] - output[:, 1]

    net = Bright()
    data = Examples.of([(examples(net).batches[0].inputs, difference, None)])  # type: ignore[list-item]
    result = tune(SmoothGrad(net), data, "AbPC", traits=IMAGE, n_trials=5, n_seeds=0, show_progress=False)
    assert result.refused == 0
    part, _ = data.split(0.5, 0)
    assert result.value == pytest.approx(evaluate(result.best, AbPC(net), part).array().mean(), abs=1e-5)


@pytest.mark.slow
def test_half_the_rows_of_smooth_grad_are_saved() -> None:
    net, data = _double()
    counts = [
        tune(
            SmoothGrad(net), data, AbPC(net), traits=IMAGE, n_trials=50, sampler="random", prune=False, n_seeds=0,
            seed=seed, show_progress=False,
        ).rows
        for seed in range(5)
    ]  # fmt: skip
    assert sum(c.used for c in counts if c) <= 0.65 * sum(c.separate for c in counts if c)


def test_searches_share_masked_runs() -> None:
    net, shared = Bright(), Shared()
    used = [
        tune(
            kind(net), examples(net), FaithfulnessCorrelation(net), traits=IMAGE, n_trials=5, shared=shared, n_seeds=0,
            show_progress=False,
        ).rows
        for kind in (Gradient, SmoothGrad, Gradient)
    ]  # fmt: skip
    assert used[0] is not None
    assert used[2] is not None
    assert used[0].used >= 8 * 101
    assert used[2].used == 0
    assert used[2].separate == 5 * 8 * 102


def test_post_processing_makes_no_map_again() -> None:
    net, shared = Bright(), Shared()
    batch = examples(net).batches[0]
    calls: list[int] = []
    net.register_forward_hook(lambda module, args, output: None if is_probe() else calls.append(len(output)))
    first = shared.maps(Gradient(net), "gradient", batch, 0)
    part = shared.maps(Gradient(net), "gradient", batch.take([5, 2]), 0)
    assert sum(calls) == len(batch)
    assert torch.equal(part, first[[5, 2]])
    more = shared.maps(Gradient(net), "another", batch.take([5, 2]), 0)
    assert sum(calls) == len(batch) + 2
    assert torch.allclose(more, part)


def test_what_is_kept_has_a_limit() -> None:
    net, shared = Bright(), Shared(limit_bytes=10 * 64 * 4)
    batch = examples(net).batches[0]
    expected = Gradient(net).attribute(batch.inputs, batch.targets)
    for key in "aab":
        assert torch.allclose(shared.maps(Gradient(net), key, batch, 0), expected)
    assert len(shared._maps) == 10
    assert torch.allclose(shared.maps(Gradient(net), "a", batch, 0), expected)


def test_other_targets_are_other_maps() -> None:
    net, shared = Bright(), Shared()
    batch = examples(net).batches[0]
    turned = type(batch)(batch.inputs, 1 - batch.targets, None, batch.keys)
    one, other = (shared.maps(Gradient(net), "gradient", b, 0) for b in (batch, turned))
    assert torch.allclose(one, -other, atol=1e-6)


def test_a_count_reads_well() -> None:
    assert str(RowCount(650, 1000)) == "650 rows instead of 1000 (65%)"


def test_what_is_refused_runs_nothing() -> None:
    net, shared = Bright(), Shared()
    batch = examples(net).batches[0]
    wide = IntegratedGradients(net, baseline_fn=Background(torch.zeros(1, 1, 3, 3)))
    with pytest.raises(ValueError, match="expected"):
        shared.maps(wide, "wide", batch, 0)
    assert shared.count == RowCount(0, 0)
