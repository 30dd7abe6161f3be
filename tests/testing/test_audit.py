"""The audit sees every kind of thing that can be left behind, names it, and is silent otherwise."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from pnpxai.testing import audit as kit
from pnpxai.testing.audit import LeftBehind, audit, check_growth, live_tensors
from pnpxai.testing.nets import SkipNet


@pytest.fixture
def model():
    net = SkipNet().eval()
    net.cache = {}
    return net


def _grad(tensor):
    tensor.grad = torch.ones_like(tensor)


CHANGES = {
    "ModeLeft": [
        ("bn1: was False, is True", lambda m, x: m.bn1.train()),
        ("SkipNet: was False, is True", lambda m, x: m.train()),
    ],
    "HookLeft": [
        ("conv1._forward_hooks", lambda m, x: m.conv1.register_forward_hook(print)),
        ("conv1._forward_pre_hooks", lambda m, x: m.conv1.register_forward_pre_hook(print)),
        ("conv1._backward_hooks", lambda m, x: m.conv1.register_full_backward_hook(print)),
        ("_global_forward_hooks", lambda m, x: nn.modules.module.register_module_forward_hook(print)),
        ("tensor 0", lambda m, x: x.requires_grad_().register_hook(print) and x.requires_grad_(False)),
    ],
    "AttributeLeft": [
        ("head.note: new", lambda m, x: setattr(m.head, "note", 1)),
        ("head.in_features: gone", lambda m, x: delattr(m.head, "in_features")),
        ("relu.inplace: was True, is False", lambda m, x: setattr(m.relu, "inplace", False)),
        ("SkipNet.cache", lambda m, x: m.cache.update(a=1)),
        ("head.forward: new", lambda m, x: setattr(m.head, "forward", print)),
        ("SkipNet._modules", lambda m, x: setattr(m, "relu", nn.Tanh())),
        ("head._parameters", lambda m, x: setattr(m.head, "bias", None)),
        ("bn1._buffers", lambda m, x: setattr(m.bn1, "running_mean", torch.zeros(6))),
    ],
    "BufferChanged": [("bn1.running_mean", lambda m, x: m.bn1.running_mean.add_(1e-6))],
    "ParameterChanged": [("head.weight", lambda m, x: m.head.weight.data.mul_(1.001))],
    "GradientLeft": [
        ("head.weight: was None", lambda m, x: _grad(m.head.weight)),
        ("tensor 0: was None", lambda m, x: _grad(x)),
    ],
    "FlagLeft": [
        ("head.weight: was True, is False", lambda m, x: m.head.weight.requires_grad_(False)),
        ("tensor 0: was False, is True", lambda m, x: x.requires_grad_()),
    ],
    "TensorChanged": [("tensor 0", lambda m, x: x.add_(1))],
    "RandomStateMoved": [
        ("torch", lambda m, x: torch.rand(1)),
        ("numpy", lambda m, x: np.random.rand()),
        ("python", lambda m, x: random.random()),
    ],
    "TorchSettingLeft": [
        ("grad mode: was True, is False", lambda m, x: torch.set_grad_enabled(False)),
        ("default dtype", lambda m, x: torch.set_default_dtype(torch.float64)),
    ],
}


@pytest.fixture(autouse=True)
def _undo():
    tables = nn.modules.module._global_forward_hooks
    yield
    tables.clear()
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("kind", "message", "change"),
    [(kind, *change) for kind, changes in CHANGES.items() for change in changes],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_change_is_seen_and_named(model, kind, message, change):
    x = torch.ones(2, 2, 8, 8)
    with pytest.raises(getattr(kit, kind), match=message), audit(model, x):
        change(model, x)


def test_no_kind_is_without_a_test():
    assert {kind.__name__ for kind in LeftBehind.__subclasses__()} == set(CHANGES) | {"MemoryGrew"}
    assert all(issubclass(kind, AssertionError) for kind in LeftBehind.__subclasses__())


def test_what_is_given_back_is_no_change(model):
    x = torch.tensor([1.0, float("nan")])
    with audit(model, x):
        handle = model.head.register_forward_hook(print)
        handle.remove()
        model.train().eval()
        model.note = 1
        del model.note
        state = torch.get_rng_state()
        torch.rand(1)
        torch.set_rng_state(state)
        x.mul_(2).div_(2)


def test_after_an_exception_the_audit_still_speaks(model):
    def fail():
        model.train()
        raise ValueError("mine")

    with pytest.raises(kit.ModeLeft), audit(model):
        fail()
    model.eval()
    with pytest.raises(ValueError, match="mine"), audit(model):
        raise ValueError("mine")


def test_what_is_no_module_is_not_looked_into():
    with audit(lambda x: x):
        pass


def test_kept_tensors_are_counted():
    kept = []
    before = live_tensors()
    kept.append(torch.ones(1))
    assert live_tensors() == before + 1
    with pytest.raises(kit.MemoryGrew, match="4 calls left 4 more tensors alive"):
        check_growth(lambda: kept.append(torch.ones(1)))
    check_growth(lambda: torch.ones(1))


def test_a_cache_that_fills_up_once_is_no_growth():
    cache = {}
    check_growth(lambda: cache.setdefault("one", torch.ones(1)))
