"""What captum 0.9 gets wrong and this package gets right.

Each law is asserted here of this package and, as a strict expected failure, of captum: a row that captum mends is
noticed, and then leaves this file and ``docs/captum.md``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.engine.running.probes import is_probe
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import cnn, mlp
from tests.on_demand import CAPTUM

WRONG = (AssertionError, AttributeError, RuntimeError, TypeError, IndexError, pytest.fail.Exception)
MENDED = pytest.mark.xfail(strict=True, reason="captum 0.9", raises=WRONG)
both = pytest.mark.parametrize(
    "library", [pytest.param(pnpxai.attributors, id="ours"), pytest.param(CAPTUM, id="captum", marks=MENDED)]
)


pytestmark = pytest.mark.usefixtures("captum_may_warn")


@both
@pytest.mark.parametrize("n_steps", [2, 5, 50])
def test_the_trapezoid_rule_has_weights_that_sum_to_one(library, n_steps):
    linear = nn.Linear(3, 1).double()
    x = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    found = library.IntegratedGradients(linear).attribute(x, n_steps=n_steps, method="riemann_trapezoid")
    assert torch.allclose(found, linear.weight.detach() * x, atol=1e-9)


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_occlusion_keeps_the_dtype(library, dtype):
    case = mlp().to(dtype)
    found = library.Occlusion(case.model).attribute(case.inputs, sliding_window_shapes=(2,), target=0)
    assert found.dtype == dtype


@both
def test_integrated_gradients_keep_the_dtype(library):
    case = mlp().to(torch.bfloat16)
    found = library.IntegratedGradients(case.model).attribute(case.inputs, target=0, n_steps=4)
    assert found.dtype == torch.bfloat16


@both
def test_noise_keeps_the_dtype(library):
    case = mlp().to(torch.bfloat16)
    found = library.NoiseTunnel(library.Saliency(case.model)).attribute(case.inputs, target=0, nt_samples=3)
    assert found.dtype == torch.bfloat16


@both
def test_a_variance_is_never_negative(library):
    constant = nn.Linear(40, 1)
    with torch.no_grad():
        constant.weight.copy_(torch.linspace(0.001, 3.3, 40)[None])
    found = library.NoiseTunnel(library.Saliency(constant)).attribute(
        torch.ones(8, 40), nt_type="vargrad", nt_samples=7, target=0
    )
    assert found.min() >= 0


@both
@pytest.mark.parametrize("stdevs", [1, np.float32(0.5), (1,)], ids=repr)
def test_any_real_number_is_a_deviation(library, stdevs):
    case = mlp()
    tunnel = library.NoiseTunnel(library.Saliency(case.model.float()))
    assert tunnel.attribute(case.inputs.float(), target=0, stdevs=stdevs).shape == case.inputs.shape


@both
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite_are_refused(library, bad):
    case = mlp()
    case.inputs[1, 2] = bad
    with pytest.raises(ValueError, match="finite"):
        library.Saliency(case.model).attribute(case.inputs, target=0)


@both
def test_an_occluded_infinity_of_the_baseline_is_refused(library):
    case = mlp()
    with pytest.raises(ValueError, match="baselines: expected finite numbers"):
        library.Occlusion(case.model).attribute(
            case.inputs, sliding_window_shapes=(2,), target=0, baselines=float("inf")
        )


@both
def test_a_failure_leaves_no_flag_on_the_callers_tensor(library):
    case = mlp()
    with audit(case.model, case.inputs), pytest.raises((AssertionError, IndexError)):
        library.Saliency(case.model).attribute(case.inputs, target=99)


@both
def test_a_result_holds_no_graph(library):
    case = mlp()
    found = library.InputXGradient(case.model).attribute(case.inputs, target=0)
    assert not found.requires_grad


@both
def test_a_model_in_train_mode_is_explained_in_eval_mode(library):
    case = mlp()
    model = nn.Sequential(nn.Dropout(0.5), case.model)
    found = library.Saliency(model.train()).attribute(case.inputs, target=0)
    assert torch.equal(found, library.Saliency(model.eval()).attribute(case.inputs, target=0))


@both
def test_a_small_batch_size_splits_the_batch(library):
    case = mlp()
    largest = []
    case.model.register_forward_pre_hook(lambda module, args: None if is_probe() else largest.append(len(args[0])))
    library.IntegratedGradients(case.model).attribute(case.inputs, target=0, n_steps=4, internal_batch_size=1)
    assert max(largest) == 1


@both
def test_an_input_of_single_numbers_takes_the_documented_window(library):
    class Single(nn.Module):
        def forward(self, x):
            return 3 * x

    found = library.Occlusion(Single()).attribute(torch.tensor([1.0, 2.0]), sliding_window_shapes=())
    assert found.tolist() == [3, 6]


@both
def test_without_a_target_several_outputs_are_refused(library):
    case = mlp()
    with pytest.raises(ValueError, match="say which one to explain, such as target=0"):
        library.Occlusion(case.model).attribute(case.inputs, sliding_window_shapes=(2,))


@both
def test_deltas_of_noisy_copies_stand_side_by_side(library):
    case = mlp()
    tunnel = library.NoiseTunnel(library.IntegratedGradients(case.model))
    given = {"target": [0, 1, 2], "nt_samples": 5, "stdevs": 0.0, "n_steps": 3, "return_convergence_delta": True}
    _, at_once = tunnel.attribute(case.inputs, **given)
    _, in_parts = tunnel.attribute(case.inputs, **given, nt_samples_batch_size=2)
    single = library.IntegratedGradients(case.model).attribute(
        case.inputs, target=[0, 1, 2], n_steps=3, return_convergence_delta=True
    )[1]
    assert torch.allclose(at_once, single.repeat_interleave(5))
    assert torch.allclose(in_parts, at_once)


@both
def test_global_random_states_are_not_used(library):
    case = mlp()
    with audit():
        library.NoiseTunnel(library.Saliency(case.model.float())).attribute(case.inputs.float(), target=0)


@both
def test_relevance_is_split_at_an_addition(library):
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3, bias=False)
            self.head = nn.Linear(3, 2, bias=False)

        def forward(self, x):
            return self.head(torch.relu(self.linear(x)) + x)

    model = Skip().double()
    x = torch.rand(2, 3, dtype=torch.float64)
    found = library.LRP(model).attribute(x, target=1)
    assert torch.allclose(found.sum(1), model(x)[:, 1], atol=1e-6)


@both
def test_common_layers_have_a_rule(library):
    model = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Identity(), nn.LeakyReLU(), nn.Flatten(), nn.Linear(6, 2, bias=False))
    assert library.LRP(model.double()).attribute(torch.ones(1, 1, 4).double(), target=0).shape == (1, 1, 4)


@both
def test_relevance_leaves_nothing_in_the_model(library):
    case = cnn()
    with audit(case.model, case.inputs):
        library.LRP(case.model).attribute(case.inputs, target=1)
