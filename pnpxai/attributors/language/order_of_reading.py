"""Makes sure that a model writes from left to right, so that one pass over a response scores all of its tokens."""

from __future__ import annotations

import torch

from pnpxai.attributors.language.responses import ResponseModel
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.errors import ArgumentError

__all__ = ["refuse_what_looks_ahead"]

_SHARE = 0.02
"""How much a later token may matter, as a part of what the token itself does; quantised layers share a scale."""


def refuse_what_looks_ahead(reads: ResponseModel) -> None:
    """Run texts of two tokens, and compare what follows the first of them.

    Raises:
        ArgumentError: it depends on the second token, as in models that fill gaps.
    """
    if reads.encodes or reads.media is not None:
        return
    size = reads.base.get_input_embeddings().weight.shape[0]
    first, second, third = (int(reads.response[0]) + k for k in range(3))
    ids = torch.tensor([[first, second], [first, third], [third, second]], device=reads.device) % size
    with borrowed(reads.model, gradients=False), torch.no_grad():
        logits = select_output(reads.model(input_ids=ids))
    if logits.ndim != 3 or logits.shape[1] != 2:
        return  # scoring says what is wrong
    later, own = (float((logits[0, 0] - logits[k, 0]).abs().max()) for k in (1, 2))
    if later > _SHARE * own:
        raise ArgumentError(
            f"model: what {type(reads.base).__name__} expects of a token depends on tokens that come later, so that "
            "it does not write from left to right; explain it with auto_explain, or load it as a decoder"
        )
