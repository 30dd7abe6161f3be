"""Text without its evidence."""

from __future__ import annotations

import pytest
import torch

from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.strategies.token_baselines import MeanEmbedding, Pad, Token

IDS = torch.tensor([[3, 1, 4], [1, 5, 9]], dtype=torch.int32)
EMBEDDED = torch.arange(12.0).reshape(1, 3, 4)


@pytest.mark.parametrize("strategy", [Token, Pad])
def test_one_id_everywhere(strategy):
    found = strategy(103)(IDS)
    assert found.tolist() == [[103] * 3] * 2
    assert found.dtype == torch.int32
    with pytest.raises(ArgumentError, match=f"{strategy.__name__}: expected token ids, got torch.float32; of"):
        strategy()(EMBEDDED)
    with pytest.raises(ArgumentError, match="token_id: expected a whole number >= 0, got -1"):
        strategy(-1)


def test_mean_embedding_of_the_text_or_of_the_vocabulary():
    assert MeanEmbedding()(EMBEDDED).tolist() == [[[4, 5, 6, 7]] * 3]
    table = torch.tensor([[0.0, 2.0, 4.0, 6.0], [2.0, 0.0, 0.0, 0.0]])
    assert MeanEmbedding(table)(EMBEDDED).tolist() == [[[1, 1, 2, 3]] * 3]
    with pytest.raises(ShapeError, match=r"MeanEmbedding: embeddings: expected \(ids, 4\), got \(2, 3\)"):
        MeanEmbedding(table[:, :3])(EMBEDDED)
