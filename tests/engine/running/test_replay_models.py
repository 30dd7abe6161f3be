"""Replay of models that edit, reuse, pass through, cache and count: exact, or given up."""

from __future__ import annotations

import pytest
import torch

from pnpxai.engine.running.site import AtSites, Call, find_places
from pnpxai.tensors import map_tensors
from pnpxai.testing.audit import audit, check_growth
from pnpxai.testing.zoo import CASES
from tests.engine.running.replay_models import (
    AsksForShapes,
    CallsAModuleManyTimes,
    CountsItsCalls,
    EditsAfterThePlace,
    EditsARecordedResult,
    EditsInsideARecordedCall,
    EditsItsInput,
    HasTimeFirst,
    HoldsAState,
    KeepsACache,
    LeavesTheSiteAside,
    MixesExamples,
    Model,
    PassesThrough,
    ReadsBeforeAnEdit,
    ReturnsViews,
)
from tests.engine.running.test_replay import SIDES, read, rows_of, trusted

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
