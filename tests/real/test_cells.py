"""Explainers keep their sums on networks with trained weights, whose numbers are large, deep and skewed."""

from __future__ import annotations

import functools

import pytest
import torch

from pnpxai.explainers import KernelShap
from tests import real_models
from tests.real import cells
from tests.real.cells import CASES, DEAR, EXPLAINERS

pytestmark = pytest.mark.real


@functools.lru_cache(maxsize=1)
def case(network: str) -> cells.Case:
    return CASES[network]()


def marked(network: str, name: str):
    return pytest.param(network, name, marks=[pytest.mark.slow] if (network, name) in DEAR else [])


@pytest.mark.parametrize(("network", "name"), [marked(network, name) for network in CASES for name in EXPLAINERS])
def test_a_map_is_finite_and_keeps_its_sum(network, name):
    explanation = cells.explained(case(network), name)
    if isinstance(explanation, str):
        assert "no map" in explanation
        return
    gap = cells.gap(explanation)
    assert all(a.isfinite().all() and a.any() for a in explanation.attributions)
    says_so = name == "IntegratedGradients" and str(explanation).startswith("gap:")  # its steps have an upper limit
    assert gap is None or gap < 0.01 or says_so


def test_a_language_model_looks_at_the_country():
    france = cells.explained(case("SmolLM2-135M"), "AttnLRP").attributions[0].sum(-1)[0]
    assert france[3] > france[1:3].max()  # The capital of France is


def test_padding_is_no_player_of_a_trained_encoder():
    model, tokenizer = real_models.minilm()
    long = "It is sunny outside, and so warm that nobody wants to stay in the office today"
    words = tokenizer([long, "Stocks fell again in the last week of the year, said the bank"], padding=True)
    ids, mask = torch.tensor(words["input_ids"]), torch.tensor(words["attention_mask"])
    data = {"forward_arg_extractor": lambda pair: pair[0], "additional_forward_arg_extractor": lambda pair: pair[1]}
    explainer = KernelShap(model, n_samples=200, mask_token_id=tokenizer.mask_token_id, **data)
    together = explainer.attribute((ids, mask), [0, 0])
    shorter = int(mask[1].sum())
    assert 12 < shorter < ids.shape[1]  # values are sampled, and there is padding
    assert not together[1, shorter:].any()
    assert together[1, :shorter].any()
    alone = explainer.attribute((ids[1:, :shorter], mask[1:, :shorter]), [0])
    assert torch.allclose(together[1, :shorter], alone[0], atol=1e-5)
