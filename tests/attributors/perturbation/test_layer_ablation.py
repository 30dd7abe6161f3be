"""Groups of a layer's values that are replaced one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.attributors import FeatureAblation, LayerFeatureAblation
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES

LAYERS = [
    ("mlp", "first"), ("cnn", "0"), ("cnn", "6"), ("skip_cnn", "stem"), ("skip_cnn", "bn2"), ("series", "conv1"),
    ("two_inputs", "conv"), ("two_inputs", "linear"), ("tokens", "embedding"), ("vit", "patches"),
]  # fmt: skip


def halves(value):
    """Return a mask of two groups: even and odd positions of the last dimension."""
    return torch.arange(value.shape[-1]) % 2


def exchanged(case, layer, change, *, at_input=False):
    """Return the model's outputs with the layer's value (or input) changed."""
    module = case.model.get_submodule(layer)
    if at_input:
        handle = module.register_forward_pre_hook(lambda module, args: (change(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(lambda module, args, output: change(output.clone()))
    try:
        with torch.no_grad():
            return case.model(*case.tensors)
    finally:
        handle.remove()


SIDES = [(name, layer, at_input) for name, layer in LAYERS for at_input in (False, True)]
SIDES.remove(("tokens", "embedding", True))  # ids go in


@pytest.mark.parametrize("at_a_time", [1, 2, 100])
@pytest.mark.parametrize(("name", "layer", "at_input"), SIDES)
def test_it_is_the_plain_loop_over_groups(name, layer, at_input, at_a_time):
    case = CASES[name]()
    seen = []
    whole = exchanged(case, layer, lambda value: seen.append(value) or value, at_input=at_input)
    mask = halves(seen[0])
    expected = torch.zeros_like(seen[0])
    for group in (0, 1):
        change = lambda value, group=group: torch.where(mask == group, 0.5, value)  # noqa: E731
        lost = (whole - exchanged(case, layer, change, at_input=at_input))[range(3), case.targets]
        expected += torch.where(mask == group, lost.reshape(3, *[1] * (expected.ndim - 1)), 0.0)
    found = LayerFeatureAblation(case.model, case.model.get_submodule(layer)).attribute(
        case.inputs, 0.5, case.targets, None, mask, at_input, at_a_time
    )
    assert torch.allclose(found, expected, atol=1e-10)


def test_at_the_first_layers_input_it_is_ablation_of_the_inputs():
    case = CASES["mlp"]()
    at_layer = LayerFeatureAblation(case.model, "first").attribute(
        case.inputs, target=case.targets, attribute_to_layer_input=True
    )
    assert torch.allclose(at_layer, FeatureAblation(case.model).attribute(case.inputs, target=case.targets), atol=1e-12)


class Pair(nn.Module):
    """Gives two tensors, None, and the place of the largest number."""

    def forward(self, x):
        return 2 * x, (x + 1, None), x.argmax(1)


class Twofold(nn.Module):
    """Is 2 x + 3 (x + 1), summed, through a layer with several tensors."""

    def __init__(self):
        super().__init__()
        self.pair = Pair()
        self.join = nn.Bilinear(2, 2, 1)

    def forward(self, x):
        double, (more, _), _ = self.pair(x)
        return double.sum(1) + 3 * more.sum(1) + 0 * self.join(double, more)[:, 0]


def test_a_layer_with_several_tensors_gives_a_tuple():
    x = torch.tensor([[1.0, 2.0], [5.0, 3.0]])
    double, more, nothing, place = LayerFeatureAblation(Twofold(), "pair").attribute(x)
    assert torch.allclose(double, 2 * x)
    assert torch.allclose(more, 3 * (x + 1))
    assert nothing is None
    assert place.tolist() == [0, 0]


def test_several_tensors_take_baselines_and_masks_each():
    x = torch.tensor([[1.0, 2.0], [5.0, 3.0]])
    ablation = LayerFeatureAblation(Twofold(), "join")
    found = ablation.attribute(x, attribute_to_layer_input=True)
    assert isinstance(found, tuple)
    joint = LayerFeatureAblation(Twofold(), "pair").attribute(
        x, (torch.tensor([1.0, 0.0]), 1.0), layer_mask=(torch.tensor([0, 1]), torch.tensor([0]))
    )
    lost = torch.stack([2 * x[:, 0] - 1 + 3 * x.sum(1), 2 * x[:, 1]], 1)
    assert torch.allclose(joint[0], lost, atol=1e-6)
    assert torch.allclose(joint[1], lost[:, :1].expand(2, 2), atol=1e-6)


def test_what_is_not_finite_in_a_layer_is_replaced_too():
    class Logarithm(nn.Module):
        def __init__(self):
            super().__init__()
            self.log = nn.Identity()

        def forward(self, x):
            return self.log(x.log()).exp().sum(1)

    found = LayerFeatureAblation(Logarithm(), "log").attribute(torch.tensor([[0.0, 3.0]]))
    assert torch.allclose(found, torch.tensor([[-1.0, 2.0]]))  # exp(0) instead of 0 and of 3


@pytest.mark.parametrize("layer", ["stem", "conv2", "head"])
@pytest.mark.parametrize("at_a_time", [1, 2, 3])
def test_an_example_alone_is_as_in_a_batch(layer, at_a_time):
    """Uneven passes (five examples, a few at a time) take their rows of what was recorded."""
    case = CASES["skip_cnn"]()
    x = torch.cat([case.inputs, case.inputs[:2].flip(-1)])
    targets = [*case.targets, 3, 0]
    ablation = LayerFeatureAblation(case.model, layer)
    channels = torch.arange(6).reshape(6, *[1] * (0 if layer == "head" else 2)) if layer != "head" else None
    together = ablation.attribute(x, target=targets, layer_mask=channels, perturbations_per_eval=at_a_time)
    for e in range(5):
        alone = ablation.attribute(x[e : e + 1], target=targets[e], layer_mask=channels)
        assert torch.allclose(together[e : e + 1], alone, atol=1e-10)


def test_passes_that_are_cut_through_the_examples_agree(monkeypatch):
    case = CASES["skip_cnn"]()
    ablation = LayerFeatureAblation(case.model, "conv2")
    expected = ablation.attribute(case.inputs, target=case.targets, layer_mask=torch.arange(6).reshape(6, 1, 1))
    for limit in (1, 2, 4, 5):
        monkeypatch.setattr("pnpxai.engine.running.loops.row_limit", lambda *_, limit=limit, **__: limit)
        found = ablation.attribute(case.inputs, target=case.targets, layer_mask=torch.arange(6).reshape(6, 1, 1))
        assert torch.allclose(found, expected, atol=1e-10)


def test_what_comes_before_the_layer_runs_once():
    case = CASES["skip_cnn"]()
    with counted(case.model.stem[0]) as before, counted(case.model.head) as after:
        LayerFeatureAblation(case.model, "conv2").attribute(case.inputs, target=1)
    groups = 6 * 64
    assert before.rows == 3
    assert after.rows == 3 * (1 + 3 + 1 + groups)


def test_a_function_around_a_model_is_run_whole():
    case = CASES["mlp"]()
    layer = case.model.second
    found = LayerFeatureAblation(lambda x: case.model(x)[:, 1], layer).attribute(case.inputs)
    expected = LayerFeatureAblation(case.model, layer).attribute(case.inputs, target=1)
    assert torch.allclose(found, expected, atol=1e-10)


def test_one_value_for_the_whole_batch_gives_one_row():
    case = CASES["mlp"]()

    class Total(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = case.model

        def forward(self, x):
            return self.inner(x)[:, 1].sum()

    found = LayerFeatureAblation(Total(), "inner.second").attribute(case.inputs)
    each = LayerFeatureAblation(case.model, "second").attribute(case.inputs, target=1)
    assert torch.allclose(found, each.sum(0, keepdim=True), atol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "skip_cnn"])
def test_cost(name):
    case = CASES[name]()
    layer = {"mlp": "second", "skip_cnn": "bn2"}[name]
    mask = torch.arange(2).reshape(2, *[1] * 2).repeat(3, 1, 1) if name == "skip_cnn" else None
    ablation = LayerFeatureAblation(case.model, layer)
    with counted(case.model) as counter:
        ablation.attribute(case.inputs, target=1, layer_mask=mask)
    assert ablation.cost(case.inputs, layer_mask=mask) == counter.rows


@pytest.mark.parametrize(
    ("layer", "arguments", "error", "message"),
    [
        ("second", {"layer_mask": torch.zeros(9)}, ShapeError, r"layer_mask: expected .* \(3, 10\), got \(9,\)"),
        ("second", {"layer_baselines": torch.zeros(9)}, ShapeError, r"layer_baselines: expected shape \(3, 10\)"),
        ("secnd", {}, ArgumentError, "did you mean 'second'"),
        (["first", "second"], {}, ArgumentError, "layer: expected one layer, got 2"),
        (
            "second",
            {"perturbations_per_eval": 0},
            ArgumentError,
            "perturbations_per_eval: expected a whole number >= 1",
        ),
    ],
    ids=str,
)
def test_wrong_calls_are_refused(layer, arguments, error, message):
    case = CASES["mlp"]()
    with pytest.raises(error, match=message):
        LayerFeatureAblation(case.model, layer).attribute(case.inputs, **{"target": 1} | arguments)


def test_a_layer_whose_examples_stand_on_another_axis():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.turn = nn.Identity()

        def forward(self, x):
            return self.turn(x.T).square().sum(0)

    x = torch.rand(2, 5)
    assert torch.allclose(LayerFeatureAblation(Turned(), "turn").attribute(x), x.T.square())
    mask = torch.tensor([0, 0, 1, 1, 1])[:, None]
    found = LayerFeatureAblation(Turned(), "turn").attribute(x, layer_mask=mask, layer_baselines=torch.ones(5, 1))
    losses = (x.square() - 1).T
    assert torch.allclose(found, torch.cat([losses[:2].sum(0).expand(2, 2), losses[2:].sum(0).expand(3, 2)]), atol=1e-6)
