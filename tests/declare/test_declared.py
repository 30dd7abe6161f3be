"""One declaration gives signature, checks, tunables, copies and equality."""

from __future__ import annotations

import inspect
from typing import Annotated

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.declare.declared import Declared, Range
from pnpxai.errors import ArgumentError, SignatureError
from pnpxai.testing.declarations import check_defaults, check_round_trip, check_signature, check_unknown_setting
from pnpxai.traits import Traits
from tests.declare.toys import ByName, Filling, Plain, Spread, Toy, network

MODEL = network()


def test_the_signature_puts_required_then_own_then_common_fields():
    assert list(inspect.signature(Toy).parameters) == [
        "model", "rate", "steps", "scale", "mode", "filling", "sizes", "center", "function", "layer", "extra",
    ]  # fmt: skip
    check_signature(Toy, ("layer", "extra"))


def test_fields_can_be_given_by_position():
    toy = Toy(MODEL, 0.25, 30)
    assert (toy.model, toy.rate, toy.steps) == (MODEL, 0.25, 30)


def test_fields_of_a_keyword_only_base_cannot_be_given_by_position():
    assert ByName(1, second=3).second == 3
    with pytest.raises(SignatureError):
        ByName(1, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": "20"}, r"Toy: steps: expected a whole number >= 1, got '20' \(str\)"),
        ({"steps": True}, r"Toy: steps: expected a whole number >= 1, got True \(bool\)"),
        ({"steps": 2.0}, r"steps: expected a whole number >= 1, got 2.0 \(float\)"),
        ({"steps": 0}, r"steps: expected a whole number >= 1, got 0 \(int\)"),
        ({"rate": 2.0}, r"rate: expected a number > 0 and <= 1, got 2.0"),
        ({"rate": float("nan")}, r"rate: expected a number > 0 and <= 1, got nan"),
        ({"mode": "c"}, r"mode: expected one of 'a', 'b', got 'c'"),
        ({"filling": "plane"}, r"Filling: no filling 'plane'; did you mean 'plain'\?"),
        ({"filling": 3}, r"filling: expected Filling, got 3"),
        ({"sizes": 3}, r"sizes: expected a tuple, got 3"),
        ({"extra": "x"}, r"extra: expected a whole number or None, got 'x'"),
        ({"rate": 1.0, "steps": 100}, r"Toy: rate and steps: at most one at its end"),
    ],
)
def test_wrong_values_are_refused_in_plain_words(given, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        Toy(MODEL, **given)
    assert "pydantic" not in str(caught.value)
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((MODEL,), {"step": 20}, "Toy: no setting 'step'; did you mean 'steps'?"),
        ((MODEL, 0.5), {"rate": 0.5}, "Toy: 'rate' was given twice, by position and by name"),
        ((), {}, "Toy: 'model' is required"),
        ((MODEL, *range(20)), {}, "Toy: too many positional arguments; its signature is"),
    ],
)
def test_wrong_calls_are_type_errors_too(args, kwargs, message):
    with pytest.raises(SignatureError, match=message.replace("?", r"\?")) as caught:
        Toy(*args, **kwargs)
    assert isinstance(caught.value, TypeError)


def test_misspelt_settings_are_refused_with_the_right_name():
    check_unknown_setting(Toy, MODEL)


def test_numpy_numbers_are_numbers():
    toy = Toy(MODEL, rate=np.float32(0.5), steps=np.int64(30))
    assert (type(toy.rate), type(toy.steps)) == (float, int)


def test_a_whole_number_is_a_number():
    assert Toy(MODEL, rate=1).rate == 1


def test_nothing_can_be_changed_in_place():
    toy = Toy(MODEL)
    for name in ("rate", "unknown"):
        with pytest.raises(AttributeError, match=rf"Toy never changes: replace\({name}=...\) gives a new"):
            setattr(toy, name, 0.7)
    assert toy == Toy(MODEL)


def test_replace_changes_a_copy():
    toy = Toy(MODEL)
    other = toy.replace(steps=30)
    assert (toy.steps, other.steps) == (20, 30)
    assert other.model is MODEL
    with pytest.raises(SignatureError, match=r"Toy: no setting 'step'; did you mean 'steps'\?"):
        toy.replace(step=30)
    with pytest.raises(ArgumentError, match="steps"):
        toy.replace(steps=-1)


