"""The model as one number per example: every form of output and of target."""

from __future__ import annotations

import collections
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pnpxai.engine.running.gradients import gradient
from pnpxai.engine.running.score import Score, select_output
from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.testing.audit import audit

WEIGHT = torch.arange(12.0).reshape(4, 3)
X = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
OUT = X @ WEIGHT.T  # (2, 4)


def linear(x):
    return x @ WEIGHT.T


def score(target, forward=linear, inputs=(X,), extra=None, transform=None):
    return Score.of(forward, inputs, target, extra, transform)(inputs)


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        (2, [2, 2]),
        (-1, [3, 3]),
        (np.int64(2), [2, 2]),
        (torch.tensor(2), [2, 2]),
        (torch.tensor([2]), [2, 2]),
        (torch.tensor([[2]]), [2, 2]),
        ((2,), [2, 2]),
        ([1, 3], [1, 3]),
        ([(1,), (3,)], [1, 3]),
        ([np.int32(1), torch.tensor(3)], [1, 3]),
        (torch.tensor([1, 3]), [1, 3]),
        (torch.tensor([[1], [3]]), [1, 3]),
        (np.array([1, 3]), [1, 3]),
        (lambda output: output[[0, 1], [1, 3]], [1, 3]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_form_of_target_selects(target, columns):
    assert torch.equal(score(target), OUT[[0, 1], columns])


@pytest.mark.parametrize(
    "target", [(1, 2), [(1, 2), (1, 2)], torch.tensor([[1, 2], [1, 2]])], ids=["one", "list", "tensor"]
)
def test_outputs_of_more_dimensions_take_tuples(target):
    volume = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(score(target, lambda x: volume), volume[:, 1, 2])


def test_no_target_is_needed_for_one_output():
    assert torch.equal(score(None, lambda x: x.sum(1)), X.sum(1))
    assert torch.equal(score(None, lambda x: x.sum(1, keepdim=True)), X.sum(1))
    assert torch.equal(score(0, lambda x: x.sum(1)), X.sum(1))


def test_one_value_for_the_whole_batch_is_kept():
    assert score(None, lambda x: x.sum()).tolist() == [float(X.sum())]


def test_a_transform_comes_before_the_target():
    assert torch.allclose(score(1, transform=lambda o: o.softmax(-1)), OUT.softmax(-1)[:, 1])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (4, r"target: expected an index from 0 to 3 \(the model gives 4 outputs\), got 4"),
        (-5, "got -5"),
        ([0, 9], "got 9"),
        ([0], "target: expected one entry for each of 2 examples, got 1"),
        ([0, 1, 2], "expected one entry for each of 2 examples, got 3"),
        (torch.tensor([0, 1, 2]), r"expected one entry for each of 2 examples, got shape \(3,\)"),
        (torch.tensor([0.0, 1.0]), "expected whole numbers, got a tensor of torch.float32"),
        (torch.tensor([True, False]), "expected whole numbers, got a tensor of torch.bool"),
        (np.array([0.5, 1.0]), "expected whole numbers, got a tensor of torch.float64"),
        (1.0, r"target: expected a whole number, got 1.0 \(float\)"),
        (True, "expected a whole number, got True"),
        ("1", "expected a whole number, got '1'"),
        ([(1,), (1, 2)], "as many indices for each example, got some with more"),
        ((1, 2), r"expected 1 indices for an output of shape \(2, 4\), got 2"),
        (None, r"the model gives 4 outputs per example .*such as target=0"),
        (lambda output: output, r"target: the function returned shape \(2, 4\); expected one number for each"),
        (lambda output: 3, "target: the function returned int; expected a tensor"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),  # the address of a function changes
)
def test_wrong_targets_are_refused(target, message):
    with pytest.raises(ArgumentError, match=message):
        score(target)


class Logits(collections.OrderedDict):
    @property
    def logits(self):
        return self["logits"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda out: out,
        lambda out: (out, None),
        lambda out: [out, out + 1],
        lambda out: {"logits": out, "hidden": out + 1},
        lambda out: {"only": out, "note": "x"},
        lambda out: Logits(logits=out),
        lambda out: collections.namedtuple("Out", "logits other")(out, None),
    ],
)
def test_every_form_of_output_is_read(wrap):
    assert torch.equal(select_output(wrap(OUT)), OUT)
    assert torch.equal(score(1, lambda x: wrap(linear(x))), OUT[:, 1])


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"a": OUT, "b": OUT}, r"output holds \['a', 'b'\]; pass a function as the target"),
        ("text", "expected a tensor, a tuple or a mapping of tensors as output, got str"),
        ((), "got tuple"),
    ],
)
def test_outputs_that_do_not_tell_are_refused(output, message):
    with pytest.raises(ArgumentError, match=message):
        select_output(output)


