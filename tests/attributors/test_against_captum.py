"""What captum 0.9 gives in float64, this package gives: one table of models and forms of arguments."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.testing.zoo import CASES
from tests.attributors.rivals import Row, agree
from tests.on_demand import CAPTUM


class WithExtras(nn.Module):
    """Takes a value per example, a shared tensor and a word besides its input."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, per_example=None, shared=None, word=""):
        out = self.model(x)
        if per_example is not None:
            out = out * per_example.reshape(-1, 1)
        if shared is not None:
            out = out * shared
        return out * (1 + len(word))


class Volume(nn.Module):
    """Gives outputs (examples, 2, 2)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).reshape(-1, 2, 2)


class One(nn.Module):
    """Gives one output per example."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).square().sum(1)


def wrapped(wrapper):
    return lambda case: replace(case, model=wrapper(case.model))


def one_tuple(case):
    return replace(case, inputs=(case.inputs,))


G = torch.Generator().manual_seed(0)
ROWS = torch.rand(3, generator=G, dtype=torch.float64) + 0.5
SHARED = torch.tensor(1.7, dtype=torch.float64)  # captum repeats every tensor that has a dimension
TABLE, IMAGE = torch.randn(3, 6, generator=G, dtype=torch.float64), torch.randn(3, 2, 8, 8, generator=G).double()
PAIR = (torch.randn(3, 1, 6, 6, generator=G).double(), torch.randn(3, 4, generator=G).double())
WINDOWS = {
    "mlp": [{"sliding_window_shapes": (2,)}, {"sliding_window_shapes": (3,), "strides": 2}],
    "cnn": [
        {"sliding_window_shapes": (2, 3, 3), "strides": (2, 2, 3)},
        {"sliding_window_shapes": (1, 4, 2), "strides": 1},
        {"sliding_window_shapes": (2, 8, 8), "strides": (5, 9, 9)},
    ],
    "series": [{"sliding_window_shapes": (2, 5), "strides": (2, 3)}],
    "two_inputs": [
        {"sliding_window_shapes": ((1, 3, 3), (2,)), "strides": ((1, 2, 2), (1,))},
        {"sliding_window_shapes": ((1, 6, 6), (4,)), "strides": (3, 2)},
    ],
}
FIRST = {name: windows[0] for name, windows in WINDOWS.items()}

METHODS = [
    ("Saliency", {}),
    ("Saliency", {"abs": False}),
    ("InputXGradient", {}),
    ("IntegratedGradients", {"n_steps": 7}),
    ("Occlusion", None),
]
CASE_NAMES = ("mlp", "cnn", "skip_cnn", "series", "two_inputs", "vit")


def given(name, arguments, case):
    if arguments is not None:
        return arguments
    windows = FIRST | {"skip_cnn": FIRST["cnn"], "vit": {"sliding_window_shapes": (1, 3, 3), "strides": (1, 2, 2)}}
    return windows[case]


METHOD_ROWS = [Row(name, case, given(name, arguments, case)) for name, arguments in METHODS for case in CASE_NAMES]

TARGETS = [2, -1, [0, 3, 1], torch.tensor([0, 3, 1]), torch.tensor(2), torch.tensor([2]), (2,), [(0,), (3,), (1,)]]
DEEPER_TARGETS = [(1, 0), [(0, 1), (1, 1), (1, 0)]]
TARGET_ROWS = [
    *(Row(n, "mlp", given(n, a, "mlp") | {"target": t}) for n, a in METHODS[1:] for t in TARGETS),
    *(
        Row(n, "mlp", given(n, a, "mlp") | {"target": t}, change=wrapped(Volume), label="volume")
        for n, a in METHODS[1:]
        for t in DEEPER_TARGETS
    ),
    *(
        Row(n, "mlp", given(n, a, "mlp") | {"target": None}, change=wrapped(One), label="one output")
        for n, a in METHODS[1:]
    ),
]

BASELINES = [
    ("mlp", 0.3), ("mlp", 1), ("mlp", TABLE), ("mlp", TABLE[:1]), ("mlp", (TABLE,)),
    ("cnn", IMAGE), ("cnn", IMAGE[:1]), ("two_inputs", PAIR), ("two_inputs", (0, 0.5)),
    ("two_inputs", (PAIR[0][:1], 1.5)),
]  # fmt: skip
BASELINE_ROWS = [
    Row(name, case, given(name, arguments, case) | {"baselines": baselines})
    for name, arguments in (("IntegratedGradients", {"n_steps": 5}), ("Occlusion", None))
    for case, baselines in BASELINES
]