def test_a_strategy_is_chosen_by_name_or_as_an_object():
    assert Toy(MODEL, filling="spread").filling == Spread() == Toy(MODEL, filling=Spread()).filling
    assert type(Toy(MODEL).filling) is Plain


def test_tunables_are_what_was_declared():
    assert Toy.get_tunables() == {
        "rate": (float, {"low": 0, "high": 1, "step": 0.25}),
        "steps": (int, {"low": 10, "high": 100, "step": 10}),
        "scale": (float, {"low": 1e-6, "high": 1.0, "log": True}),
        "mode": (list, {"choices": ["a", "b"]}),
        "filling": (Filling, {"choices": ["plain", "spread"]}),
    }


def test_tunables_leave_out_what_does_not_suit_the_data():
    assert Toy.get_tunables(Traits.image())["filling"][1]["choices"] == ["plain", "spread"]
    assert Toy.get_tunables(Traits.table())["filling"][1]["choices"] == ["plain"]


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_no_limit_of_a_range_is_lost(low, high):
    assert Range(low, high).tunable(float) == (float, {"low": low, "high": high})


def test_a_default_outside_its_grid_is_noticed():
    class OffGrid(Declared):
        count: Annotated[int, Range(10, 100, step=10)] = 25

    with pytest.raises(AssertionError, match="default: OffGrid.count = 25 is not on the grid"):
        check_defaults(OffGrid)
    check_defaults(Toy)


def test_defaults_and_changes():
    assert Toy.defaults()["steps"] == 20
    assert "model" not in Toy.defaults()
    assert Toy(MODEL).settings(changed_only=True) == {}
    assert Toy(MODEL, steps=30).settings(changed_only=True) == {"steps": 30}


def test_equality_is_by_content():
    assert Toy(MODEL) == Toy(network())
    assert Toy(MODEL) != Toy(MODEL, steps=30)
    assert Toy(MODEL, center=torch.ones(2)) == Toy(MODEL, center=torch.ones(2))
    assert Toy(MODEL, center=torch.ones(2)) != Toy(MODEL, center=torch.zeros(2))
    assert Toy(MODEL, center=torch.ones(2)) != Toy(MODEL, center=torch.ones(2).double())
    assert Toy(MODEL) != Plain()
    assert Toy(MODEL) != "Toy"


def test_layers_are_equal_by_name():
    other = network()
    by_module = Toy(MODEL, layer=MODEL[0])
    assert by_module == Toy(other, layer=other[0]) == Toy(MODEL, layer="0")
    assert hash(by_module) == hash(Toy(MODEL, layer="0"))
    assert by_module != Toy(MODEL, layer=MODEL[1])


def test_repr_shows_what_is_searched_and_what_was_changed():
    assert repr(Spread()) == "Spread(width=3)"
    shown = repr(Toy(MODEL, layer=MODEL[0], sizes=(4,)))
    expected = "Toy(rate=0.5, steps=20, scale=0.001, mode='a', filling=Plain(), sizes=(4,), layer='0')"
    assert shown == expected
    assert Toy.searched() == ("rate", "steps", "scale", "mode", "filling")
    assert Toy(MODEL, layer=MODEL[0], sizes=(4,)).chosen() == Toy(MODEL).chosen()
    assert Toy(MODEL).chosen() == "Toy(rate=0.5, steps=20, scale=0.001, mode='a', filling=Plain())"


@given(
    rate=st.floats(0.01, 1),
    steps=st.integers(1, 99),
    mode=st.sampled_from("ab"),
    filling=st.one_of(st.just("plain"), st.builds(Spread, width=st.integers(1, 9))),
    sizes=st.lists(st.integers(), max_size=3).map(tuple),
    center=st.one_of(st.none(), st.lists(st.floats(-2, 2, width=32), max_size=3).map(torch.tensor)),
    layer=st.sampled_from([None, "0", MODEL[1]]),
)
def test_settings_come_back_from_json_copies_and_pickles(**settings):
    check_round_trip(Toy(MODEL, **settings), MODEL)


def test_a_field_without_a_mark_is_no_tunable():
    assert "sizes" not in Toy.get_tunables()


def test_an_abstract_class_is_not_found_by_from_dict():
    with pytest.raises(ArgumentError, match="from_dict: no class 'Method' is loaded"):
        Declared.from_dict({"type": "Method"})
