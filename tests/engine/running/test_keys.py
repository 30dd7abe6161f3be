"""Equal keys mean equal content."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.keys import code_key, content_key, example_keys, model_key, numbered, settings_key
from pnpxai.errors import ArgumentError
from pnpxai.strategies.baselines import GaussianBlur
from pnpxai.testing.nets import SkipNet
from tests.declare.toys import Spread, Toy, network


def test_content_keys_tell_value_shape_and_dtype_apart():
    x = torch.tensor([1.0, 0.0])
    others = [x + 1, x.reshape(1, 2), x.double(), torch.tensor([0.0, 1.0]), torch.tensor([1, 0])]
    assert len({content_key(y) for y in [x, *others]}) == 6
    assert content_key(x, x + 1) != content_key(x + 1, x)


def test_content_keys_do_not_see_memory_or_history():
    x = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
    assert content_key(x) == content_key(x.clone().requires_grad_()) == content_key(x.T.contiguous().T)
    assert content_key(x.bfloat16()) == content_key(x.bfloat16())
    assert content_key(torch.zeros(0))


def test_an_example_has_its_key_wherever_it_stands():
    x, y = torch.tensor([[1.0], [2.0], [1.0]]), torch.tensor([[1], [2], [3]])
    assert example_keys((x[1:2],)) == example_keys((x,))[1:2]
    assert len(set(example_keys((x, y)))) == 3


def test_keys_that_come_again_are_numbered():
    assert numbered(["a", "b", "a", "a"])[:3] != ("a", "b", "a")
    assert len(set(numbered(["a", "b", "a", "a"]))) == 4
    assert numbered(["a", "b", "a"])[:2] == ("a", "b")


def test_a_models_key_is_its_class_and_state():
    torch.manual_seed(0)
    one, other = SkipNet(), SkipNet()
    assert model_key(one) != model_key(other)
    other.load_state_dict(one.state_dict())
    assert model_key(one) == model_key(other) == model_key(torch.compile(one, backend="eager"))
    one.bn1.running_mean += 1
    assert model_key(one) != model_key(other)
    assert model_key(nn.Linear(1, 1), "mine") == "mine"


def test_a_function_needs_a_key_of_its_own():
    with pytest.raises(ArgumentError, match="model_id: needed for a model that is no torch.nn.Module"):
        model_key(lambda x: x)


def test_the_order_of_settings_does_not_matter():
    settings = GaussianBlur(sigma_x=1.0).to_dict()
    assert settings_key(settings) == settings_key(dict(reversed(settings.items())))
    assert settings_key(settings) != settings_key(GaussianBlur().to_dict())


def test_the_source_of_foreign_classes_is_a_key_and_that_of_our_own_is_none():
    toy, other = Toy(network()), Toy(network(), filling=Spread())
    assert code_key(GaussianBlur(), toy) == code_key(toy.replace(steps=30)) != ""
    assert code_key(other) != code_key(toy)  # another class among its settings
    assert code_key(Spread()) == code_key(Spread(width=5)) != ""
    assert code_key(GaussianBlur()) == ""