EXTRAS = [ROWS, (ROWS,), (ROWS, SHARED), (ROWS, SHARED, "word"), (None, SHARED), (ROWS.reshape(3, 1), None, "w")]
EXTRA_ROWS = [
    Row(n, "mlp", given(n, a, "mlp") | {"additional_forward_args": extra}, change=wrapped(WithExtras))
    for n, a in METHODS[1:]
    for extra in EXTRAS
]

QUADRATURES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"]
PATH_ROWS = [
    *(
        Row("IntegratedGradients", c, {"n_steps": n, "method": m})
        for c in ("mlp", "cnn")
        for m in QUADRATURES
        for n in (2, 9)
    ),
    *(Row("IntegratedGradients", "mlp", {"n_steps": 6, "internal_batch_size": size}) for size in (3, 7, 100)),
    Row("IntegratedGradients", "mlp", {"n_steps": 6, "return_convergence_delta": True, "method": "riemann_left"}),
    Row(
        "IntegratedGradients", "two_inputs", {"n_steps": 6, "return_convergence_delta": True, "method": "riemann_left"}
    ),
    Row("IntegratedGradients", "mlp", {"n_steps": 6}, made=lambda library, model: (model, False), label="no product"),
    Row("IntegratedGradients", "cnn", {}, label="defaults"),
]

OCCLUSION_ROWS = [
    *(Row("Occlusion", case, windows) for case, several in WINDOWS.items() for windows in several),
    *(Row("Occlusion", "cnn", FIRST["cnn"] | {"perturbations_per_eval": n}) for n in (1, 2, 5, 1000)),
    Row("Occlusion", "mlp", {"sliding_window_shapes": ((2,),), "strides": ((2,),)}, change=one_tuple, label="tuple"),
]

LAYERS = [
    ("cnn", "0"), ("cnn", "2"), ("cnn", "3"), ("cnn", "6"), ("skip_cnn", "stem.0"), ("skip_cnn", "conv2"),
    ("skip_cnn", "bn2"), ("skip_cnn", "head"), ("series", "conv1"), ("two_inputs", "conv"), ("vit", "patches"),
]  # fmt: skip
FORMS = [{}, {"attribute_to_layer_input": True}, {"relu_attributions": True}, {"attr_dim_summation": False}]


def at(layer):
    return lambda library, model: (model, model.get_submodule(layer))


CAM_ROWS = [Row("LayerGradCam", c, form, made=at(layer), label=layer) for c, layer in LAYERS for form in FORMS[:2]] + [
    Row("LayerGradCam", "cnn", form, made=at("0"), label="0") for form in FORMS[2:]
]

TUPLE_ROWS = [Row(n, "mlp", given(n, a, "mlp"), change=one_tuple, label="tuple") for n, a in METHODS]


@pytest.mark.parametrize(
    "row",
    [*METHOD_ROWS, *TARGET_ROWS, *BASELINE_ROWS, *EXTRA_ROWS, *PATH_ROWS, *OCCLUSION_ROWS, *CAM_ROWS, *TUPLE_ROWS],
    ids=str,
)
def test_same_numbers(row):
    agree(row)


@pytest.mark.parametrize("change", [lambda case: case, one_tuple], ids=["bare", "tuple"])
@pytest.mark.parametrize(("name", "arguments"), METHODS[1:], ids=lambda value: value if isinstance(value, str) else "")
def test_a_bare_tensor_gives_a_bare_one_and_a_tuple_a_tuple(name, arguments, change):
    case = change(CASES["mlp"]())
    given_arguments = {"target": 1} | given(name, arguments, "mlp")
    ours = getattr(pnpxai.attributors, name)(case.model).attribute(case.inputs, **given_arguments)
    assert type(ours) is type(case.inputs)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [5, (5, 7), (2, 2)], ids=str)
def test_interpolation_of_layer_maps(mode, size):
    maps = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0))
    ours = pnpxai.attributors.LayerAttribution.interpolate(maps, size, mode)
    assert torch.equal(ours, CAPTUM.LayerAttribution.interpolate(maps, size, mode))


@pytest.mark.parametrize(
    "name", ["Saliency", "InputXGradient", "IntegratedGradients", "Occlusion", "NoiseTunnel", "LayerGradCam", "LRP"]
)
def test_public_facts_are_captums(name):
    case = CASES["cnn"]()
    made = []
    for library in (pnpxai.attributors, CAPTUM):
        first = library.Saliency(case.model) if name == "NoiseTunnel" else case.model
        more = (case.model[0],) if name == "LayerGradCam" else ()
        made.append(getattr(library, name)(first, *more))
    ours, theirs = made
    assert ours.multiplies_by_inputs == theirs.multiplies_by_inputs
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()
    with pytest.raises(NotImplementedError, match=f"{name} has no attribute_future"):
        ours.attribute_future()
