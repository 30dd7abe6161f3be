"""Gradients of models whose gradients are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import InputXGradient, Saliency
from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.testing.answers import check_ignored_features, check_linear
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES

LINEAR_ANSWERS = [
    (Saliency, {"abs": False}, lambda weights, inputs: weights),
    (Saliency, {}, lambda weights, inputs: weights.abs()),
    (InputXGradient, {}, lambda weights, inputs: weights * inputs),
]


@pytest.mark.parametrize(("attributor", "arguments", "answer"), LINEAR_ANSWERS)
def test_of_a_linear_model(attributor, arguments, answer):
    subject = Subject.of_attributor(attributor, **arguments)
    check_linear(subject, answer)
    check_ignored_features(subject)


def test_of_a_quadratic_model():
    x = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    square = lambda x: x.square().sum(1)  # noqa: E731
    assert torch.equal(Saliency(square).attribute(x, abs=False), 2 * x)
    assert torch.equal(InputXGradient(square).attribute(x), 2 * x**2)


def test_batches_larger_than_a_pass_are_explained_in_parts():
    linear = nn.Linear(3, 2)
    rows = []
    linear.register_forward_pre_hook(lambda module, args: None if is_probe() else rows.append(len(args[0])))
    found = Saliency(linear).attribute(torch.randn(2400, 3), target=1, abs=False)
    assert torch.allclose(found, linear.weight[1].expand(2400, 3))
    assert rows == [1024, 1024, 352]


def test_create_graph_keeps_the_graph_and_nothing_else_does():
    case = CASES["mlp"]().copy()
    assert not Saliency(case.model).attribute(case.inputs, 1).requires_grad
    kept = InputXGradient(case.model).attribute(case.inputs, 1, grad_kwargs={"create_graph": True})
    (of_weight,) = torch.autograd.grad(kept.sum(), case.model.first.weight)
    assert of_weight.abs().max() > 0
    assert all(parameter.grad is None for parameter in case.model.parameters())


@pytest.mark.parametrize("attributor", [Saliency, InputXGradient])
@pytest.mark.parametrize(
    ("inputs", "arguments", "kind", "message"),
    [
        (
            torch.ones(2, 6).long(),
            {},
            ArgumentError,
            "expected floating point numbers to differentiate, got torch.int64",
        ),
        (torch.ones(0, 6).double(), {}, ShapeError, "expected at least one example, got an empty batch"),
        (torch.ones(2, 6).double(), {"target": 4}, ArgumentError, "expected an index from 0 to 3"),
        (torch.ones(2, 6).double(), {"target": None}, ArgumentError, "say which one to explain, such as target=0"),
        ([1.0, 2.0], {}, ArgumentError, "inputs: expected a tensor or a tuple of tensors, got float"),
    ],
    ids=lambda value: "",
)
def test_wrong_calls_are_refused(attributor, inputs, arguments, kind, message):
    with pytest.raises(kind, match=message):
        attributor(CASES["mlp"]().model).attribute(inputs, **({"target": 1} | arguments))
