"""Facts about models are found, not listed; what runs says more than what is declared."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pnpxai.detector import detect
from pnpxai.explainers.attention import AttentionRollout
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.backprop import GuidedBackprop
from pnpxai.recommender import recommend
from pnpxai.testing.architectures import ARCHITECTURES, LARGE
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES
from pnpxai.traits import Traits


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mlp", {"linear"}),
        ("cnn", {"convolution", "linear"}),
        ("skip_cnn", {"convolution", "linear", "normalization"}),
        ("tokens", {"embedding", "recurrent", "linear"}),
        ("vit", {"convolution", "attention", "linear", "normalization"}),
    ],
)
def test_parts_are_found(name, parts):
    facts = detect(CASES[name]().model)
    assert facts.parts == parts
    assert facts.is_module
    assert facts.has("linear")
    assert not facts.ran


def test_attention_of_other_libraries_goes_by_its_name():
    from transformers import BertConfig, BertModel

    small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    assert {"attention", "embedding"} <= detect(BertModel(small)).parts


def test_nothing_can_be_said_of_a_function():
    facts = detect(torch.relu)
    assert facts.parts == frozenset()
    assert not facts.is_module
    assert detect(torch.relu, torch.ones(1)) == facts


def test_a_method_of_a_module_shows_the_module():
    assert detect(nn.Sequential(nn.Conv2d(1, 1, 1)).forward).has("convolution")


def test_a_compiled_model_is_seen_as_it_was_written():
    case = CASES["cnn"]()
    compiled = torch.compile(case.model, backend="eager")
    assert detect(compiled) == detect(case.model)
    assert detect(compiled, case.inputs) == detect(case.model, case.inputs)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in ARCHITECTURES]
)
def test_what_runs_is_what_is_declared(name):
    case = ARCHITECTURES[name]()
    declared = detect(case.model)
    with audit(case.model, *case.tensors):
        seen = detect(case.model, case.inputs)
    assert seen.ran
    assert (seen.parts, seen.rectified) == (declared.parts, declared.rectified)
    assert (seen.feature_map is None) == (seen.no_feature_map is not None)


class Attending(nn.Module):
    """Attention and a convolution that are functions of parameters; an idle ReLU, convolution and 'attention'."""

    def __init__(self, how="eager"):
        super().__init__()
        self.how = how
        self.kernel = nn.Parameter(torch.randn(8, 1, 2, 2))
        self.weights = nn.Parameter(torch.randn(3, 8, 8))
        self.idle = nn.ModuleList([nn.ReLU(), nn.LSTM(2, 2), ChannelAttention()])

    def forward(self, x):
        tokens = F.conv2d(x, self.kernel, stride=2).flatten(2).transpose(1, 2)
        query, key, value = (F.linear(tokens, w) for w in self.weights)
        if self.how == "fused":
            return F.scaled_dot_product_attention(query, key, value).mean(1)
        scores = query @ key.transpose(1, 2)
        if self.how == "gated":  # softmax weights, but no value is multiplied with them
            return (scores.softmax(-1).sum(-1, keepdim=True) * value).mean(1)
        return (F.dropout(scores.softmax(-1), 0.1, self.training) @ value).mean(1)


class ChannelAttention(nn.Module):
    """Attention by its name only."""

    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True).sigmoid()


@pytest.mark.parametrize("how", ["eager", "fused", "gated"])
def test_functions_that_run_are_seen_and_modules_that_do_not_run_are_not(how):
    model, x = Attending(how), torch.randn(2, 1, 4, 4)
    facts = detect(model, x)
    assert facts.parts == {"convolution", "linear"} | (set() if how == "gated" else {"attention"})
    assert not facts.rectified
    assert detect(model).parts >= {"recurrent"}
    assert detect(model).rectified


def test_attention_by_name_only_is_found_out():
    model, x = nn.Sequential(nn.Conv2d(1, 2, 2), ChannelAttention(), nn.Flatten()), torch.randn(1, 1, 4, 4)
    assert detect(model).has("attention")
    assert detect(model, x).parts == {"convolution"}
    assert "needs attention" in recommend(model, Traits.image(), [AttentionRollout], x).reasons["AttentionRollout"]


def test_explainers_go_by_what_ran():
    model, x = Attending(), torch.randn(2, 1, 4, 4)
    fit = recommend(model, Traits.image(), [AttentionRollout, GradCam, GuidedBackprop], x)
    assert fit.explainers == (AttentionRollout,)
    assert fit.reasons["GradCam"].startswith("model: no convolution with several positions was seen")
    assert "ReLU" in fit.reasons["GuidedBackprop"]


def test_the_last_feature_map_and_its_grid():
    case = CASES["skip_cnn"]()
    facts = detect(case.model, case.inputs)
    assert (facts.feature_map, facts.grid) == ("bn2", (8, 8))
    case = ARCHITECTURES["siamese"]()
    assert "run more than once" in detect(case.model, case.inputs).no_feature_map
    reason = GradCam.reason_against(detect(case.model, case.inputs), case.traits)
    assert reason == detect(case.model, case.inputs).no_feature_map


def test_inputs_as_explainers_take_them():
    case = CASES["tokens"]()
    by_name = detect(case.model, {"ids": case.inputs})
    assert by_name == detect(case.model, case.inputs)
    assert by_name.parts == {"embedding", "recurrent", "linear"}
