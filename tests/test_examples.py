"""Batches, splits and keys."""

import pytest
import torch

from pnpxai.engine.keys import model_key, numbered, settings_key
from pnpxai.errors import ArgumentError
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
