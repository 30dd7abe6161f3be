"""Places in a model: found by name, read, and handed on with another value."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.site import Argument, AtSites, Call, Site, argument_names, find_places
from pnpxai.errors import ArgumentError, ConfinedError, ShapeError
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES

SKIP, TWO, TOKENS = (CASES[name]() for name in ("skip_cnn", "two_inputs", "tokens"))


def _places(case, *layers, side="output"):
    return AtSites(case.model, find_places(case.model, list(layers), side))


def _call(case):
    return Call(case.tensors)


def test_layers_are_found_by_name_and_by_module():
    (by_name,) = find_places(SKIP.model, "stem.0")
    (by_module,) = find_places(SKIP.model, SKIP.model.stem[0])
    assert by_name == by_module == Site(SKIP.model.stem[0], "output", "stem.0")
    assert str(by_name) == "layer 'stem.0'"


def test_layers_behind_a_bound_method_are_found_by_name():
    assert find_places(SKIP.model.forward, "stem.0") == find_places(SKIP.model, "stem.0")


def test_arguments_and_layers_may_be_mixed():
    image, head = find_places(TWO.model, ["image", TWO.model.head], "input")
    assert image == Argument("image")
    assert head == Site(TWO.model.head, "input", "head")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv_1", "layer: no layer or forward argument 'conv_1'; did you mean 'conv1'?"),
        ("imag", "layer: no layer or forward argument 'imag'"),
        ("", "layer: no layer or forward argument ''"),
        ([], "layer: expected at least one layer, got none"),
        (3, r"layer: expected a module or a name, got 3 \(int\)"),
        (nn.ReLU(), "layer: this ReLU is not part of the model SkipNet"),
    ],
    ids=repr,
)
def test_wrong_layers_are_refused(layer, message):
    with pytest.raises(ArgumentError, match=message.replace("?", r"\?")):
        find_places(SKIP.model, layer)


def test_a_wrong_argument_name_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match=r"did you mean 'image'\?"):
        find_places(TWO.model, "images")


def test_a_name_of_both_a_layer_and_an_argument_is_refused():
    class Ambiguous(nn.Module):
        def __init__(self):
            super().__init__()
            self.x = nn.Linear(2, 2)

        def forward(self, x):
            return self.x(x)

    model = Ambiguous()
    with pytest.raises(ArgumentError, match="'x' names a layer and a forward argument; pass the module itself"):
        find_places(model, "x")
    assert find_places(model, model.x) == (Site(model.x, "output", "x"),)


def test_the_inside_of_a_scripted_model_cannot_be_seen():
    with pytest.warns(FutureWarning, match=r"torch.jit.script"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ConfinedError, match="scripted model cannot be seen; pass the original Python model"):
        find_places(scripted, "0")


def test_argument_names():
    assert argument_names(TWO.model) == ("image", "table")
    assert argument_names(lambda a, *rest, b=1: a) == ("a", "b")
    assert argument_names(torch.relu) == ()


@pytest.mark.parametrize("layers", [("stem.0",), ("bn2",), ("head",), ("stem",)])
def test_what_is_read_is_what_the_layer_gave(layers):
    at = _places(SKIP, *layers)
    seen = []
    hook = at.places[0].module.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
    values, _ = at.read(_call(SKIP))[:2]
    hook.remove()
    assert torch.equal(values[0], seen[0])
    assert not values[0].requires_grad


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("layer", ["stem.0", "conv2", "bn2", "head"])
def test_the_model_at_what_was_read_is_the_model(layer, side):
    at = _places(SKIP, layer, side=side)
    values, call = at.read(_call(SKIP))[:2]
    assert torch.equal(at(*values, call), SKIP.model(SKIP.inputs))


def test_another_value_is_handed_on():
    at = _places(SKIP, "head", side="input")
    values, call = at.read(_call(SKIP))[:2]
    assert torch.allclose(at(values[0] * 2, call), SKIP.model.head(values[0] * 2))


def test_a_place_before_an_in_place_layer_keeps_its_value():
    # bn1 is followed by a ReLU that works in place
    at = _places(SKIP, "bn1")
    values, call = at.read(_call(SKIP))[:2]
    value = values[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(at(value, call).sum(), value)
    assert bool((values[0] < 0).any())
    assert torch.equal(value.detach(), values[0])
    assert not gradient[values[0] < 0].any()


def test_several_places_at_once():
    at = _places(TWO, "table", "conv")
    values, call = at.read(_call(TWO))[:2]
    assert torch.equal(values[0], TWO.inputs[1])
    assert torch.equal(at(*values, call), TWO.model(*TWO.inputs))
    doubled = at(values[0] * 2, values[1], call)
    assert torch.allclose(doubled, TWO.model(TWO.inputs[0], TWO.inputs[1] * 2))


def test_arguments_may_come_by_keyword():
    at = _places(TWO, "image")
    image, table = TWO.inputs
    values, call = at.read(Call((), {"table": table, "image": image}))[:2]
    assert torch.equal(values[0], image)
    assert torch.equal(at(image * 0, call), TWO.model(image * 0, table))


def test_several_tensors_of_one_layer():
    at = _places(TOKENS, "lstm")
    values, call = at.read(_call(TOKENS))[:2]
    assert len(values) == 3
    assert torch.equal(at(*values, call), TOKENS.model(TOKENS.inputs))


@pytest.mark.parametrize(
    ("case", "layers", "message"),
    [
        (SKIP, ("relu",), "layer: layer 'relu' runs more than once in a forward pass"),
        (TOKENS, ("ids",), "layer: argument 'ids' holds no floating point numbers.*for token ids, pass the embedding"),
        (SKIP, ("stem.0", "head"), "layer: layer 'head' depends on layer 'stem.0'; take one of them"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_places_that_cannot_be_read_are_refused(case, layers, message):
    with pytest.raises(ArgumentError, match=message):
        _places(case, *layers).read(_call(case))


def test_a_layer_that_never_runs_is_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    model.unused = nn.Linear(2, 2)
    model.forward = lambda x: model[0](x)
    with pytest.raises(ArgumentError, match="layer: layer 'unused' does not run in a forward pass of these inputs"):
        AtSites(model, find_places(model, "unused")).read(Call((torch.ones(1, 2),)))


def test_a_value_of_another_shape_is_refused():
    at = _places(SKIP, "head")
    values, call = at.read(_call(SKIP))[:2]
    with pytest.raises(ShapeError, match=r"layer 'head': expected \(3, 4\), got \(3, 3\)"):
        at(values[0][:, :3], call)


def test_nothing_is_left_in_the_model():
    with audit(SKIP.model, *SKIP.tensors):
        at = _places(SKIP, "stem.0")
        values, call = at.read(_call(SKIP))[:2]
        at(*values, call)
        with pytest.raises(ShapeError):
            at(values[0][:, :1], call)


def test_the_model_may_edit_what_it_is_called_with():
    model = nn.Sequential(nn.Linear(2, 2))
    inner = model.forward
    model.forward = lambda x: inner(x.mul_(2))
    x = torch.ones(1, 2)
    with audit(None, x):
        AtSites(model, find_places(model, "0")).read(Call((x,)))


def test_a_compiled_model_is_read_as_it_was_written():
    compiled = torch.compile(SKIP.model, backend="eager")
    values = AtSites(compiled, find_places(compiled, "conv1")).read(_call(SKIP))[0]
    assert torch.equal(values[0], _places(SKIP, "conv1").read(_call(SKIP))[0][0])
