"""Windows that slide over inputs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.attributors import Occlusion
from pnpxai.errors import ArgumentError
from pnpxai.testing.answers import check_ignored_features, check_linear
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES


def _covering(weights, inputs):
    """Return the mean, over the windows of three that cover a feature, of what they hold."""
    shares = (weights * inputs).unfold(1, 3, 1).sum(2)  # (examples, 4)
    total, count = torch.zeros_like(inputs), torch.zeros(6)
    for start in range(4):
        total[:, start : start + 3] += shares[:, start : start + 1]
        count[start : start + 3] += 1
    return total / count


def test_of_a_linear_model():
    single = Subject.of_attributor(Occlusion, sliding_window_shapes=(1,))
    check_linear(single, lambda weights, inputs: weights * inputs)
    check_ignored_features(single)
    check_linear(
        Subject.of_attributor(Occlusion, sliding_window_shapes=(1,), baselines=0.5),
        lambda weights, inputs: weights * (inputs - 0.5),
    )
    check_linear(Subject.of_attributor(Occlusion, sliding_window_shapes=(3,)), _covering)


def _oracle(model, x, window, stride, target):
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    whole = model(x)[:, target]
    starts = [range(0, max(side - w, 0) + s, s) for side, w, s in zip(x.shape[1:], window, stride, strict=True)]
    for a in starts[0]:
        for b in starts[1]:
            for c in starts[2]:
                box = (slice(None), slice(a, a + window[0]), slice(b, b + window[1]), slice(c, c + window[2]))
                covered = x.clone()
                covered[box] = 0
                total[box] += (whole - model(covered)[:, target])[:, None, None, None]
                count[box] += 1
    return total / count


@given(st.tuples(st.integers(1, 2), st.integers(2, 8), st.integers(2, 8)), st.data())
def test_it_is_the_plain_loop_over_windows(window, data):
    case = CASES["cnn"]()
    stride = tuple(data.draw(st.integers(1, side)) for side in window)
    with torch.no_grad():
        expected = _oracle(case.model, case.inputs[:2], window, stride, 1)
    found = Occlusion(case.model).attribute(case.inputs[:2], window, stride, target=1)
    assert torch.allclose(found, expected, atol=1e-10)


def test_a_planted_patch_is_found():
    x = torch.rand(2, 1, 8, 8) + 1
    found = Occlusion(lambda x: x[:, 0, 2:4, 4:6].sum((1, 2))).attribute(x, (1, 2, 2), (1, 2, 2))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:4, 4:6] = True
    assert not found[:, 0, ~inside].any()
    assert torch.allclose(found[:, 0, 2:4, 4:6], x[:, 0, 2:4, 4:6].sum((1, 2), keepdim=True).expand(2, 2, 2))


@pytest.mark.parametrize("at_a_time", [1, 2, 7, 1000])
def test_the_size_of_a_pass_does_not_change_the_result(at_a_time):
    case = CASES["cnn"]()
    given_arguments = {"sliding_window_shapes": (2, 3, 3), "strides": (2, 2, 2), "target": case.targets}
    found = Occlusion(case.model).attribute(case.inputs, **given_arguments, perturbations_per_eval=at_a_time)
    assert torch.allclose(found, Occlusion(case.model).attribute(case.inputs, **given_arguments), atol=1e-12)


def test_ids_may_be_occluded():
    case = CASES["tokens"]()
    found = Occlusion(case.model).attribute(case.inputs, (1,), target=1, baselines=3)
    other = case.inputs.clone()
    other[:, 2] = 3
    expected = case.model(case.inputs)[:, 1] - case.model(other)[:, 1]
    assert torch.allclose(found[:, 2], expected.detach())


def test_cost():
    case = CASES["two_inputs"]()
    settings = {"sliding_window_shapes": ((1, 3, 3), (2,)), "strides": ((1, 3, 3), (2,))}
    with counted(case.model) as counter:
        Occlusion(case.model).attribute(case.inputs, **settings, target=1)
    assert counter.rows == Occlusion(case.model).cost(case.inputs, **settings) == 3 * (1 + 4 + 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"sliding_window_shapes": (2, 9, 2)},
            r"sliding_window_shapes: expected sizes from 1 to \(2, 8, 8\), got \(2, 9, 2\)",
        ),
        ({"sliding_window_shapes": (0, 2, 2)}, r"expected sizes from 1 to \(2, 8, 8\), got \(0, 2, 2\)"),
        (
            {"sliding_window_shapes": (2, 2)},
            r"expected 3 numbers for an input of shape \(2, 8, 8\) per example, got \(2, 2\)",
        ),
        ({"sliding_window_shapes": 3}, "sliding_window_shapes: expected a tuple, got 3"),
        ({"sliding_window_shapes": (2, 2.5, 2)}, r"expected a whole number >= 0, got 2.5"),
        ({"sliding_window_shapes": ((2, 2, 2), (2,))}, "expected one for each of 1 inputs, got 2 and 1"),
        ({"strides": (2, 3, 2)}, r"strides: expected steps from 1 to the window \(2, 2, 2\) .*, got \(2, 3, 2\)"),
        ({"strides": 0}, r"strides: expected steps from 1 to the window .*got \(0, 0, 0\)"),
        ({"strides": 1.5}, "expected a whole number"),
        ({"perturbations_per_eval": 0}, "perturbations_per_eval: expected a whole number >= 1, got 0"),
        ({"baselines": torch.zeros(3, 2, 8)}, r"baselines: expected shape \(3, 2, 8, 8\)"),
        ({"target": 4}, "expected an index from 0 to 3"),
    ],
)
def test_wrong_calls_are_refused(arguments, message):
    case = CASES["cnn"]()
    given_arguments = {"sliding_window_shapes": (2, 2, 2), "target": 1} | arguments
    with pytest.raises(ArgumentError, match=message):
        Occlusion(case.model).attribute(case.inputs, **given_arguments)


def test_one_value_for_a_whole_batch_gives_one_row():
    case = CASES["mlp"]()
    found = Occlusion(lambda x: case.model(x)[:, 1].sum()).attribute(case.inputs, (2,))
    each = Occlusion(case.model).attribute(case.inputs, (2,), target=1)
    assert torch.allclose(found, each.sum(0, keepdim=True), atol=1e-12)


def test_progress_is_shown_on_request(capsys):
    case = CASES["mlp"]()
    Occlusion(case.model).attribute(case.inputs, (2,), target=1, show_progress=True)
    assert "windows" in capsys.readouterr().err
