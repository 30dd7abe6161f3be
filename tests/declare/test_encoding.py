"""Settings go to JSON and back; what cannot go is refused by the name of its field; nothing is executed."""

from __future__ import annotations

import json
import sys
import types

import pytest
import torch

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import labels, rounded_text, unlabelled
from pnpxai.errors import ArgumentError, SignatureError
from pnpxai.strategies.baselines import Baseline, GaussianBlur
from pnpxai.strategies.drawn_baselines import Background
from tests.declare.toys import Spread, Toy, at_top_level, network

MODEL = network()


def _through_json(value, model=None):
    return type(value).from_dict(json.loads(json.dumps(value.to_dict())), model)


def test_json_names_the_type():
    assert GaussianBlur(sigma_x=1.0).to_dict()["type"] == "GaussianBlur"
    assert Spread().to_dict() == {"type": "tests.declare.toys:Spread", "width": 3}


def test_nested_strategies_tensors_layers_and_functions_come_back():
    toy = Toy(
        MODEL, filling=Spread(width=5), center=torch.tensor([1.5, -2]).double(), layer=MODEL[0], function=at_top_level
    )
    back = _through_json(toy, MODEL)
    assert back == toy
    assert back.filling.width == 5
    assert back.center.dtype == torch.float64
    assert back.layer is MODEL[0]
    assert back.function is at_top_level


def test_a_layer_is_that_of_the_new_model():
    other = network()
    assert _through_json(Toy(MODEL, layer=MODEL[0]), other).layer is other[0]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.sigmoid, "torch:sigmoid"),
        (torch.nn.functional.gelu, "torch.nn.functional:gelu"),
        (torch.nn.functional.relu, "torch.nn.functional:relu"),
        (torch.special.expit, "torch.special:expit"),
    ],
)
def test_functions_built_into_torch_have_their_public_names(function, name):
    toy = Toy(MODEL, function=function)
    assert toy.to_dict()["function"] == {"callable": name}
    assert _through_json(toy, MODEL).function is function


@pytest.mark.parametrize("where", ["os:system", "posix:system", "builtins:eval", "subprocess:run", "sys:modules"])
def test_json_names_nothing_of_python_itself(where):
    with pytest.raises(ArgumentError, match="names no function that is loaded"):
        Toy.from_dict({"type": "tests.declare.toys:Toy", "function": {"callable": where}}, MODEL)


@pytest.mark.parametrize(
    "where", ["pnpxai.declare.encoding:sys.exit", "pnpxai.declare.encoding:functools.reduce", "pnpxai:__version__"]
)
def test_json_names_functions_by_where_they_are_defined(where):
    with pytest.raises(ArgumentError, match="names no function that is loaded"):
        Toy.from_dict({"type": "tests.declare.toys:Toy", "function": {"callable": where}}, MODEL)


def test_long_tensors_are_shown_by_their_shape():
    shown = repr(Toy(MODEL, center=torch.arange(50.0).reshape(5, 10)))
    assert "center=tensor (5, 10) of 0, ..., 49" in shown


def test_functions_without_a_name_are_refused():
    with pytest.raises(ArgumentError, match="to_dict: function: .*use a function defined at the top of a module"):
        Toy(MODEL, function=lambda value: value).to_dict()


def test_layers_of_another_model_are_refused():
    with pytest.raises(ArgumentError, match="to_dict: layer: this ReLU is no layer of the explainer's model"):
        Toy(MODEL, layer=torch.nn.ReLU()).to_dict()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "tests.declare.toys:Toy", "layer": {"layer": "9"}}, "from_dict: layer: the model has no layer '9'"),
        (
            {"type": "tests.declare.toys:Toy", "function": {"callable": "os:no"}},
            "'os:no' names no function that is loaded",
        ),
        ({"type": "tests.declare.toys:Toy", "function": {"callable": "unheard:of"}}, "import its module first"),
        ({"type": "tests.declare.toys:Toys"}, "expected settings of Toy, got those of 'tests.declare.toys:Toys'"),
    ],
)
def test_what_cannot_be_read_is_refused(data, message):
    with pytest.raises(ArgumentError, match=message):
        Toy.from_dict(data, MODEL)


def test_an_unknown_setting_in_json_is_refused():
    with pytest.raises(SignatureError, match=r"GaussianBlur: no setting 'sigma'; did you mean 'sigma_"):
        GaussianBlur.from_dict({"type": "GaussianBlur", "sigma": 1.0})


def test_an_abstract_kind_reads_any_of_its_own():
    data = GaussianBlur(sigma_x=1.0).to_dict()
    assert Baseline.from_dict(data) == Declared.from_dict(data) == GaussianBlur(sigma_x=1.0)
    with pytest.raises(ArgumentError, match=r"no class 'GausianBlur' is loaded; did you mean 'GaussianBlur'\?"):
        Baseline.from_dict({"type": "GausianBlur"})


def test_reading_imports_nothing():
    assert "this" not in sys.modules
    with pytest.raises(ArgumentError):
        Toy.from_dict({"type": "tests.declare.toys:Toy", "function": {"callable": "this:s"}}, MODEL)
    assert "this" not in sys.modules


def test_a_module_that_imports_what_it_is_asked_for_is_not_asked(monkeypatch):
    lazy, asked = types.ModuleType("lazily"), []
    lazy.__getattr__ = asked.append
    monkeypatch.setitem(sys.modules, "lazily", lazy)
    for where in ("lazily:anything", "lazily:Class.method", "torch:_dynamo.config", "pnpxai:write_report"):
        with pytest.raises(ArgumentError, match="names no function that is loaded"):
            Toy.from_dict({"type": "tests.declare.toys:Toy", "function": {"callable": where}}, MODEL)
    assert asked == []


@pytest.mark.parametrize("dtype", ["load", "onnx", "float33", None])
def test_a_dtype_is_one_of_torch(dtype):
    with pytest.raises(ArgumentError, match=f"from_dict: examples: {dtype!r} is no dtype of torch"):
        Background.from_dict({"type": "Background", "examples": {"tensor": [[1.0]], "dtype": dtype}})


def test_labels_are_names_with_what_differs():
    assert labels([Spread(), Spread(width=5), GaussianBlur()]) == [
        "Spread (width=3)",
        "Spread (width=5)",
        "GaussianBlur",
    ]
    assert labels([Spread(), Spread()]) == ["Spread", "Spread"]
    assert [unlabelled(label) for label in labels([Spread(), Spread(width=5)])] == ["Spread", "Spread"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.30000001192092896, "0.3"),
        (-2.1179039301310043, "-2.1179"),
        (2.6399999999999997, "2.64"),
        (1.0000000013e-10, "1e-10"),
        ((0.1 + 0.2, 1, None), "(0.3, 1, None)"),
        (
            GaussianBlur(sigma_x=0.30000001192092896, sigma_y=2.5),
            "GaussianBlur(kernel_size_x=3, kernel_size_y=3, sigma_x=0.3, sigma_y=2.5)",
        ),
        (MODEL[0], "'0'"),
        (1234.5, "1234.5"),
    ],
)
def test_a_sentence_tells_numbers_in_short(value, expected):
    assert rounded_text(value, Toy(MODEL)) == expected
