"""Structures of tensors keep their form; wrong ones are refused by name."""

from __future__ import annotations

import collections
import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.errors import ArgumentError, NonFiniteError, ShapeError
from pnpxai.tensors import as_tuple, batch_size, check_finite, flat, like, map_tensors, own, sum_rows, take_rows


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Output:
    logits: object
    note: str = "kept"
    derived: object = dataclasses.field(init=False, default=None)


def _containers(inner):
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(collections.OrderedDict),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        inner.map(Output),
    )


LEAVES = st.one_of(
    st.integers(), st.none(), st.text(max_size=2), st.builds(lambda n: torch.arange(n), st.integers(1, 4))
)
STRUCTURES = st.recursive(LEAVES, _containers, max_leaves=8)


def _form(structure):
    """Return types and non-tensors of a structure, as a value that can be compared."""
    if isinstance(structure, torch.Tensor):
        return "tensor"
    if isinstance(structure, Output):
        return Output, _form(structure.logits), structure.note
    if isinstance(structure, dict):
        return type(structure), [(key, _form(value)) for key, value in structure.items()]
    if isinstance(structure, (list, tuple)):
        return type(structure), [_form(value) for value in structure]
    return structure


@given(STRUCTURES)
def test_mapping_keeps_the_form_and_changes_each_tensor_once(structure):
    doubled = map_tensors(lambda t: t * 2, structure)
    assert _form(doubled) == _form(structure)
    assert [t.tolist() for t in flat(doubled)] == [(t * 2).tolist() for t in flat(structure)]


@given(STRUCTURES)
def test_mapping_there_and_back_is_the_identity(structure):
    back = map_tensors(lambda t: t - 7, map_tensors(lambda t: t + 7, structure))
    assert [t.tolist() for t in flat(back)] == [t.tolist() for t in flat(structure)]


@given(STRUCTURES)
def test_mapping_does_not_edit_what_it_gets(structure):
    before = [t.clone() for t in flat(structure)]
    map_tensors(lambda t: t + 1, structure)
    assert all(torch.equal(a, b) for a, b in zip(before, flat(structure), strict=True))


def test_mappings_with_a_constructor_of_their_own_keep_their_type():
    counts = collections.defaultdict(list, a=torch.ones(2))
    mapped = map_tensors(lambda t: t * 2, counts)
    assert type(mapped) is collections.defaultdict
    assert mapped["a"].tolist() == [2, 2]
    assert mapped["new"] == []


def test_outputs_of_transformers_keep_their_type():
    from transformers.modeling_outputs import SequenceClassifierOutput

    mapped = map_tensors(lambda t: t + 1, SequenceClassifierOutput(logits=torch.zeros(2, 3)))
    assert type(mapped) is SequenceClassifierOutput
    assert mapped.logits.sum() == 6
    assert mapped["logits"] is mapped.logits


def test_as_tuple_and_like_are_inverse():
    x, y = torch.zeros(1), torch.ones(1)
    assert like(x, as_tuple(x)) is x
    assert like((x,), as_tuple((x,))) == (x,)
    assert like([x, y], as_tuple([x, y])) == (x, y)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "inputs: expected a tensor or a tuple of tensors, got int"),
        ((), "inputs: expected at least one tensor, got an empty tuple"),
        ((torch.zeros(1), "x"), "got str"),
        (np.zeros(2), "got ndarray; torch.from_numpy makes a tensor of it"),
    ],
)
def test_what_is_no_tensor_is_refused(value, message):
    with pytest.raises(ArgumentError, match=message):
        as_tuple(value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((torch.zeros(()),), "expected a batch dimension"),
        ((torch.zeros(2), torch.zeros(3)), r"same number of examples in each tensor, got \[2, 3\]"),
        ((torch.zeros(0, 4),), "at least one example, got an empty batch"),
    ],
)
def test_what_is_no_batch_is_refused(tensors, message):
    with pytest.raises(ShapeError, match=message):
        batch_size(tensors)


def test_own_is_detached_and_apart():
    x = torch.ones(2, requires_grad=True)
    copy = own(x * 1)
    copy += 1
    assert not copy.requires_grad
    assert x.tolist() == [1, 1]


def test_own_of_an_inference_tensor_can_be_differentiated():
    with torch.inference_mode():
        x = torch.ones(2)
    assert own(x).requires_grad_().square().sum().requires_grad


def test_non_finite_numbers_are_located():
    good, bad = torch.ones(2, 2), torch.ones(2, 2)
    bad[1, 0] = float("inf")
    bad[1, 1] = float("nan")
    with pytest.raises(NonFiniteError, match=r"inputs\[1\]: expected finite numbers, got 2 .* first at index \[1, 0\]"):
        check_finite("inputs", (good, bad))
    check_finite("inputs", (good, torch.tensor([1, 2])))


def test_rows_are_taken_from_what_has_one_row_per_example():
    rows = torch.tensor([2, 0, 0])
    structure = {"mine": torch.arange(3), "shared": torch.arange(5), "scalar": torch.tensor(7), "word": "kept"}
    taken = take_rows(structure, rows, 3)
    assert taken["mine"].tolist() == [2, 0, 0]
    assert taken["shared"] is structure["shared"]
    assert taken["scalar"] is structure["scalar"]
    assert taken["word"] == "kept"


def test_all_rows_in_order_are_not_copied():
    structure = (torch.arange(3),)
    assert take_rows(structure, torch.arange(3), 3) is structure


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_sums_of_rows_add_up(size, times, width):
    values = torch.arange(float(size * times * width)).reshape(size * times, width)
    sums = sum_rows(values, size)
    assert sums.shape == (size,)
    assert sums.sum() == values.sum()


def test_what_has_no_rows_is_shared_among_them():
    assert sum_rows(torch.tensor(4.0), 3).tolist() == [4, 4, 4]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_large_numbers_are_finite_though_their_sum_is_not(dtype):
    check_finite("x", (torch.full((10,), torch.finfo(dtype).max, dtype=dtype),))
    with pytest.raises(NonFiniteError):
        check_finite("x", (torch.tensor([torch.inf, -torch.inf], dtype=dtype),))