def test_a_function_of_the_output_sees_all_of_it():
    assert torch.equal(score(lambda out: out["b"][:, 0], lambda x: {"a": x, "b": x * 2}), 2 * X[:, 0])


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda x: linear(x).long(), "expected a floating point output, got torch.int64"),
        (lambda x: linear(x)[:1].repeat(3, 1), "expected 2 rows of output for 2 rows of input, got 3"),
    ],
)
def test_wrong_outputs_are_refused(forward, message):
    with pytest.raises(ArgumentError, match=message):
        score(1, forward)


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(NonFiniteError, match="output at the target is NaN or infinite for 1 of 2 rows"):
        score(1, lambda x: linear(x) / (x[:, :1] - 1))


def test_a_mask_of_zeros_is_named_where_it_leaves_no_score():
    masked = Score.of(lambda x, mask: (x * mask).sum(1) / mask.sum(1), (X, X.long()), None)
    mask = torch.ones_like(X).long()
    with pytest.raises(NonFiniteError, match=r"1 of 2 rows, where inputs\[1\], of whole numbers, is zero everywhere"):
        masked((X, mask * torch.tensor([[1], [0]])))
    with pytest.raises(NonFiniteError, match="for 2 of 2 rows$"):
        replace(masked, forward=lambda x, mask: x.sum(1) / 0)((X, mask))


def test_what_is_no_function_is_refused():
    with pytest.raises(ArgumentError, match="forward_func: expected a model or a function, got int"):
        Score.of(3, (X,))


def test_extra_arguments_follow_the_examples_where_they_have_rows():
    forward = lambda x, row, shared, word: linear(x) + row[:, None] + shared + len(word)  # noqa: E731
    extra = (torch.tensor([10.0, 20.0]), torch.arange(4.0), "abc")
    whole = Score.of(forward, (X,), [1, 2], extra)
    assert whole((X,)).tolist() == (forward(X, *extra)[[0, 1], [1, 2]]).tolist()
    rows = torch.tensor([1, 1, 0])
    assert torch.equal(whole.take(rows)((X[rows],)), whole((X,))[rows])


def test_an_extra_argument_may_be_bare():
    assert torch.equal(score(1, lambda x, y: linear(x) + y, extra=torch.ones(2, 1)), OUT[:, 1] + 1)


def test_the_model_may_edit_what_it_gets():
    x, extra = X.clone(), torch.ones(2, 1)
    with audit(None, x, extra):
        value = score(1, lambda x, y: linear(x.mul_(2)) + y.mul_(3), (x,), extra)
    assert torch.equal(value, 2 * OUT[:, 1] + 3)


def test_a_linear_models_gradient_is_its_weight():
    (found,), values = gradient(Score.of(linear, (X,), [1, 3]), (X,))
    assert torch.equal(found, WEIGHT[[1, 3]])
    assert torch.equal(values, OUT[[0, 1], [1, 3]])
    assert not found.requires_grad
    assert not values.requires_grad


def test_seeding_by_the_score_multiplies_by_it():
    (found,), values = gradient(Score.of(linear, (X,), 1), (X,), seed_by_score=True)
    assert torch.allclose(found, WEIGHT[1] * values[:, None])


def test_an_unused_input_has_gradient_zero():
    (_, unused), _ = gradient(Score.of(lambda x, y: linear(x), (X, X), 1), (X, X))
    assert not unused.any()


def test_create_graph_keeps_the_graph():
    model = nn.Linear(3, 2)
    (found,), _ = gradient(Score.of(lambda x: model(x) ** 2, (X,), 1), (X,), create_graph=True)
    assert torch.autograd.grad(found.sum(), model.weight)[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("forward", "inputs", "message"),
    [
        (
            linear,
            torch.ones(2, 3, dtype=torch.long),
            "floating point numbers to differentiate, got torch.int64; for token",
        ),
        (lambda x: linear(x.detach()), X, "the score does not depend on the inputs through differentiable operations"),
        (lambda x: linear(x.round().sign().long().float()), X, "does not depend on the inputs"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(forward, inputs, message):
    with pytest.raises(ArgumentError, match=message):
        gradient(Score.of(forward, (inputs,), 1), (inputs,))


def test_a_gradient_that_is_not_finite_is_refused():
    with pytest.raises(NonFiniteError, match="gradient: expected finite numbers"):
        gradient(Score.of(lambda x: linear(x - x.detach()).abs().sqrt(), (X,), 1), (X,))


def test_an_empty_batch_is_refused():
    with pytest.raises(ShapeError, match="inputs: expected at least one example"):
        Score.of(linear, (X[:0],), 1)


def test_the_models_own_exception_comes_through():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        score(1, broken)
