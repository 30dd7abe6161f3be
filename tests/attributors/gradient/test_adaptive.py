"""Stopping at a tolerance: the error promised is the error found, and every example stops on its own."""

import pytest
import torch
from torch import nn

from pnpxai.attributors import (
    AdaptiveSamples,
    AdaptiveSteps,
    DeepLift,
    GradientShap,
    IntegratedGradients,
    KernelShap,
    LayerIntegratedGradients,
    NoiseTunnel,
    RelativeNoise,
    Saliency,
    ShapleyValueSampling,
)
from pnpxai.errors import ArgumentError
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.testing.zoo import CASES


class Bend(nn.Module):
    """A sum that bends at one, the more the larger the inputs are."""

    def forward(self, x):
        return (x**2).clamp_min(1).sum(1, keepdim=True)


STRAIGHT_AND_BENT = torch.tensor([[0.5, -0.5, 0.5], [1.5, 0.2, -3.0], [1.1, 1.0, 0.0]], dtype=torch.float64)


def test_steps_double_until_each_example_is_complete():
    x, model = STRAIGHT_AND_BENT, Bend()
    found, used, error = AdaptiveSteps(IntegratedGradients(model)).attribute(x, tolerance=0.01, n_steps=4, target=0)
    assert used[0] == 4  # nothing bends: zero is exact
    assert used[1] > 4
    assert set(used.tolist()) <= {4 * 2**k for k in range(8)}
    assert bool((error <= 0.01).all())
    for row, steps in enumerate(used.tolist()):
        alone, delta = IntegratedGradients(model).attribute(
            x[row : row + 1], n_steps=steps, target=0, return_convergence_delta=True
        )
        assert torch.equal(found[row], alone[0])
        rise = model(x[row : row + 1]) - model(torch.zeros(1, 3, dtype=torch.float64))
        assert float(delta.abs()) <= 0.01 * float(rise.abs()) + 1e-12


def test_steps_end_at_the_limit_and_say_what_is_missing():
    *_, used, error = AdaptiveSteps(IntegratedGradients(Bend())).attribute(
        STRAIGHT_AND_BENT, tolerance=1e-9, n_steps=3, most=10, target=0
    )
    assert used.tolist() == [3, 10, 10]
    assert float(error[1]) > 1e-9


def test_steps_at_a_layer_with_baselines_for_each_example():
    case = CASES["skip_cnn"]()
    wrapped = LayerIntegratedGradients(case.model, case.model.stem[0])
    baselines = torch.full_like(case.inputs, 0.1)
    found, used, error = AdaptiveSteps(wrapped).attribute(
        case.inputs, tolerance=0.02, target=case.targets, baselines=baselines
    )
    again = AdaptiveSteps(wrapped).attribute(
        case.inputs[1:2], tolerance=0.02, target=case.targets[1:2], baselines=baselines[1:2]
    )
    assert torch.allclose(found[1:2], again.attributions, rtol=1e-10)
    assert used[1] == again.used[0]
    assert bool((error <= 0.02).all())


def test_samples_are_drawn_until_the_standard_error_is_small_enough():
    """The error of the mean over many repetitions is what the tolerance says, within what chance allows."""
    x = torch.tensor([[1.0, 2.0, 0.5, 0.1], [0.2, 0.1, 0.3, 3.0]], dtype=torch.float64)

    def cube(x):
        return (x**3).sum(1, keepdim=True)

    method = AdaptiveSamples(NoiseTunnel(Saliency(cube)))
    exact = 3 * (x**2 + 0.5**2)  # the mean of 3 (x + noise)^2
    errors, estimates = [], []
    for seed in range(40):
        found, used, error = method.attribute(
            x, tolerance=0.05, most=500, target=0, seed=seed, stdevs=0.5, nt_samples=5, antithetic=False
        )
        assert bool((error <= 0.05).all())
        assert bool((used % 5 == 0).all())
        errors.append((found - exact).norm(dim=1) / exact.norm(dim=1))
        estimates.append(used)
    root_mean_square = torch.stack(errors).square().mean(0).sqrt()
    assert bool((root_mean_square < 0.05 * 1.5).all())
    assert bool((root_mean_square > 0.05 * 0.5).all())
    needed = torch.stack(estimates).double().mean(0)
    assert needed[0] != needed[1]


