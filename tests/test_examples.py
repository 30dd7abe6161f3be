"""Batches, splits and keys."""

import pytest
import torch

from pnpxai.engine.running.keys import model_key, numbered, settings_key
from pnpxai.errors import ArgumentError
from pnpxai.example_targets import inputs_and_label, largest
from pnpxai.examples import Examples
from tests.small import Bright


def _examples(n: int = 10) -> Examples:
    x = torch.arange(n * 4, dtype=torch.float32).reshape(n, 4)
    return Examples.of([(x[:3], torch.arange(3), None), ((x[3:], x[3:] + 1), torch.arange(3, n), torch.arange(3, n))])


def test_split_is_a_partition_that_depends_on_the_seed_alone() -> None:
    data = _examples()
    left, right = data.split(0.5, seed=1)
    assert (len(left), len(right)) == (5, 5)
    assert sorted(left.keys + right.keys) == sorted(data.keys)
    assert data.split(0.5, seed=1)[0].keys == left.keys
    assert any(data.split(0.5, seed=s)[0].keys != left.keys for s in range(2, 6))


def test_taking_keeps_inputs_targets_and_keys_together() -> None:
    data = _examples()
    some = data.take([4, 1, 9])
    assert some.keys == tuple(data.keys[k] for k in (1, 4, 9))
    assert [int(t) for batch in some for t in batch.targets] == [1, 4, 9]
    assert some.batches[1].inputs[0][:, 0].tolist() == [16.0, 36.0]
    assert torch.equal(some.batches[1].inputs[1], some.batches[1].inputs[0] + 1)


def test_equal_contents_are_numbered_and_keys_do_not_depend_on_batches() -> None:
    x = torch.ones(3, 2)
    together, apart = Examples.of([(x, None, None)]), Examples.of([(x[k : k + 1], None, None) for k in range(3)])
    assert together.keys == apart.keys
    assert len(set(together.keys)) == 3
    assert numbered(["a", "b", "a"]) == ("a", "b", "a.1")


def test_wrong_data_is_refused() -> None:
    for parts in ([], [("text", None, None)], [(torch.ones(0, 2), None, None)]):
        with pytest.raises(ArgumentError, match="data: expected"):
            Examples.of(parts)
    x = torch.ones(3, 2)
    for parts, came in (
        (3, "int"), (None, "NoneType"), (x, "Tensor"), ((x, None, None), "Tensor"), ([(x, None)], "a tuple of 2"),
        ([(x, None, None), (x, None, None, None, None)], "a tuple of 5"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=rf"data: expected \(inputs, targets, labels\) .*, got {came};"):
            Examples.of(parts)
    with pytest.raises(ArgumentError, match="from 0 to 9, got"):
        _examples().take([10])


def test_a_models_key_follows_its_weights() -> None:
    first, second = Bright(), Bright()
    assert model_key(first) == model_key(second)
    with torch.no_grad():
        second.head.bias[0] += 1e-6
    assert model_key(first) != model_key(second)
    assert model_key(lambda x: x, model_id="mine") == "mine"
    with pytest.raises(ArgumentError, match="model_id: needed"):
        model_key(lambda x: x)


def test_settings_keys_ignore_order() -> None:
    assert settings_key({"a": 1, "b": [2]}) == settings_key({"b": [2], "a": 1})
    assert settings_key({"a": 1}) != settings_key({"a": 2})


def test_masks_go_with_their_examples() -> None:
    x, truth = torch.rand(5, 1, 2, 2), torch.arange(5 * 4).reshape(5, 2, 2) % 3 == 0
    given = Examples.of([(x[:3], None, None), (x[3:], None, None)])
    for masks in (truth, truth.numpy(), list(truth)):
        found = given.with_masks(masks)
        assert torch.equal(torch.cat([b.masks for b in found]), truth)
        (part,) = found.take([4])
        assert torch.equal(part.masks, truth[4:])
    (first, _) = given.with_masks((None, truth))
    assert first.masks[0] is None
    assert torch.equal(first.masks[1], truth[:3])
    assert [b.masks for b in given.with_masks(None)] == [None, None]
    for bad, words in {4: "got 4 for at least 5", 6: "each of 5 examples, got 6"}.items():
        with pytest.raises(ArgumentError, match=words):
            given.with_masks(torch.zeros(bad, 2, 2))
    with pytest.raises(ArgumentError, match="a sequence with one for each example"):
        given.with_masks(3)


def test_what_is_no_class_of_each_example_is_none() -> None:
    x, y = torch.rand(4, 3), torch.arange(4)
    assert inputs_and_label((x, y))[1] is y
    assert inputs_and_label([x, [0, 1, 2, 3]])[1] == [0, 1, 2, 3]
    for other in (torch.rand(4, 2), [[0, 1], [1, 0], [1, 1], [0, 0]], torch.tensor(3)):
        assert inputs_and_label((x, other))[1] is None
        assert inputs_and_label({"x": x, "labels": other}) == ({"x": x}, None)
    assert inputs_and_label(x) == (x, None)


def test_the_largest_output_needs_one_number_for_each() -> None:
    assert largest({"logits": torch.tensor([[1.0, 3.0], [2.0, 0.0]])}).tolist() == [1, 0]  # type: ignore[union-attr]
    assert largest(torch.rand(3)) is None
    assert largest(torch.rand(3, 1)) is None
    with pytest.raises(ArgumentError, match=r"the model gives \(5, 8, 8\) numbers"):
        largest(torch.rand(2, 5, 8, 8))
