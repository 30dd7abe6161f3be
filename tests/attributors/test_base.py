"""What all attributors share: checked baselines, deltas, costs, fixed arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pnpxai.attributors
from pnpxai.attributors import InputXGradient, IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency
from pnpxai.attributors.base import Attributor, FromInputs
from pnpxai.attributors.baseline_arguments import broadcast_baselines
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.testing import lending, randomness
from pnpxai.testing.results import (
    check_alone_as_in_a_batch,
    check_caller_modes,
    check_detached,
    check_dtypes,
    check_form,
    check_layouts,
    check_non_finite_inputs,
    check_says_something,
    check_target_forms,
)
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

X, Y = torch.ones(2, 3), torch.ones(2, 4)
DELTAS_AT_LAYERS = ("LayerIntegratedGradients", "LayerConductance", "LayerDeepLift")


@pytest.mark.parametrize(
    ("baselines", "expected"),
    [
        (None, torch.zeros(2, 3)),
        (0.5, torch.full((2, 3), 0.5)),
        (np.float64(0.5), torch.full((2, 3), 0.5)),
        (torch.tensor(0.5), torch.full((2, 3), 0.5)),
        (torch.arange(3.0)[None], torch.arange(3.0).expand(2, 3)),
        (torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3)),
        ((0.5,), torch.full((2, 3), 0.5)),
        (torch.arange(6).reshape(2, 3), torch.arange(6.0).reshape(2, 3)),
    ],
    ids=repr,
)
def test_every_form_of_baseline_takes_the_inputs_shape_and_dtype(baselines, expected):
    (found,) = broadcast_baselines(baselines, (X,))
    assert torch.equal(found, expected)
    assert found.dtype == X.dtype


def test_several_inputs_take_a_baseline_each():
    found = broadcast_baselines((1.0, Y * 2), (X, Y))
    assert torch.equal(found[0], X)
    assert torch.equal(found[1], Y * 2)
    assert [b.shape for b in broadcast_baselines(0.5, (X, Y))] == [X.shape, Y.shape]


@pytest.mark.parametrize(
    ("baselines", "kind", "message"),
    [
        (torch.zeros(2, 4), ShapeError, r"baselines: expected shape \(2, 3\), one row or a number, got \(2, 4\)"),
        (torch.zeros(3), ShapeError, r"got \(3,\)"),
        ((0, 0), ArgumentError, "baselines: expected one for each of 1 inputs, got 2"),
        ("zeros", ArgumentError, "baselines: expected None, a number or a tensor, got str"),
        (np.zeros((2, 3)), ArgumentError, "got ndarray"),
        (float("nan"), NonFiniteError, "baselines: expected finite numbers"),
        (torch.full((2, 3), float("inf")), NonFiniteError, "baselines: expected finite numbers, got 6"),
    ],
    ids=repr,
)
def test_wrong_baselines_are_refused(baselines, kind, message):
    with pytest.raises(kind, match=message):
        broadcast_baselines(baselines, (X,))


def test_one_tensor_is_no_baseline_of_several_inputs():
    with pytest.raises(ArgumentError, match="baselines: expected one for each of 2 inputs, got one tensor"):
        broadcast_baselines(X, (X, Y))


@pytest.mark.parametrize("name", ["mlp", "two_inputs"])
def test_the_delta_is_what_the_sum_misses(name):
    case = CASES[name]()
    attributor = Saliency(case.model)
    maps = tuple(torch.ones_like(x) for x in case.tensors)
    delta = attributor.compute_convergence_delta(maps, 0.5, case.inputs, case.targets)
    at = lambda *x: case.model(*x)[range(3), case.targets].detach()  # noqa: E731
    total = sum(x[0].numel() for x in case.tensors)
    halves = tuple(torch.full_like(x, 0.5) for x in case.tensors)
    assert torch.allclose(delta, total - (at(*case.tensors) - at(*halves)))


@pytest.mark.parametrize("name", ["IntegratedGradients", "DeepLift", *DELTAS_AT_LAYERS])
def test_a_subclass_may_compute_the_delta_in_its_own_way(name):
    kind = getattr(pnpxai.attributors, name)
    case = CASES["mlp"]()
    asked = []

    class Relative(kind):
        def compute_convergence_delta(
            self, attributions, start_point, end_point, target=None, additional_forward_args=None
        ):
            asked.append((attributions, start_point, end_point, target, additional_forward_args))
            return (
                super()
                .compute_convergence_delta(attributions, start_point, end_point, target, additional_forward_args)
                .abs()
                + 1
            )

    made = (case.model, case.model.first) if name in DELTAS_AT_LAYERS else (case.model,)
    given = {"baselines": 0.5, "target": case.targets, "return_convergence_delta": True}
    found, delta = Relative(*made).attribute(case.inputs, **given)
    expected, plain = kind(*made).attribute(case.inputs, **given)
    assert torch.equal(found, expected)
    assert torch.allclose(delta, plain.abs() + 1)
    assert [entry[1:] for entry in asked] == [(0.5, case.inputs, case.targets, None)]
    assert torch.equal(Relative(*made).attribute(case.inputs, baselines=0.5, target=case.targets), expected)
    assert len(asked) == 1


def test_fixed_arguments_can_be_made_of_the_inputs_and_overridden():
    case = CASES["mlp"]()
    mean = FromInputs(lambda inputs: tuple(x.mean(1, keepdim=True).expand_as(x) for x in inputs))
    fixed = IntegratedGradients(case.model).configured(n_steps=4, baselines=mean)
    plain = IntegratedGradients(case.model)
    b = case.inputs.mean(1, keepdim=True).expand_as(case.inputs)
    assert torch.equal(fixed.attribute(case.inputs, target=1), plain.attribute(case.inputs, b, 1, n_steps=4))
    assert torch.equal(fixed.attribute(case.inputs, target=1, n_steps=2), plain.attribute(case.inputs, b, 1, n_steps=2))
    assert (fixed.cost(case.inputs), plain.cost(case.inputs)) == (12, 150)
    assert fixed.has_convergence_delta()
    assert fixed.multiplies_by_inputs
    assert fixed.forward_func is case.model
    assert repr(fixed).startswith("IntegratedGradients(n_steps=4, baselines=")


def test_a_gap_is_given_where_completeness_is_promised():
    case = CASES["mlp"]()
    outcome = IntegratedGradients(case.model).attribute_detailed(case.inputs, target=1)
    maps, gap = outcome.attributions, outcome.gap
    expected = IntegratedGradients(case.model).compute_convergence_delta(maps, 0.0, case.inputs, 1)
    assert torch.allclose(gap, expected, atol=1e-12)
    assert Saliency(case.model).attribute_detailed(case.inputs, target=1).gap is None


@pytest.mark.parametrize("attributor", [Saliency, InputXGradient, IntegratedGradients, Occlusion])
def test_what_is_no_function_is_refused(attributor):
    with pytest.raises(ArgumentError, match="forward_func: expected a model or a function, got int"):
        attributor(3)


def test_attributors_are_abstract_or_final():
    with pytest.raises(TypeError, match="abstract"):
        Attributor(torch.relu)


CHECKS = (
    check_form, check_alone_as_in_a_batch, check_caller_modes, check_detached, check_dtypes, check_layouts,
    check_non_finite_inputs, check_says_something, check_target_forms, randomness.check_same_seed,
    randomness.check_other_seed, randomness.check_global_state, lending.check_nothing_left,
    lending.check_nothing_left_after_failure, lending.check_model_that_edits_its_input, lending.check_threads,
    lending.check_nothing_grows, lending.check_no_warning, lending.check_cost,
)  # fmt: skip
SUBJECTS = {
    "Saliency": Subject.of_attributor(Saliency),
    "IntegratedGradients": Subject.of_attributor(IntegratedGradients, n_steps=4),
    "Occlusion": Subject.of_attributor(Occlusion, sliding_window_shapes=(2, 3, 3), strides=(2, 2, 2)),
    "LayerGradCam": Subject.of_attributor(LayerGradCam, more=lambda model: (model.get_submodule("conv2"),)),
    "NoiseTunnel": Subject.of_attributor(NoiseTunnel, made_of=InputXGradient, nt_samples=3, stdevs=0.1),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_contracts_hold_of_attributors_too(name, check):
    check(SUBJECTS[name], CASES["skip_cnn"]())
