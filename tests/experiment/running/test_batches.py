"""Data is read batch by batch, as far as it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.experiment import Stream
from tests.small import pictures

LABELS = torch.arange(7) % 2


def test_all_forms_give_the_same_examples() -> None:
    x = pictures(7)
    forms: dict[str, Any] = {
        "tuple": (x, LABELS), "arrays": (x.numpy(), LABELS.numpy()), "dataset": TensorDataset(x, LABELS),
        "loader": DataLoader(TensorDataset(x, LABELS), batch_size=3),
        "batches": [(x[:4], LABELS[:4]), (x[4:], LABELS[4:])],
    }  # fmt: skip
    keys = Examples.of([(x, None, None)]).keys
    for name, data in forms.items():
        stream = Stream.of(data, batch_size=2)
        for _ in range(2):  # it can be gone through again
            batches = list(stream)
            assert torch.equal(torch.cat([b.inputs for b in batches]), x), name
            assert torch.equal(torch.cat([b.labels for b in batches if b.labels is not None]), LABELS), name
            assert sum((b.keys for b in batches), ()) == keys, name
        assert len(stream) == (0 if name == "batches" else 7)
        assert [len(b) for b in Stream.of(data, target_labels=True)][-1] > 0
    assert next(iter(Stream.of(np.zeros((2, 3))))).labels is None


def test_equal_examples_are_told_apart_across_batches() -> None:
    x = torch.zeros(4, 2)
    keys = [key for batch in Stream.of(x, batch_size=2) for key in batch.keys]
    assert len(set(keys)) == 4
    assert keys == list(Examples.of([(x, None, None)]).keys)


def test_no_more_is_read_than_was_asked_for() -> None:
    read = []

    class Endless(IterableDataset[torch.Tensor]):
        def __iter__(self) -> Iterator[torch.Tensor]:
            for k in range(1000):
                read.append(k)
                yield torch.full((2,), float(k))

    stream = Stream.of(Endless(), batch_size=4)
    limited = Stream(stream.batches, stream.inputs, stream.labels, count=6)
    assert [len(b) for b in limited] == [4, 2]
    assert len(read) <= 12
    assert len(limited) == 6


def test_examples_keep_their_targets_and_keys() -> None:
    examples = Examples.of([(pictures(5), torch.arange(5), None)]).take([1, 4])
    (batch,) = Stream.of(examples)
    assert batch.keys == examples.keys
    assert batch.targets is not None
    assert batch.targets.tolist() == [1, 4]


def test_batches_without_examples_are_refused() -> None:
    for bad in ([["text"]], [torch.zeros(0, 3)], [torch.tensor(1.0)]):
        with pytest.raises(ArgumentError, match="batch 0 holds no tensor"):
            list(Stream.of(bad))


def test_a_loader_of_whole_batches_is_gone_through() -> None:
    x = pictures(6)
    stream = Stream.of(DataLoader(TensorDataset(x.reshape(3, 2, 1, 8, 8)), batch_size=None))
    assert stream.length is None
    assert torch.equal(torch.cat([b.inputs for b in stream]), x)
    assert torch.equal(torch.cat([b.inputs for b in stream.take([4, 1])]), x[[4, 1]])


def test_a_mapping_is_taken_apart_as_everywhere() -> None:
    batch = {"pixels": pictures(3), "labels": torch.arange(3)}
    (found,) = Stream.of([batch], target_labels=True)
    assert list(found.inputs) == ["pixels"]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2]
    assert found.targets is found.labels
    (found,) = Stream.of([(pictures(3), torch.rand(3, 4))])  # some other member
    assert found.labels is None
