"""What captum 0.9 gets wrong in ablation, Lime and Shapley values, and this package gets right.

Each law is asserted of this package and, as a strict expected failure, of captum.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES, mlp
from tests.on_demand import CAPTUM

CASE = CASES["mlp"]()
WRONG = (AssertionError, RuntimeError, TypeError, ValueError, IndexError, pytest.fail.Exception, UserWarning)
MENDED = pytest.mark.xfail(strict=True, reason="captum 0.9", raises=WRONG)
both = pytest.mark.parametrize(
    "library", [pytest.param(pnpxai.attributors, id="ours"), pytest.param(CAPTUM, id="captum", marks=MENDED)]
)


pytestmark = pytest.mark.usefixtures("captum_may_warn")


@both
@pytest.mark.parametrize("target", [[0, 1, 2], torch.tensor([3, 0, 1])], ids=repr)
def test_a_target_for_each_example_and_several_groups_at_once(library, target):
    ablation = library.LayerFeatureAblation(CASE.model, CASE.model.second)
    found = ablation.attribute(CASE.inputs, target=target, perturbations_per_eval=4)
    assert torch.allclose(found, ablation.attribute(CASE.inputs, target=target), atol=1e-12)


class Logarithm(nn.Module):
    def __init__(self):
        super().__init__()
        self.log = nn.Identity()

    def forward(self, x):
        return self.log(x.log()).exp().sum(1)


@both
def test_infinity_in_a_layer_does_not_reach_what_replaces_it(library):
    model = Logarithm()
    found = library.LayerFeatureAblation(model, model.log).attribute(torch.tensor([[0.0, 3.0]]))
    assert torch.allclose(found, torch.tensor([[-1.0, 2.0]]))


@both
def test_a_layer_whose_value_the_model_edits_in_place(library):
    """What comes after the layer adds to its value with ``+=``, which must not reach the next group's run."""
    case = CASES["skip_cnn"]()
    found = library.LayerFeatureAblation(case.model, case.model.bn2).attribute(
        case.inputs, target=1, layer_mask=torch.arange(6).reshape(1, 6, 1, 1)
    )
    whole = case.model(case.inputs)
    for channel in range(6):
        keep = (torch.arange(6) != channel).double().reshape(6, 1, 1)
        handle = case.model.bn2.register_forward_hook(lambda module, args, out, keep=keep: out * keep)
        lost = (whole - case.model(case.inputs))[:, 1].detach()
        handle.remove()
        assert torch.allclose(found[:, channel, 0, 0], lost, atol=1e-10)


@both
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["FeatureAblation", "Lime", "KernelShap", "ShapleyValueSampling"])
def test_inputs_that_are_not_finite_are_refused(library, name, bad):
    x = CASE.inputs.clone()
    x[1, 2] = bad
    with pytest.raises(ValueError, match=r"inputs: expected finite numbers.*\(the first at index \[1, 2\]\)"):
        getattr(library, name)(CASE.model).attribute(x, target=0)


@both
@pytest.mark.parametrize("name", ["Lime", "KernelShap", "ShapleyValueSampling", "ShapleyValues"])
def test_float64_is_kept(library, name):
    found = getattr(library, name)(CASE.model).attribute(CASE.inputs, target=1)
    assert found.dtype == torch.float64


@both
@pytest.mark.parametrize("name", ["Lime", "KernelShap", "ShapleyValueSampling"])
def test_global_random_states_are_not_used(library, name):
    with audit():
        getattr(library, name)(CASE.model).attribute(CASE.inputs, target=1)


@both
@pytest.mark.parametrize("name", ["Lime", "KernelShap"])
def test_several_examples_are_no_reason_to_warn(library, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(library, name)(CASE.model).attribute(CASE.inputs, target=1)


@both
def test_kernel_shap_sums_to_the_difference_of_scores(library):
    found = library.KernelShap(CASE.model).attribute(CASE.inputs, target=1)
    gap = (CASE.model(CASE.inputs) - CASE.model(0 * CASE.inputs))[:, 1].detach()
    assert torch.allclose(found.double().sum(1), gap, rtol=0, atol=1e-12)


@both
def test_kernel_shap_of_a_single_group(library):
    found = library.KernelShap(CASE.model).attribute(CASE.inputs[:1], target=1, feature_mask=torch.zeros(1, 6).long())
    gap = (CASE.model(CASE.inputs[:1]) - CASE.model(0 * CASE.inputs[:1]))[:, 1:2].detach()
    assert torch.allclose(found.double(), gap.expand(1, 6), atol=1e-6)


@both
@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValues"])
def test_without_a_target_several_outputs_are_refused(library, name):
    with pytest.raises(ValueError, match="say which one to explain, such as target=0"):
        getattr(library, name)(CASE.model).attribute(CASE.inputs)


@both
def test_one_value_for_the_batch_whatever_the_size_of_a_pass(library):
    total = lambda x: CASE.model(x).square().sum()  # noqa: E731
    found = library.FeatureAblation(total).attribute(CASE.inputs, perturbations_per_eval=4)
    assert torch.allclose(found, library.FeatureAblation(total).attribute(CASE.inputs), atol=1e-12)


@both
def test_a_model_in_train_mode_is_explained_in_eval_mode(library):
    model = nn.Sequential(nn.Dropout(0.5), mlp().model)
    found = library.FeatureAblation(model.train()).attribute(CASE.inputs, target=0)
    assert torch.equal(found, library.FeatureAblation(model.eval()).attribute(CASE.inputs, target=0))


@both
def test_a_mask_that_does_not_fit_is_named(library):
    with pytest.raises(ValueError, match=r"feature_mask: expected a shape that broadcasts to \(3, 6\), got \(5,\)"):
        library.FeatureAblation(CASE.model).attribute(CASE.inputs, target=0, feature_mask=torch.arange(5))
