"""A borrowed model comes back as it was."""

from __future__ import annotations

import copy
import random
import threading

import numpy as np
import pytest
import torch
from torch import nn

from pnpxai.engine.running.guard import borrowed, eager, module_of
from pnpxai.errors import ConfinedError
from pnpxai.testing.audit import audit
from pnpxai.testing.nets import SkipNet
from pnpxai.testing.zoo import skip_cnn

X = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    net = SkipNet().train()
    net.bn1.eval()
    net.conv1.weight.requires_grad_(False)
    net(X).sum().backward()
    return net


def _meddle(model):
    """Change everything that a borrower might."""
    model.train()
    model(X)  # moves the statistics of batch normalisation
    model.note = "mine"
    del model.stem.training
    model.conv1.register_forward_hook(lambda *args: None)
    model.conv1.register_full_backward_hook(lambda *args: None)
    model.conv2.register_forward_pre_hook(lambda *args: None)
    model.conv2.forward = lambda x: x
    model.relu = nn.Tanh()
    model.bn2.running_mean = torch.zeros(6)
    model.register_buffer("more", torch.ones(1))
    torch.rand(3)
    np.random.rand(3)
    random.random()


def test_everything_is_given_back(model):
    with audit(model, X), borrowed(model):
        _meddle(model)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_everything_is_given_back_after_a_failure(model, error):
    def fail():
        _meddle(model)
        raise error

    with pytest.raises(type(error)) as caught, audit(model, X), borrowed(model):
        fail()
    assert caught.value is error


def test_inside_it_is_in_eval_mode_frozen_and_differentiable(model):
    with torch.no_grad(), borrowed(model):
        assert torch.is_grad_enabled()
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
    with torch.inference_mode(), borrowed(model, gradients=False):
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    with borrowed(model, freeze=False):
        assert model.head.weight.requires_grad


def test_an_inner_loan_leaves_giving_back_to_the_outer_one(model):
    with audit(model):
        with borrowed(model):
            with borrowed(model, gradients=False):
                model.note = "mine"
                assert not torch.is_grad_enabled()
            assert torch.is_grad_enabled()
            assert model.note == "mine"
            assert not model.training
        assert not hasattr(model, "note")
        with borrowed(model):  # and it can be lent again
            pass


def test_a_thread_waits_for_the_other(model):
    order = []
    inside, done = threading.Event(), threading.Event()

    def second():
        inside.wait()
        with borrowed(model):
            order.append("second")
        done.set()

    thread = threading.Thread(target=second)
    thread.start()
    with borrowed(model):
        inside.set()
        assert not done.wait(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_two_models_do_not_wait_for_each_other(model):
    other = copy.deepcopy(model)
    done = threading.Event()

    def second():
        with borrowed(other):
            done.set()

    with borrowed(model):
        thread = threading.Thread(target=second)
        thread.start()
        assert done.wait(30)
    thread.join()


def test_the_module_behind_a_function_is_found(model):
    class Holder:
        def __init__(self, model):
            self.model = model

        def __call__(self, x):
            return self.model(x)

    assert module_of(model) is module_of(model.forward) is module_of(Holder(model)) is model
    assert module_of(lambda x: model(x)) is None
    with audit(model), borrowed(Holder(model)):
        _meddle(model)


def test_of_a_plain_function_the_random_state_is_kept():
    with audit(), borrowed(torch.relu):
        torch.rand(2)
        np.random.rand(2)


def test_a_compiled_model_is_the_model_that_was_compiled(model):
    compiled = torch.compile(model, backend="eager")
    assert eager(compiled) is module_of(compiled) is model
    assert eager(model) is model
    function = lambda x: x + 1  # noqa: E731
    assert eager(torch.compile(function, backend="eager")) is function


def test_a_model_compiled_in_place_runs_as_it_was_written(model):
    seen = []
    model.compile(backend=lambda module, example: seen.append(module) or module)
    with audit(model), borrowed(model):
        model(X)
    assert seen == []


def test_a_scripted_model_gets_its_mode_back(model):
    with pytest.warns(FutureWarning, match=r"torch.jit.script"):
        scripted = torch.jit.script(nn.Sequential(nn.Dropout(0.9), nn.Linear(2, 2)))
    assert scripted.training
    with borrowed(scripted):
        assert not scripted.training
        assert torch.equal(scripted(torch.ones(1, 2)), scripted(torch.ones(1, 2)))
    assert scripted.training
    assert next(iter(scripted.children())).training


def test_an_exported_model_can_be_lent():
    case = skip_cnn()
    exported = torch.export.export(case.model, case.tensors).module()
    with borrowed(exported):
        assert torch.allclose(exported(case.inputs), case.model(case.inputs))


def test_parameters_made_under_inference_mode_cannot_be_differentiated():
    with torch.inference_mode():
        model = nn.Linear(2, 2)
    message = "a parameter was made under torch.inference_mode .*build or load the model outside of it"
    with pytest.raises(ConfinedError, match=message), borrowed(model):
        pass
    with borrowed(model, gradients=False):
        assert model(torch.ones(1, 2)).shape == (1, 2)
