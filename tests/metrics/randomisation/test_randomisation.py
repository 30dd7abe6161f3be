"""Random models and other classes: what is random, what stays, and the values of plain loops."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr
from torch import Tensor, nn

from pnpxai.errors import UnsuitableError
from pnpxai.explainers.controls import InputOnly, RandomMap
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.metrics.randomisation.randomisation import MPRT, EfficientMPRT, RandomLogit
from pnpxai.metrics.randomisation.randomised_models import RandomisedCopy
from pnpxai.metrics.shared_runs import SharedRuns

X = torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGETS = [0, 1, 2]


@pytest.fixture
def bent() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 8, bias=False), nn.Linear(8, 3)
        ).double()


def _gradient(model: nn.Module, targets: list[int]) -> Tensor:
    leaf = X.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[range(3), targets].sum(), leaf)[0].detach()


def _bound(made: RandomisedCopy, model: nn.Module) -> nn.Module:
    return made.bound(Gradient(model)).model  # type: ignore[return-value]


def test_layers_are_random_from_the_top_and_given_back(bent: nn.Sequential) -> None:
    before = copy.deepcopy(bent.state_dict())
    made = RandomisedCopy(bent, seed=0)
    other = _bound(made, bent)
    assert other is not bent
    for layers, touched in ((1, ("5.",)), (2, ("5.", "4.")), (4, ("5.", "4.", "3.", "1."))):
        with made.random(layers):
            for name, value in other.state_dict().items():
                changed = name.startswith(touched) and not name.startswith("3.")  # whose values are all alike
                assert torch.equal(value, before[name]) != changed, name
        assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in bent.state_dict().items())


def test_random_values_keep_mean_and_spread_and_differ_between_layers() -> None:
    model = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 100))
    with torch.no_grad():
        model[0].weight.mul_(0.1).add_(3)
        model[1].weight.copy_(model[0].weight)
    made = RandomisedCopy(model, seed=0)
    other = _bound(made, model)
    with made.random(2):
        first, second = other[0].weight, other[1].weight  # type: ignore[index]
        assert first.mean().item() == pytest.approx(3, abs=1e-3)
        assert first.std().item() == pytest.approx(model[0].weight.std().item(), rel=0.05)
        assert abs(np.corrcoef(first.detach().flatten(), second.detach().flatten())[0, 1]) < 0.05


def test_shared_parameters_are_drawn_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    made = RandomisedCopy(model, seed=0)
    other = _bound(made, model)
    with made.random(9):
        assert other[0].weight is other[2].weight  # type: ignore[index]


def test_stages_are_even_and_end_with_all_layers(bent: nn.Sequential) -> None:
    assert RandomisedCopy.stages(bent, 10) == [1, 2, 3, 4]
    assert RandomisedCopy.stages(bent, 2) == [2, 4]
    assert RandomisedCopy.stages(bent, 1) == [4]


def test_mprt_is_the_mean_rank_correlation_over_stages(bent: nn.Sequential) -> None:
    found = MPRT(bent, Gradient(bent)).measure(X, TARGETS)
    made = RandomisedCopy(bent, seed=0)
    own = _gradient(bent, TARGETS).abs().flatten(1)
    for stage in range(4):
        with made.random(stage + 1):
            other = _gradient(_bound(made, bent), TARGETS).abs().flatten(1)
        for k in range(3):
            wanted = spearmanr(own[k], other[k]).statistic
            assert found.curves["similarity"][k, stage].item() == pytest.approx(wanted)
    assert torch.allclose(found.values, found.curves["similarity"].mean(1))


def _random_gradient(bent: nn.Sequential) -> Tensor:
    made = RandomisedCopy(bent, seed=0)
    with made.random(4):
        return _gradient(_bound(made, bent), TARGETS).abs().flatten(1)


def test_efficient_mprt_is_the_gain_of_entropy(bent: nn.Sequential) -> None:
    found = EfficientMPRT(bent, Gradient(bent)).evaluate(X, TARGETS)
    before, after = (
        entropy(g.numpy(), axis=1) for g in (_gradient(bent, TARGETS).abs().flatten(1), _random_gradient(bent))
    )
    assert found.tolist() == pytest.approx(((after - before) / before).tolist())


def test_with_bins_it_is_the_papers_entropy_of_a_histogram(bent: nn.Sequential) -> None:
    found = EfficientMPRT(bent, Gradient(bent), n_bins=5).evaluate(X, TARGETS)
    for k, pair in enumerate(zip(_gradient(bent, TARGETS).abs().flatten(1), _random_gradient(bent), strict=True)):
        h = [entropy(np.histogram(v, bins=5, range=(0, float(v.max())))[0]) for v in pair]
        assert found[k].item() == pytest.approx((h[1] - h[0]) / h[0])


def test_random_logit_is_the_rank_correlation_with_another_class(bent: nn.Sequential) -> None:
    own = _gradient(bent, TARGETS).flatten(1)
    for seed in range(4):
        found = RandomLogit(bent, Gradient(bent)).measure(X, TARGETS, seed=seed).values
        possible = []
        for shift in (1, 2):
            other = _gradient(bent, [(t + shift) % 3 for t in TARGETS]).flatten(1)
            possible.append([spearmanr(own[k], other[k]).statistic for k in range(3)])
        assert all(any(v == pytest.approx(p[k]) for p in possible) for k, v in enumerate(found.tolist()))


def test_maps_that_ignore_the_model_are_shown_up(bent: nn.Sequential) -> None:
    for blind in (InputOnly(bent), RandomMap(bent)):
        assert MPRT(bent, blind).evaluate(X, 1).tolist() == pytest.approx([1.0] * 3)
        assert EfficientMPRT(bent, blind, n_bins=5).evaluate(X, 1).tolist() == pytest.approx([0.0] * 3)
        assert RandomLogit(bent, blind).evaluate(X, 1).tolist() == pytest.approx([1.0] * 3)


def test_a_layer_that_the_explainer_names_is_that_of_the_copy(bent: nn.Sequential) -> None:
    x = X.flatten(1)
    for layer in ("4", bent[4], [bent[4]]):
        explainer = GradientXInput(bent, layer=layer)
        judge = MPRT(bent, explainer, channel_dim=None)
        with pytest.raises(ValueError, match="expected a map of shape"):  # eight values of a layer, sixteen inputs
            judge.measure(x, 1)
        made = RandomisedCopy(bent, seed=0)
        twin = made.bound(explainer)
        assert twin.model is not bent
        with made.random(1):
            moved = twin.attribute(x, 1)
        assert not torch.allclose(moved, explainer.attribute(x, 1))
        assert torch.equal(twin.attribute(x, 1), explainer.attribute(x, 1))


def test_the_random_model_serves_all_explainers(bent: nn.Sequential) -> None:
    shared, made = SharedRuns(), []
    original = RandomisedCopy.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RandomisedCopy, "__init__", lambda self, *args: (made.append(1), original(self, *args))[1])
        for explainer in (Gradient(bent), GradientXInput(bent)):
            together = MPRT(bent, explainer).measure(X, 1, shared=shared).values
            EfficientMPRT(bent, explainer).measure(X, 1, shared=shared)
            assert len(made) == 1
            assert torch.equal(together, MPRT(bent, explainer).measure(X, 1).values)
            made.pop()
        with torch.no_grad():
            bent[1].weight.mul_(2)
        MPRT(bent, Gradient(bent)).measure(X, 1, shared=shared)
        assert len(made) == 2


def test_what_cannot_be_randomised_or_asked_is_refused(bent: nn.Sequential) -> None:
    def function(x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3] * 2

    with pytest.raises(UnsuitableError, match=r"only the parameters of a torch.nn.Module"):
        MPRT(function, Gradient(function)).measure(X, 1)
    with pytest.raises(UnsuitableError, match="no parameters that could be made random"):
        EfficientMPRT(bent[0], Gradient(bent[0])).measure(X, 1)
    judge = RandomLogit(bent, Gradient(bent))
    with pytest.raises(UnsuitableError, match="needs classes to choose another from"):
        judge.measure(X, lambda output: output[:, 1])
    single = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).double()
    with pytest.raises(UnsuitableError, match="needs classes to choose another from"):
        RandomLogit(single, Gradient(single)).measure(X, None)


def test_a_constant_map_has_no_ranks_and_the_most_entropy(bent: nn.Sequential) -> None:
    found = MPRT(bent, Gradient(bent)).measure(X, 1, torch.ones_like(X))
    assert found.values.isnan().all()
    assert "constant" in str(found.reasons[0])
    efficient = EfficientMPRT(bent, Gradient(bent))
    assert (efficient.evaluate(X, 1, torch.ones_like(X)) < 0).all()  # nothing has more entropy
    binned = EfficientMPRT(bent, Gradient(bent), n_bins=5).measure(X, 1, torch.ones_like(X))
    single = efficient.measure(X, 1, torch.nn.functional.one_hot(torch.tensor([3] * 3), 16).double().reshape_as(X))
    for found in (binned, single, efficient.measure(X, 1, 0 * X)):
        assert "the map has no entropy" in str(found.reasons[0])
