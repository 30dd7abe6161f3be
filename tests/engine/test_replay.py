"""Replay: what comes before a place runs once, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.site import AtSites, Call, find_places
from pnpxai.tensors import map_tensors
from pnpxai.testing.audit import audit, check_growth
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


class Model(nn.Module):
    """Three layers and a site, ``here``; a subclass says how they are put together."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.here, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.relu, self.in_place = nn.ReLU(), nn.ReLU(inplace=True)


class EditsARecordedResult(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.two(y)
        y += z
        return self.head(self.here(y) + y)


class EditsInsideARecordedCall(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.in_place(y)  # y is z
        return self.head(self.here(z) * y)


class ReadsBeforeAnEdit(Model):
    def forward(self, x):
        y = self.one(x)
        s = y.sum(1, keepdim=True)
        self.in_place(y)
        return self.head(self.here(y) * s + y)


class EditsAfterThePlace(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.here(y)
        y.mul_(2).add_(z)
        return self.head(y)


class EditsItsInput(Model):
    def forward(self, x):
        x.mul_(2)
        return self.head(self.here(self.one(x)) + x)


class CallsAModuleManyTimes(Model):
    def forward(self, x):
        y = self.relu(self.one(self.relu(self.one(x))))
        return self.head(self.relu(self.one(self.relu(self.here(y)))) + y)


class AsksForShapes(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.two(y).reshape(y.shape[0], y.size(1))
        return self.head(self.here(z).view(len(y), -1))


class PassesThrough(Model):
    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, x):
        y = self.same(self.one(x))
        z = self.here(self.same(y))
        y += 1
        return self.head(z + y)


class LeavesTheSiteAside(Model):
    def forward(self, x):
        z = self.here(x)
        return self.head(self.two(self.one(x)) + z)


class ReturnsViews(Model):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()

    def forward(self, x):
        y = self.one(x)
        z = self.flat(y)
        self.in_place(z)
        return self.head(self.here(z) + y)


class MixesExamples(Model):
    def forward(self, x):
        y = self.one(x)
        return self.head(self.here(y) - self.two(y).mean(0, keepdim=True))


class HoldsAState(Model):
    def forward(self, x):
        self.seen = self.one(x)
        z = self.here(self.two(x))
        return self.head(z * self.seen)


class HasTimeFirst(Model):
    def forward(self, x):
        y = self.one(x.reshape(len(x), 2, 2).repeat(1, 1, 2).transpose(0, 1))
        return self.head(self.here(y).sum(0) * y[0])


class KeepsACache(Model):
    """What a call leaves outside of its result cannot be replayed."""

    class Writer(nn.Module):
        def forward(self, x, cache):
            cache.append(x * 2)
            return x

    class Cache(list):
        pass

    def __init__(self):
        super().__init__()
        self.writer = self.Writer()

    def forward(self, x):
        cache = self.Cache()
        y = self.writer(self.one(x), cache)
        return self.head(self.here(y) * cache[0])


class CountsItsCalls(Model):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * (1 + self.calls % 2)

    def __init__(self):
        super().__init__()
        self.counter = self.Counter()

    def forward(self, x):
        z = self.here(self.one(x))
        return self.head(self.counter(z))


EXACT = [
    EditsARecordedResult, EditsInsideARecordedCall, ReadsBeforeAnEdit, EditsAfterThePlace, EditsItsInput,
    CallsAModuleManyTimes, AsksForShapes, PassesThrough, LeavesTheSiteAside, HoldsAState, MixesExamples,
]  # fmt: skip
GIVEN_UP = [HasTimeFirst, KeepsACache]


def built(kind):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind().double().eval()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", [*EXACT, *GIVEN_UP, ReturnsViews], ids=lambda kind: kind.__name__)
def test_replay_is_exact_or_given_up(kind, side):
    model, x = built(kind), torch.randn(3, 4, dtype=torch.float64)
    at, recorded, plain = read(model, "here", x, side)
    if kind is not ReturnsViews and (kind, side) != (LeavesTheSiteAside, "input"):
        assert trusted(recorded) == (kind in EXACT)
    for factor in (1, 0.3, -2):
        values = tuple(value * factor for value in plain.values)
        expected = at(*values, map_tensors(torch.clone, plain.call))  # the model may edit its arguments
        assert torch.equal(at(*values, recorded.call), expected)
        if trusted(recorded):
            many = tuple(value.repeat(2, *[1] * (value.ndim - 1)) for value in values)
            found = at(*many, rows_of(recorded.call, [0, 1, 2, 0, 1, 2]))
            assert torch.allclose(found, expected.repeat(2, 1), atol=1e-12)


def test_a_model_whose_output_changes_from_call_to_call_is_not_trusted():
    model, x = built(CountsItsCalls), torch.randn(3, 4, dtype=torch.float64)
    assert not trusted(read(model, "here", x)[1])


@pytest.mark.parametrize("kind", [EditsARecordedResult, ReadsBeforeAnEdit])
def test_one_example_is_spread_over_many_rows(kind):
    model, x = built(kind), torch.randn(1, 4, dtype=torch.float64)
    at, recorded, plain = read(model, "here", x)
    (value,) = recorded.values
    many = value * torch.linspace(-1, 1, 6, dtype=torch.float64)[:, None]
    found = at(many, rows_of(recorded.call, [0] * 6))
    each = [at(row[None], plain.call) for row in many]
    assert torch.allclose(found, torch.cat(each), atol=1e-12)


def test_numbers_that_nothing_reads_are_not_held():
    it = CASES["resnet18"]()
    _, recorded, _ = read(it.model, "layer4", it.inputs)
    held = sum(kept.value.untyped_storage().nbytes() for kept in recorded.call.recording._everything)
    assert held < 1000  # the logits come from layer4 alone; of all else a shape is left


def test_numbers_that_are_read_again_are_held():
    it = CASES["resnet18"]()
    _, recorded, _ = read(it.model, "layer4.1.conv2", it.inputs)
    held = sum(kept.value.untyped_storage().nbytes() for kept in recorded.call.recording._everything)
    skipped = it.model.layer4[0](torch.zeros(2, 256, 2, 2, dtype=torch.float64))
    assert held >= skipped.numel() * 8  # the branch around the convolution


def test_arguments_by_keyword_and_shared_ones():
    class Keywords(Model):
        def forward(self, x, *, scale, names=("a",)):
            return self.head(self.here(self.one(x)) * scale) * len(names)

    model, x, scale = built(Keywords), torch.randn(3, 4, dtype=torch.float64), torch.rand(3, 1, dtype=torch.float64)
    at = AtSites(model, find_places(model, "here"))
    call = Call((x,), {"scale": scale, "names": ("a", "b")})
    recorded = at.read(call, replay=True)
    assert trusted(recorded)
    found = at(recorded.values[0][[2, 2]], rows_of(recorded.call, [2, 2]))
    assert torch.allclose(found, model(x, scale=scale, names="ab")[[2, 2]], atol=1e-12)


@pytest.mark.parametrize("kind", EXACT, ids=lambda kind: kind.__name__)
def test_nothing_is_left_behind(kind):
    model, x = built(kind), torch.randn(3, 4, dtype=torch.float64)
    if kind is HoldsAState:
        model(x)  # its own attribute, which a guard gives back
        del model.seen
    with audit(None if kind is HoldsAState else model, x):
        at, recorded, _ = read(model, "here", x)
        at(*recorded.values, recorded.call)
    check_growth(lambda: read(model, "here", x))


def test_the_models_own_exceptions_pass():
    class Fails(Model):
        def forward(self, x):
            z = self.here(self.one(x))
            if z.sum() > 0:
                raise ZeroDivisionError("mine")
            return self.head(z)

    model, x = built(Fails), torch.randn(3, 4, dtype=torch.float64)
    at = AtSites(model, find_places(model, "here"))
    with pytest.raises(ZeroDivisionError, match="mine"):
        at.read(Call((x * 1000,)), replay=True) and at.read(Call((-x * 1000,)), replay=True)


def test_a_function_is_run_whole():
    model = built(Model)
    function = lambda x: model.head(model.here(model.one(x)))  # noqa: E731
    at = AtSites(function, find_places(function, model.here))
    recorded = at.read(Call((torch.randn(3, 4, dtype=torch.float64),)), replay=True)
    assert not trusted(recorded)


def test_a_tiny_difference_of_a_tiny_output_counts():
    class Tiny(CountsItsCalls):
        def forward(self, x):
            return super().forward(x) * 1e-9

    assert not trusted(read(built(Tiny), "here", torch.randn(3, 4, dtype=torch.float64))[1])


def test_two_places_are_recorded_up_to_the_first():
    it = CASES["two_inputs"]()
    at, recorded, plain = read(it.model, ["linear", "conv"], it.tensors)
    values = tuple(value * 0.5 for value in recorded.values)
    assert torch.equal(at(*values, recorded.call), at(*values, plain.call))
