"""Integrals along a path: exact where the quadrature is exact, complete everywhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.attributors import IntegratedGradients
from pnpxai.attributors.gradient.paths import Quadrature, quadrature
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.testing.answers import check_ignored_features, check_linear
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

METHODS = Quadrature.__args__
every_method = pytest.mark.parametrize("method", METHODS)


@every_method
@given(n=st.integers(2, 60))
def test_weights_sum_to_one_and_nodes_lie_on_the_path(method, n):
    nodes, weights = quadrature(method, n)
    assert len(nodes) == len(weights) == n
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert min(weights) > 0
    assert all(0 <= node <= 1 for node in nodes)
    assert nodes == sorted(nodes)


DEGREES = {"riemann_left": 0, "riemann_right": 0, "riemann_middle": 1, "riemann_trapezoid": 1}


@every_method
@given(n=st.integers(2, 12), coefficients=st.lists(st.floats(-3, 3), min_size=1, max_size=24))
def test_polynomials_are_integrated_exactly_up_to_the_rules_degree(method, n, coefficients):
    polynomial = coefficients[: DEGREES.get(method, 2 * n - 1) + 1]
    exact = sum(c / (k + 1) for k, c in enumerate(polynomial))
    nodes, weights = quadrature(method, n)
    found = sum(w * sum(c * t**k for k, c in enumerate(polynomial)) for t, w in zip(nodes, weights, strict=True))
    assert found == pytest.approx(exact, abs=1e-9)


@every_method
def test_more_steps_come_closer(method):
    exact = torch.e - 1
    errors = []
    for n in (2, 8, 32):
        nodes, weights = quadrature(method, n)
        errors.append(abs(sum(w * torch.e**t for t, w in zip(nodes, weights, strict=True)) - exact))
    assert errors[0] > errors[1] >= errors[2]


@pytest.mark.parametrize(
    ("method", "n", "message"),
    [
        ("gausslegendre", 0, "n_steps: expected a whole number >= 1, got 0"),
        ("gausslegendre", -1, "got -1"),
        ("gausslegendre", 2.0, "got 2.0"),
        ("gausslegendre", True, "got True"),
        ("riemann_trapezoid", 1, "n_steps: riemann_trapezoid needs at least 2, got 1"),
        ("simpson", 3, "method: expected one of 'gausslegendre', .* got 'simpson'"),
    ],
)
def test_wrong_rules_are_refused(method, n, message):
    with pytest.raises(ArgumentError, match=message):
        quadrature(method, n)


def test_of_a_linear_model():
    subject = Subject.of_attributor(IntegratedGradients, n_steps=1, baselines=0.25)
    check_linear(subject, lambda weights, inputs: weights * (inputs - 0.25))
    check_ignored_features(subject)


def test_of_a_quadratic_model_it_is_exact_and_of_full_precision():
    x = torch.tensor([[0.3, -0.7, 1.1]], dtype=torch.float64)
    found = IntegratedGradients(lambda x: x.square().sum(1)).attribute(x, n_steps=1)
    assert torch.allclose(found, x**2, rtol=1e-14, atol=0)


def test_without_the_product_it_is_the_mean_gradient():
    x = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    found = IntegratedGradients(lambda x: x.square().sum(1), multiply_by_inputs=False).attribute(x, n_steps=2)
    assert torch.allclose(found, x)


@pytest.mark.parametrize("baselines", [None, 0.5, "tensor"])
@pytest.mark.parametrize("name", ["mlp", "series", "two_inputs", "vit"])
def test_attributions_sum_to_the_difference_of_scores(name, baselines):
    case = CASES[name]()
    starts = tuple(torch.roll(x, 1, 0) for x in case.tensors) if baselines == "tensor" else baselines
    found, delta = IntegratedGradients(case.model).attribute(
        case.inputs, starts, case.targets, n_steps=300, return_convergence_delta=True
    )
    members = found if isinstance(found, tuple) else (found,)
    at = starts if isinstance(starts, tuple) else tuple(torch.full_like(x, starts or 0.0) for x in case.tensors)
    rows = range(len(case))
    difference = case.model(*case.tensors)[rows, case.targets] - case.model(*at)[rows, case.targets]
    total = sum(m.flatten(1).sum(1) for m in members)
    assert torch.allclose(total, difference.detach(), atol=1e-2)
    assert torch.allclose(delta, total - difference.detach(), atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 5, None])
def test_the_size_of_a_pass_does_not_change_the_result(size):
    case = CASES["cnn"]()
    found = IntegratedGradients(case.model).attribute(case.inputs, target=1, n_steps=7, internal_batch_size=size)
    whole = IntegratedGradients(case.model).attribute(case.inputs, target=1, n_steps=7, internal_batch_size=21)
    assert torch.allclose(found, whole, atol=1e-12)


@pytest.mark.parametrize("delta", [False, True])
def test_cost(delta):
    case = CASES["mlp"]()
    rows = []
    hook = case.model.register_forward_pre_hook(lambda module, args: None if is_probe() else rows.append(len(args[0])))
    ig = IntegratedGradients(case.model)
    ig.attribute(case.inputs, target=1, n_steps=7, return_convergence_delta=delta)
    hook.remove()
    assert sum(rows) == ig.cost(case.inputs, n_steps=7, return_convergence_delta=delta) == 3 * (9 if delta else 7)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n_steps": 0}, ArgumentError, "n_steps: expected a whole number >= 1, got 0"),
        ({"method": "x"}, ArgumentError, "method: expected one of"),
        ({"internal_batch_size": 0}, ArgumentError, "internal_batch_size: expected a whole number >= 1, got 0"),
        ({"baselines": torch.zeros(3, 5)}, ShapeError, r"baselines: expected shape \(3, 6\)"),
        ({"baselines": float("nan")}, NonFiniteError, "baselines: expected finite numbers"),
        ({"target": 9}, ArgumentError, "expected an index from 0 to 3"),
    ],
)
def test_wrong_calls_are_refused(arguments, kind, message):
    case = CASES["mlp"]()
    with pytest.raises(kind, match=message):
        IntegratedGradients(case.model).attribute(case.inputs, **({"target": 1} | arguments))


def test_ids_are_refused():
    case = CASES["tokens"]()
    with pytest.raises(ArgumentError, match="for token ids, explain the embedding"):
        IntegratedGradients(case.model).attribute(case.inputs, target=1)


def test_progress_is_shown_on_request(capsys):
    case = CASES["mlp"]()
    IntegratedGradients(case.model).attribute(case.inputs, target=1, n_steps=3, show_progress=True)
    assert "gradients" in capsys.readouterr().err
