"""Every fault is caught by the check that is there for it; a sound method passes all checks."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import torch

from pnpxai.declare.declared import Choice, Declared, Range
from pnpxai.errors import ArgumentError
from pnpxai.testing import answers, declarations, lending, randomness, results
from pnpxai.testing.contracts import EXPLAINER_CHECKS
from pnpxai.testing.zoo import skip_cnn
from tests.declare.toys import Filling
from tests.testing import faults as f

RANDOM = {"stochastic": True}

FAULTS = [
    (f.leaves_a_hook, lending.check_nothing_left, "head._forward_hooks: was"),
    (f.leaves_a_hook_after_a_failure, lending.check_nothing_left_after_failure, "head._forward_hooks: was"),
    (f.leaves_an_attribute, lending.check_nothing_left, "head.activations: new"),
    (f.leaves_train_mode, lending.check_nothing_left, "bn1: was False, is True"),
    (f.leaves_eval_mode, lending.check_nothing_left, "was True, is False"),
    (f.runs_in_the_mode_it_finds, lending.check_nothing_left, "nothing left: in train mode the result is another one"),
    (f.changes_a_buffer, lending.check_nothing_left, "bn2.running_mean: was"),
    (f.changes_a_parameter, lending.check_nothing_left, "head.weight: was"),
    (f.leaves_gradients, lending.check_nothing_left, "weight: was"),
    (f.leaves_requires_grad, lending.check_nothing_left, "tensor 0: was False, is True"),
    (f.leaves_parameters_frozen, lending.check_nothing_left, "was True, is False"),
    (f.leaves_grad_mode_off, lending.check_nothing_left, "grad mode: was True, is False"),
    (f.edits_the_input, lending.check_nothing_left, "tensor 0: was tensor"),
    (f.hands_the_callers_tensor_to_the_model, lending.check_model_that_edits_its_input, "tensor 0: was tensor"),
    (f.normalises_over_the_batch, results.check_alone_as_in_a_batch, "alone as in a batch: example 0: off by"),
    (f.depends_on_its_place_in_the_batch, results.check_alone_as_in_a_batch, "alone as in a batch: example 1: off by"),
    (f.draws_once_for_the_batch, results.check_alone_as_in_a_batch, "alone as in a batch: .*off by"),
    (f.draws_from_the_global_state, randomness.check_global_state, "torch: was tensor"),
    (f.seeds_the_global_state, randomness.check_global_state, "torch: was tensor"),
    (f.draws_from_the_global_state, randomness.check_same_seed, "same seed: a second call gives another result"),
    (f.draws_without_a_seed, randomness.check_same_seed, "same seed: a second call gives another result"),
    (f.ignores_the_seed, randomness.check_other_seed, "other seed: it changes nothing"),
    (f.draws_though_it_says_not, randomness.check_other_seed, "other seed: it changes the result, though"),
    (f.forces_float32, results.check_detached, "dtype: expected torch.float64, got torch.float32"),
    (f.forces_float32, results.check_dtypes, "dtype: expected torch.bfloat16, got torch.float32"),
    (f.crashes_in_half_precision, results.check_dtypes, "dtype: torch.bfloat16: "),
    (f.keeps_the_graph, results.check_detached, "detached: a result requires a gradient"),
    (f.returns_the_callers_memory, results.check_detached, "detached: a result shares the caller's memory"),
    (f.returns_an_expanded_map, results.check_detached, "detached: a result's elements share memory"),
    (f.returns_another_shape, results.check_form, r"form: expected a map of shape \(3, 2, 8, 8\), got \(3, 128\)"),
    (f.returns_a_constant, results.check_says_something, "says something: the map of example 0 is constant"),
    (f.ignores_the_target, results.check_says_something, "says something: the map of example . does not depend on the"),
    (f.ignores_the_input, results.check_says_something, "says something: examples 0 and 1 have the same map"),
    (f.explains_nan, results.check_non_finite_inputs, "non-finite inputs: nan was explained instead of refused"),
    (f.needs_gradients_switched_on, results.check_caller_modes, "caller's modes: under no_grad: RuntimeError"),
    (f.needs_contiguous_inputs, results.check_layouts, "layouts: non-contiguous inputs: RuntimeError"),
    (
        f.needs_parameters_that_require_gradients,
        results.check_frozen_parameters,
        "frozen parameters: run: RuntimeError",
    ),
    (f.takes_lists_of_targets_only, results.check_target_forms, "target forms: Tensor: AssertionError"),
    (
        f.wraps_the_models_exception,
        lending.check_nothing_left_after_failure,
        "failure: .*planted.* came out as RuntimeError",
    ),
    (
        f.swallows_an_interrupt,
        lending.check_nothing_left_after_failure,
        "failure: KeyboardInterrupt.* came out as None",
    ),
    (f.takes_no_lock, lending.check_threads, "threads: a thread got another result than alone|conv1._forward_hooks"),
    (f.warns, lending.check_no_warning, "no warning: UserWarning: input requires grad"),
    (f.caches_without_end, lending.check_nothing_grows, "4 calls left 4 more tensors alive"),
]
STOCHASTIC = (f.ignores_the_seed, f.draws_once_for_the_batch, f.draws_without_a_seed, f.draws_from_the_global_state)


@pytest.fixture(autouse=True)
def _undo():
    yield
    f.CACHE.clear()
    torch.set_grad_enabled(True)


@pytest.mark.parametrize("check", EXPLAINER_CHECKS, ids=lambda check: check.__name__)
def test_the_sound_method_passes(check):
    check(f.subject(f.sound), skip_cnn())


@pytest.mark.parametrize(("fault", "check", "message"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_fault_is_caught(fault, check, message):
    with pytest.raises(AssertionError, match=message):
        check(f.subject(fault, stochastic=fault in STOCHASTIC), skip_cnn())


@pytest.mark.parametrize("claimed", [1, 2], ids=["too little", "too much"])
def test_a_wrong_cost_is_caught(claimed):
    case = skip_cnn()
    with pytest.raises(AssertionError, match=f"cost: {claimed * 3 - 2} rows claimed, 3 run"):
        lending.check_cost(f.subject(f.sound, cost=lambda model, x: claimed * len(x) - 2), case)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (f.flips_the_sign, "linear model: expected"),
        (f.detaches_a_branch, "linear model: expected"),
        (f.gives_something_to_what_is_ignored, "linear model: expected"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_answer_is_caught(fault, message):
    answers.check_linear(f.subject(f.sound), lambda weights, inputs: weights)
    with pytest.raises(AssertionError, match=message):
        answers.check_linear(f.subject(fault), lambda weights, inputs: weights)


def test_attributions_to_ignored_features_are_caught():
    answers.check_ignored_features(f.subject(f.sound))
    with pytest.raises(AssertionError, match="ignored features: .* went to features that do nothing"):
        answers.check_ignored_features(f.subject(f.gives_something_to_what_is_ignored))


class Outside(Declared):
    count: Annotated[int, Range(10, 100)] = 5


class OffGrid(Declared):
    count: Annotated[float, Range(0.05, 0.95, step=0.05)] = 0.12


class NoChoice(Declared):
    mode: Annotated[str, Choice("a", "b")] = "c"


class NoStrategy(Declared):
    filling: Annotated[Filling, Choice()] = "plain"

    @classmethod
    def get_tunables(cls, traits=None):
        return {"filling": (Filling, {"choices": ["spread"]})}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Outside, "default: Outside.count = 5 is not from 10 to 100"),
        (OffGrid, "default: OffGrid.count = 0.12 is not on the grid of 0.05 in steps of 0.05"),
        (NoChoice, "default: NoChoice.mode = 'c' is none of"),
        (NoStrategy, "default: NoStrategy.filling = 'plain' is none of"),
    ],
)
def test_a_default_outside_its_search_space_is_caught(declared, message):
    with pytest.raises(AssertionError, match=message):
        declarations.check_defaults(declared)


class Loses(Declared):
    count: Annotated[int, Range(1, 9)] = 2

    def to_dict(self):
        return {"type": super().to_dict()["type"]}


class Forgets(Declared):
    count: Annotated[int, Range(1, 9)] = 2

    def __getstate__(self):
        return {"count": 2}


class Careless(Declared):
    count: Annotated[int, Range(1, 9)] = 2

    def __eq__(self, other):
        return type(self) is type(other)

    __hash__ = Declared.__hash__


class Resets(Declared):
    count: Annotated[int, Range(1, 9)] = 2

    def replace(self, **changes):
        return type(self)(**({"count": 3} | changes))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Loses(count=3), r"round trip: through JSON, Loses\(count=3\) became Loses\(count=2\)"),
        (Loses(), r"round trip: through JSON, Loses\(count=9\) became"),
        (Forgets(count=3), r"round trip: through copy, Forgets\(count=3\) became"),
        (Careless(), "round trip: .* the hash|round trip: .*equals"),
        (Resets(), r"round trip: replace\(\) without changes changes something"),
    ],
)
def test_settings_that_are_lost_are_caught(made, message):
    with pytest.raises(AssertionError, match=message):
        declarations.check_round_trip(made)


def test_misspelt_settings_that_are_accepted_or_refused_in_other_words_are_caught():
    class Accepts(Declared):
        count: int = 2

    init = Accepts.__init__
    Accepts.__init__ = lambda self, count=2, **ignored: init(self, count)
    with pytest.raises(AssertionError, match="unknown setting: Accepts accepts 'count_'"):
        declarations.check_unknown_setting(Accepts)

    def refuses(self, count=2, **rest):
        raise ArgumentError("no")

    Accepts.__init__ = refuses
    with pytest.raises(AssertionError, match="unknown setting: 'count_' is refused with ArgumentError"):
        declarations.check_unknown_setting(Accepts)


def test_a_signature_that_hides_settings_is_caught():
    class Hides(Declared):
        first: int = 1
        second: int = 2

    declarations.check_signature(Hides, ["second"])
    with pytest.raises(AssertionError, match="signature: it does not end with first"):
        declarations.check_signature(Hides, ["first"])
    Hides.__signature__ = __import__("inspect").signature(lambda *args: None)
    with pytest.raises(AssertionError, match="signature: it is"):
        declarations.check_signature(Hides)


def test_names_that_are_taken_twice_are_caught():
    class Kind(Declared, abstract=True):
        name: Any = None

    class First(Kind):
        name = "one"

    class Second(Kind):
        name = "one"

    assert First is not Second
    with pytest.raises(AssertionError, match="unique names: .* is the name of"):
        declarations.check_unique_names(Kind, within="tests.")
