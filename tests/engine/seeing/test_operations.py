"""Operations are seen by their own names, however they are written."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.engine.seeing.operations import Operations, in_place, operation_name, out_of_place, with_operands

X = torch.ones(2, 3)


def _seen(run):
    names = []

    def note(function, args, kwargs):
        names.append((operation_name(function), in_place(function, kwargs)))
        return function(*args, **kwargs)

    with Operations(note):
        run()
    return names


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda: X + 1, [("add", False)]),
        (lambda: 1 - X, [("sub", False)]),
        (lambda: torch.add(X, X), [("add", False)]),
        (lambda: X.clone().add_(1), [("clone", False), ("add", True)]),
        (lambda: X.clone().__iadd__(1), [("clone", False), ("add", True)]),
        (lambda: F.relu(X), [("relu", False)]),
        (lambda: F.relu(X.clone(), inplace=True), [("clone", False), ("relu", True)]),
        (lambda: nn.ReLU(inplace=True)(X.clone()), [("clone", False), ("relu", True)]),
        (lambda: X @ X.T, [("get", False), ("matmul", False)]),
        (lambda: X[0], [("getitem", False)]),
        (lambda: nn.Linear(3, 2)(X), None),
    ],
)
def test_names(run, expected):
    seen = _seen(run)
    assert seen == expected if expected is not None else ("linear", False) in seen


def test_reflected_operators_lose_their_mark_and_other_names_keep_their_letters():
    assert operation_name(torch.Tensor.__rsub__) == "sub"
    assert operation_name(torch.relu) == "relu"
    assert operation_name(torch.index_select) == "index_select"
    assert operation_name(torch.reciprocal) == "reciprocal"


def test_the_replacement_is_what_the_model_gets():
    with Operations(lambda function, args, kwargs: function(*args, **kwargs) + 1):
        found = F.relu(X)
    assert found.tolist() == (X + 1).tolist()


def test_nothing_is_seen_once_it_is_closed():
    names = []
    mode = Operations(lambda function, args, kwargs: names.append(function) or function(*args, **kwargs))
    with pytest.raises(ZeroDivisionError), mode:
        1 / 0  # noqa: B018
    X + 1  # noqa: B018
    assert names == []


def test_operands_are_found_and_exchanged_anywhere_in_a_call():
    a, b = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    operands, put = with_operands((([a, X], 3), {"other": b}), lambda tensor: tensor.requires_grad)
    assert operands[0] is a
    assert operands[1] is b
    (args, kwargs) = put(a + 1, b + 1)
    assert args[0][0].item() == 2
    assert args[0][1] is X
    assert args[1] == 3
    assert kwargs["other"].item() == 1


@pytest.mark.parametrize(
    ("function", "more"),
    [
        (torch.Tensor.add_, (X,)),
        (torch.Tensor.__itruediv__, (X + 1,)),
        (torch.relu_, ()),
        (F.leaky_relu_, (0.2,)),
        (torch.Tensor.fill_diagonal_, (7.0,)),
        (torch.Tensor.clamp_, (0.0, 0.5)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_in_place_call_has_a_counterpart_that_changes_nothing(function, more):
    x = torch.randn(2, 3)
    before = x.clone()
    outside, args, kwargs = out_of_place(function, (x, *more), {})
    found = outside(*args, **kwargs)
    assert not in_place(outside, kwargs)
    assert operation_name(outside) in (operation_name(function), "div")
    assert torch.equal(x, before)
    assert torch.equal(found, function(x, *more))
    assert not torch.equal(found, before)