QUARTERS = torch.arange(4).reshape(1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
CHANNELS = torch.arange(2).reshape(1, 2, 1, 1).expand(1, 2, 8, 8)
ZEROS = torch.zeros(3, 2, 8, 8, dtype=torch.float64)


@pytest.mark.parametrize(
    ("wrapped", "settings"),
    [
        (lambda m: NoiseTunnel(Saliency(m)), {"nt_samples": 2, "stdevs": RelativeNoise(0.1)}),
        (lambda m: GradientShap(m), {"baselines": ZEROS, "n_samples": 2}),
        (lambda m: ShapleyValueSampling(m), {"feature_mask": QUARTERS}),
        (lambda m: KernelShap(m), {"feature_mask": CHANNELS, "n_samples": 6}),
        (lambda m: SmoothGrad(m, n_iter=3).attributor(), {}),
    ],
    ids=["noise", "gradient-shap", "sampling", "kernel-shap", "an explainer's"],
)
def test_an_example_alone_equals_the_same_in_a_batch(wrapped, settings):
    """Also where there are as many rows of baselines as examples, which all examples share."""
    case = CASES["skip_cnn"]()
    method = AdaptiveSamples(wrapped(case.model))
    whole = method.attribute(case.inputs, tolerance=0.2, most=12, target=case.targets, seed=3, **settings)
    for row in range(len(case)):
        alone = method.attribute(
            case.inputs[row : row + 1], tolerance=0.2, most=12, target=case.targets[row], seed=3, **settings
        )
        assert torch.allclose(whole.attributions[row], alone.attributions[0], rtol=1e-9, atol=1e-12)
        assert whole.used[row] == alone.used[0]
        assert torch.allclose(whole.error[row], alone.error[0], rtol=1e-6)


def test_the_mean_is_that_of_its_rounds():
    case = CASES["two_inputs"]()
    method = NoiseTunnel(Saliency(case.model))
    found, used, _ = AdaptiveSamples(method).attribute(
        case.inputs, tolerance=1e-9, least=2, most=3, target=case.targets, seed=5, stdevs=(0.2, 0.1), nt_samples=4
    )
    from pnpxai.engine.running.seeds import RandomStream

    rounds = [
        method.attribute(
            case.inputs, target=case.targets, stdevs=(0.2, 0.1), nt_samples=4, seed=RandomStream(5).fork(f"round {k}")
        )
        for k in (1, 2, 3)
    ]
    for k, member in enumerate(found):
        assert torch.allclose(member, sum(r[k] for r in rounds) / 3, rtol=1e-12)
    assert used.tolist() == [12] * len(case)


def test_noise_around_a_method_whose_baselines_all_examples_share():
    case = CASES["mlp"]()
    rows = torch.randn(len(case), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tunnel = NoiseTunnel(GradientShap(case.model))
    whole = tunnel.attribute(case.inputs, baselines=rows, target=case.targets, nt_samples=4, stdevs=0.1)
    alone = tunnel.attribute(case.inputs[1:2], baselines=rows, target=case.targets[1], nt_samples=4, stdevs=0.1)
    assert torch.allclose(whole[1:2], alone, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: AdaptiveSteps(Saliency(m)), "expected one with n_steps and a convergence delta, got Saliency"),
        (lambda m, x: AdaptiveSamples(DeepLift(m)), "expected one that draws samples by a seed, got DeepLift"),
        (lambda m, x: AdaptiveSteps(m), "expected an attributor"),
        (lambda m, x: AdaptiveSteps(IntegratedGradients(m)).attribute(x, tolerance=0.0), "tolerance: expected a num"),
        (lambda m, x: AdaptiveSteps(IntegratedGradients(m)).attribute(x, n_steps=9, most=8), "at least n_steps=9"),
        (lambda m, x: AdaptiveSamples(GradientShap(m)).attribute(x, baselines=x, least=1), "least: expected a whole"),
    ],
)
def test_refusals(call, message):
    case = CASES["mlp"]()
    with pytest.raises(ArgumentError, match=message):
        call(case.model, case.inputs)
