"""Replay: what comes before a place runs once, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from pnpxai.engine.running.site import AtSites, Call, find_places
from pnpxai.testing.zoo import CASES

SIDES = ["input", "output"]


def read(model, layer, inputs, side="output", **given):
    """Return a model at a place, what was read there with a recording, and without."""
    at = AtSites(model, find_places(model, layer, side))
    call = Call(inputs if isinstance(inputs, tuple) else (inputs,))
    return at, at.read(call, replay=True, **given), at.read(call)


def calls_of(module, run):
    """Return how often a module's forward runs."""
    count = []
    before = type(module).forward
    module.forward = lambda *args: count.append(1) or before(module, *args)
    try:
        run()
    finally:
        del module.forward
    return len(count)


def rows_of(call, rows):
    return call._replace(rows=torch.tensor(rows))


def trusted(read):
    return read.call.recording is not None


RESNET = (
    "conv1", "bn1", "maxpool", "layer1", "layer1.0.conv2", "layer2", "layer2.0.downsample", "layer2.1.bn2", "layer3.0",
    "layer4", "layer4.1.conv1", "avgpool", "fc",
)  # fmt: skip
LAYERS = [
    *(("resnet18", layer) for layer in RESNET),
    *(("skip_cnn", layer) for layer in ("stem", "conv1", "bn1", "conv2", "bn2", "head")),
    ("vit", "patches"), ("vit", "encoder"), ("cnn", "2"), ("cnn", "5"), ("series", "conv2"), ("two_inputs", "conv"),
    ("two_inputs", "linear"), ("tokens", "lstm"), ("tokens", "embedding"),
]  # fmt: skip
FIRST = {
    ("resnet18", "conv1"),
    ("skip_cnn", "stem"),
    ("two_inputs", "conv"),
    ("vit", "patches"),
    ("tokens", "embedding"),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("case", "layer"), LAYERS)
def test_a_replay_is_the_whole_run(case, layer, side):
    it = CASES[case]()
    if side == "input" and (case, layer) in FIRST:
        return  # nothing comes before it
    at, recorded, plain = read(it.model, layer, it.tensors, side)
    # what is noted while recording turns off torch's fused encoder, which rounds otherwise
    same = torch.equal if case != "vit" else torch.allclose
    assert all(map(same, recorded.values, plain.values))
    assert same(recorded.output, plain.output)
    # another value, at all examples and at some of them, in another order
    values = tuple(value * 0.7 + 0.1 for value in recorded.values)
    with torch.no_grad():
        expected = at(*values, plain.call)
        assert same(at(*values, recorded.call), expected)
        assert not torch.allclose(expected, plain.output)
        if layer != "lstm":
            some = [1, 0, 1]
            found = at(*(value[some] for value in values), rows_of(recorded.call, some))
            assert torch.allclose(found, expected[some], atol=1e-12)


@pytest.mark.parametrize(("case", "layer"), LAYERS)
def test_these_replays_are_trusted(case, layer):
    it = CASES[case]()
    assert trusted(read(it.model, layer, it.tensors)[1])
    if layer != "embedding":  # before it are ids
        assert trusted(read(it.model, layer, it.tensors, "input")[1]) == ((case, layer) not in FIRST)


@pytest.mark.parametrize("layer", ["layer1", "layer3", "layer2.0.conv2"])
def test_what_comes_before_does_not_run_again(layer):
    it = CASES["resnet18"]()
    at, recorded, _ = read(it.model, layer, it.inputs)
    for before in ("conv1", "bn1", "relu", "maxpool"):
        module = it.model.get_submodule(before)
        assert calls_of(module, lambda: at(*recorded.values, recorded.call)) == 0
    assert calls_of(it.model.layer4[0].conv1, lambda: at(*recorded.values, recorded.call)) == 1


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("copies", [1, 2, 5])
def test_a_replay_takes_any_number_of_rows(examples, copies):
    it = CASES["skip_cnn"](examples) if examples != 3 else CASES["skip_cnn"]()
    at, recorded, plain = read(it.model, "conv2", it.inputs)
    (value,) = recorded.values
    many = value.repeat(copies, 1, 1, 1) * torch.linspace(0.5, 1.5, copies).repeat_interleave(examples).reshape(
        -1, 1, 1, 1
    )
    rows = list(range(examples)) * copies
    found = at(many, rows_of(recorded.call, rows))
    whole = at(many, Call((it.inputs[rows],), counts=plain.call.counts))
    assert torch.allclose(found, whole, atol=1e-12)


@pytest.mark.parametrize(("case", "layer"), [("resnet18", "layer3"), ("skip_cnn", "bn1"), ("two_inputs", "conv")])
def test_gradients_go_through_a_replay(case, layer):
    it = CASES[case]()
    at, recorded, plain = read(it.model, layer, it.tensors)
    found = []
    for call in (recorded.call, plain.call):
        leaf = recorded.values[0].clone().requires_grad_()
        total = at(leaf, call)[range(len(it)), it.targets].sum()
        found.append(torch.autograd.grad(total, leaf)[0])
    assert found[0].any()
    assert torch.equal(*found)


@pytest.mark.parametrize("layer", ["stem", "bn2", "head"])
def test_a_replay_does_no_harm_to_what_is_recorded(layer):
    it = CASES["skip_cnn"]()
    at, recorded, _ = read(it.model, layer, it.inputs)
    first = at(*recorded.values, recorded.call)
    for _ in range(3):
        at(*(value * 2 for value in recorded.values), recorded.call)
        assert torch.equal(at(*recorded.values, recorded.call), first)
