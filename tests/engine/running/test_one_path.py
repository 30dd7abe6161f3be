"""A lent model computes one way: checkpoints run once, no fused path gives other values, forces are perturbed."""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import pnpxai.attributors as A  # noqa: N812
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.one_path import as_written, one_path
from pnpxai.errors import ConfinedError
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients

D = torch.float64
BLOCK = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh()).double()
HEAD = nn.Linear(8, 3).double()


class Checkpointed(nn.Module):
    """A block that is computed twice to spare memory, in one of the ways in which that is written, or in a branch."""

    def __init__(self, way):
        super().__init__()
        self.block, self.h, self.way = BLOCK, HEAD, way

    def forward(self, x):
        if self.way == "plain":
            return self.h(self.block(x))
        if self.way == "part":
            return self.h(partial(checkpoint, use_reentrant=False)(self.block, x))
        if self.way == "branch":
            return self.h(torch.cond(x.sum() < 1e9, self.block, self.h, (x,)))
        return self.h(checkpoint(self.block, x, use_reentrant=self.way == "reentrant"))


X = torch.randn(4, 5, dtype=D, generator=torch.Generator().manual_seed(0))
METHODS = {
    "Saliency": lambda m: A.Saliency(m).attribute(X, 0, abs=False),
    "DeepLift": lambda m: A.DeepLift(m).attribute(X, target=0),
    "LRP": lambda m: A.LRP(m).attribute(X, target=0),
    "GuidedBackprop": lambda m: A.GuidedBackprop(m).attribute(X, target=0),
    "FullGrad": lambda m: A.FullGrad(m).attribute(X, target=0),
    "LayerIntegratedGradients": lambda m: A.LayerIntegratedGradients(m, m.block[0]).attribute(X, target=0),
    "LayerActivation": lambda m: A.LayerActivation(m, m.block[2]).attribute(X),
    "LayerGradientXActivation": lambda m: A.LayerGradientXActivation(m, m.block[2]).attribute(X, target=0),
    "LayerConductance": lambda m: A.LayerConductance(m, m.block[2]).attribute(X, target=0),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["reentrant", "other", "part", "branch"])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_checkpointed_block_has_the_map_of_a_plain_one(way, method, monkeypatch):
    monkeypatch.setattr(torch, "compile", None)  # which takes seconds to load, and hides branches from hooks
    explain = METHODS[method]
    assert torch.allclose(explain(Checkpointed(way)), explain(Checkpointed("plain")), atol=1e-12)


def test_what_the_compiler_refuses_as_the_model_loads_it_is_refused_by_name(monkeypatch):
    problem = type("UserError", (RuntimeError,), {"__module__": "torch._dynamo.exc"})("no such guard")
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    with pytest.raises(ConfinedError, match="import torch._dynamo"), as_written():
        raise problem
    with pytest.raises(ZeroDivisionError), as_written():
        raise ZeroDivisionError


def test_outside_and_in_other_threads_checkpoints_spare_memory():
    calls, forward = [], BLOCK[0].forward

    def train():
        calls.clear()
        hook = BLOCK[0].register_forward_hook(lambda module, args, output: calls.append(1))
        for reentrant in (True, False):
            checkpoint(BLOCK, X.clone().requires_grad_(), use_reentrant=reentrant).sum().backward()
        hook.remove()
        BLOCK.zero_grad(set_to_none=True)
        return len(calls)

    assert train() == 4
    found = []
    with one_path():
        assert train() == 2
        thread = threading.Thread(target=lambda: found.append(train()))
        thread.start()
        thread.join()
    assert found == [4]
    assert BLOCK[0].forward == forward


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.t, self.h = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, x):
        return self.h(self.t(x, src_key_padding_mask=x[..., 0] == 0).amax(1))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_scores_are_those_of_the_path_that_is_differentiated():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = Encoder().eval(), torch.randn(3, 6, 8)
    x[0, 4:] = x[1, 3:] = 0
    x.requires_grad_()
    right = model(x)[:, 0].detach()
    explanation = IntegratedGradients(model).explain(x.detach(), [0] * 3)
    assert torch.allclose(explanation.scores, right, atol=1e-5)
    with torch.no_grad():
        assert (model(x)[:, 0] - right).abs().max() > 1e-3, "torch's fused path gives other scores"
    with borrowed(model, gradients=False):
        assert torch.allclose(model(x)[:, 0], right, atol=1e-5)


def test_the_switch_is_given_back_after_blocks_within_blocks_and_failures():
    before = torch.backends.mha.get_fastpath_enabled()
    with contextlib.suppress(KeyboardInterrupt), one_path(), one_path():
        assert not torch.backends.mha.get_fastpath_enabled()
        raise KeyboardInterrupt
    assert torch.backends.mha.get_fastpath_enabled() is before


@pytest.mark.parametrize("method", ["FeatureAblation", "Occlusion", "KernelShap", "ShapleyValueSampling"])
def test_a_forward_pass_that_differentiates_is_perturbed(method):
    energy = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    def forces(x):
        x = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(energy(x).sum(), x, create_graph=True)[0]

    def closed(x):
        slope = 1 - energy[0](x).tanh() ** 2
        return (slope * energy[2].weight[0]) @ energy[0].weight

    settings = {"sliding_window_shapes": (1,)} if method == "Occlusion" else {}
    found, right = (getattr(A, method)(f).attribute(X, target=0, **settings) for f in (forces, closed))
    assert torch.allclose(found, right, atol=1e-9)
