"""Robustness by hand, and against plain loops over the same disturbed copies."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, ShapeError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.controls import RandomMap
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.lime import Lime
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.perturbation.rise import RISE
from pnpxai.explainers.perturbation.shapley import KernelShap
from pnpxai.metrics.robustness.sensitivity import AvgSensitivity, LocalLipschitz, RelativeOutputStability, Sensitivity
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES

ALL = [Sensitivity, AvgSensitivity, LocalLipschitz, RelativeOutputStability]


@pytest.fixture
def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()


@pytest.fixture
def bent() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double()


X = torch.rand(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _copies(metric: object, model: nn.Module, x: Tensor, n: int) -> Tensor:
    """Return the disturbed copies (n, 1, 4, 4) of one example that a metric explains."""
    seen: list[Tensor] = []
    handle = model.register_forward_pre_hook(
        lambda module, args: None if is_probe() else seen.append(args[0].detach().clone())
    )
    metric.measure(x, 1, x)  # type: ignore[attr-defined]
    handle.remove()
    rows = torch.cat(seen)
    return torch.stack([r for r in rows.unique(dim=0) if not torch.equal(r, x[0])])[:n]


def _gradient(model: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)[0]


@pytest.mark.parametrize("metric", ALL)
def test_a_constant_gradient_does_not_move(metric: type, linear: nn.Module) -> None:
    assert metric(linear, Gradient(linear)).evaluate(X, 1).tolist() == [0.0, 0.0, 0.0]


def test_sensitivity_is_bounded_by_the_noise_where_the_map_is_linear(linear: nn.Module) -> None:
    weight = linear[1].weight[1].reshape(1, 1, 4, 4)
    values = Sensitivity(linear, GradientXInput(linear), epsilon=0.1).evaluate(X, 1)
    spread = (X.flatten(1).amax(1) - X.flatten(1).amin(1)) * 0.1
    bound = spread * weight.norm() / (X * weight).flatten(1).norm(dim=1)
    assert (values > 0.3 * bound).all()
    assert (values <= bound).all()


def test_changes_are_those_of_a_loop_over_the_same_copies(bent: nn.Module) -> None:
    x = X[:1]
    copies = _copies(Sensitivity(bent, Gradient(bent)), bent, x, 8)
    assert len(copies) == 8
    assert (copies - x).abs().max() <= 0.2 * (x.max() - x.min())
    before, after = _gradient(bent, x), _gradient(bent, copies)
    moved = (after - before).flatten(1).norm(dim=1)
    found = Sensitivity(bent, Gradient(bent)).measure(x, 1)
    assert sorted(found.curves["changes"][0].tolist()) == pytest.approx(sorted((moved / before.norm()).tolist()))
    assert found.values.item() == pytest.approx((moved / before.norm()).max().item())
    mean = AvgSensitivity(bent, Gradient(bent)).evaluate(x, 1).item()
    assert mean == pytest.approx((moved / before.norm()).mean().item())
    steps = (copies - x).flatten(1).norm(dim=1)
    slope = LocalLipschitz(bent, Gradient(bent), normalize=False).evaluate(x, 1).item()
    assert slope == pytest.approx((moved / steps).max().item())
    unit = (after / after.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) - before / before.norm()).flatten(1).norm(dim=1)
    assert LocalLipschitz(bent, Gradient(bent)).evaluate(x, 1).item() == pytest.approx((unit / steps).max().item())


def test_stability_is_that_of_a_loop_over_the_copies_of_the_same_class(bent: nn.Module) -> None:
    x = X[:1]
    with torch.no_grad():
        bent[3].bias -= bent(x)[0] - torch.tensor([0.0, 0.01, 0.0])  # just on one side
    metric = RelativeOutputStability(bent, Gradient(bent), floor=1e-9, eps_min=1e-9, epsilon=0.5, n_iter=20)
    copies = _copies(metric, bent, x, 20)
    before, after = _gradient(bent, x), _gradient(bent, copies)
    same = bent(copies).argmax(1) == bent(x).argmax(1)
    assert 0 < same.sum() < 20
    ratio = ((after - before) / before).flatten(1).norm(dim=1) / (bent(copies) - bent(x)).norm(dim=1)
    assert metric.evaluate(x, 1).item() == pytest.approx(ratio[same].max().item())


def test_noise_has_both_signs_and_reaches_as_far_as_it_says(bent: nn.Module) -> None:
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 3 - 1
    for metric in ALL:
        noise = (_copies(metric(bent, Gradient(bent), n_iter=60, epsilon=0.1), bent, x, 60) - x) / (x.max() - x.min())
        assert noise.abs().max() <= 0.1
        assert noise.min() < -0.097
        assert noise.max() > 0.097
        assert abs(noise.mean()) < 0.006  # five standard errors: 0.1 / sqrt(3 * 960)
        assert noise.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)


def test_values_near_zero_and_outputs_that_stay_do_not_decide(bent: nn.Module) -> None:
    with torch.no_grad():
        bent[1].weight[:, 0] *= 1e-9  # a feature that hardly matters
    explainer = Gradient(bent)
    free = RelativeOutputStability(bent, explainer, floor=1e-15).evaluate(X, 1)
    kept = RelativeOutputStability(bent, explainer).evaluate(X, 1)
    assert (kept < free).all()

    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return torch.stack([flat.sum(1).round() + 0 * flat.sum(1), 0 * flat.sum(1)], 1)

    model = Steps()
    found = RelativeOutputStability(model, RandomMap(model), epsilon=1e-6).evaluate(X, 1)
    assert torch.isfinite(found).all()


def test_more_noise_moves_the_map_more(bent: nn.Module) -> None:
    for metric in (Sensitivity, AvgSensitivity):
        small = metric(bent, Gradient(bent), epsilon=0.02).evaluate(X, 1)
        assert (metric(bent, Gradient(bent), epsilon=0.2).evaluate(X, 1) > small).all()


def test_maps_are_compared_after_the_same_post_processing(bent: nn.Module) -> None:
    explainer, post = GradientXInput(bent), PostProcessor(normalization_fn="minmax")
    for metric in ALL:
        judge = metric(bent, explainer, postprocessor=post)
        assert torch.equal(judge.evaluate(X, 1), judge.evaluate(X, 1, post(explainer.attribute(X, 1))))


@pytest.mark.parametrize("layer", [None, "0"])
@pytest.mark.parametrize("kind", [KernelShap, Lime, RISE])
def test_draws_that_go_by_content_are_those_of_the_example(kind: type[Explainer], layer: str | None) -> None:
    case = CASES["cnn"]()
    explainer = kind(case.model, layer=layer)
    metric = Sensitivity(case.model, explainer, n_iter=2, epsilon=1e-7)
    attributions = explainer.attribute(case.inputs, case.targets)
    with counted(case.model) as rows:
        values = metric.evaluate(case.inputs, case.targets, attributions)
    assert values.max() < 1e-4
    assert rows.rows == metric.cost(case.inputs)


def test_a_stochastic_explainer_is_given_the_same_draws_for_every_copy(linear: nn.Module) -> None:
    found = Sensitivity(linear, SmoothGrad(linear, n_iter=3)).evaluate(X, 1)
    assert found.abs().max() < 1e-12


@pytest.mark.parametrize("metric", ALL)
def test_it_needs_an_explainer(metric: type, linear: nn.Module) -> None:
    with pytest.raises(UnsuitableError, match="needs explainer="):
        metric(linear).measure(X, 1, X)
    with pytest.raises(UnsuitableError, match="needs explainer="):
        metric(linear).cost(X)


@pytest.mark.parametrize("metric", ALL)
def test_it_explains_the_model_that_it_judges(metric: type, linear: nn.Module, bent: nn.Module) -> None:
    with pytest.raises(ArgumentError, match="expected one of the judged model, got one of another model"):
        metric(linear, Gradient(bent)).measure(X, 1, X)


@pytest.mark.parametrize("metric", ALL)
def test_ids_are_disturbed_at_their_embedding(metric: type) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        rest = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 2)).double()
        net = nn.Sequential(nn.Embedding(5, 3).double(), rest)
    ids = torch.tensor([[1, 2, 0, 4], [3, 3, 1, 2]])
    wanted = metric(rest, Gradient(rest)).evaluate(net[0](ids).detach(), [0, 1])
    for layer in (None, "0"):
        assert torch.allclose(metric(net, Gradient(net, layer=layer)).evaluate(ids, [0, 1]), wanted)
    inside = metric(net, Gradient(net, layer="1.1")).evaluate(ids, [0, 1])
    tail = nn.Sequential(*rest[2:])
    assert torch.allclose(inside, metric(tail, Gradient(tail)).evaluate(rest[:2](net[0](ids)).detach(), [0, 1]))
    with pytest.raises(UnsuitableError, match="it explains ids as they are, which cannot be disturbed"):
        metric(net, Occlusion(net)).measure(ids, [0, 1])
    asked = metric(net, Occlusion(net, layer="0")).evaluate(ids, [0, 1])
    tokens = Occlusion(rest, window=1, channel_dim=-1)
    assert torch.allclose(asked, metric(rest, tokens).evaluate(net[0](ids).detach(), [0, 1]))


def test_maps_of_another_shape_are_not_compared(bent: nn.Module) -> None:
    x = X.expand(3, 1, 4, 4)
    with pytest.raises(ShapeError, match="expected maps as the explainer makes them"):
        Sensitivity(bent, Gradient(bent)).measure(x, 1, x.sum(1))


def test_what_stays_undefined_says_why(linear: nn.Module) -> None:
    flat = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    assert "input is constant" in str(LocalLipschitz(linear, Gradient(linear)).measure(flat, 1).reasons[0])
    for metric in ALL:
        assert "zero" in str(metric(linear, Gradient(linear)).measure(X, 1, 0 * X).reasons[0])

    class Flips(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.one_hot((x.flatten(1).sum(1) * 1e9).long() % 2, 2).double() + 0 * x.sum()

    model = Flips()
    reasons = RelativeOutputStability(model, RandomMap(model), n_iter=1).measure(X, 1).reasons
    assert any(reason and "same class" in reason for reason in reasons)


def test_a_model_with_one_value_for_its_batch_is_asked_copy_by_copy() -> None:
    class Whole(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum()

    model = Whole()
    found = Sensitivity(model, Gradient(model), n_iter=3).evaluate(X[:1], None)
    assert 0 < found.item() < 0.5
