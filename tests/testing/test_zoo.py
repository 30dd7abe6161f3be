"""The zoo is calibrated: on its models a check of a law is able to fail."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.engine.running.score import select_output
from pnpxai.testing import zoo
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.audit import audit
from pnpxai.testing.nets import SkipNet
from pnpxai.testing.zoo import CASES, LEAST_DIFFERENCE, LEAST_SCORE, calibrated
from pnpxai.traits import Traits

every_case = pytest.mark.parametrize("name", ARCHITECTURES)


def _outputs(case):
    with torch.no_grad():
        return select_output(case.model(*case.tensors))


@every_case
def test_outputs_differ_from_zero_between_inputs_and_between_targets(name):
    case = ARCHITECTURES[name]()
    outputs = _outputs(case)
    assert outputs.shape == (len(case), case.outputs)
    assert outputs.dtype == torch.float64
    assert outputs.abs().min() > LEAST_SCORE
    for k in range(len(case)):
        assert outputs[k].sort()[0].diff().min() > LEAST_SCORE
        for other in range(k):
            assert (outputs[k] - outputs[other]).abs().min() > LEAST_DIFFERENCE


@every_case
def test_nothing_is_as_it_was_freshly_built(name):
    case = ARCHITECTURES[name]()
    assert not any(module.training for module in case.model.modules())
    for module in case.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean.abs().min() > 0
            assert (module.running_var - 1).abs().max() > 0.1
            assert (module.weight - 1).abs().max() > 0.1
    for parameter_name, parameter in case.model.named_parameters():
        assert parameter.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", ["mlp", "skip_cnn", "tokens", "two_inputs"])
def test_a_case_is_fixed_by_its_seed_and_uses_no_global_state(name):
    make = getattr(zoo, name)
    with audit():
        one, same, other = make(seed=0), make(seed=0), make(seed=1)
    assert torch.equal(_outputs(one), _outputs(same))
    assert not torch.allclose(_outputs(one), _outputs(other))
    assert len(make(examples=5)) == 5


@every_case
def test_targets_and_other_targets_differ(name):
    case = ARCHITECTURES[name]()
    assert all(0 <= t < case.outputs for t in case.targets + case.other_targets)
    assert all(a != b for a, b in zip(case.targets, case.other_targets, strict=True))


def test_a_case_is_copied_cut_and_cast():
    case = CASES["skip_cnn"]()
    copied = case.copy()
    copied.model.head.weight.data.zero_()
    copied.inputs.zero_()
    assert case.model.head.weight.abs().max() > 0
    assert case.inputs.abs().max() > 0
    part = case.take(slice(1, 3))
    assert torch.equal(part.inputs, case.inputs[1:3])
    assert part.targets == case.targets[1:3]
    half = case.to(torch.bfloat16)
    assert half.inputs.dtype == next(half.model.parameters()).dtype == torch.bfloat16
    assert next(case.model.parameters()).dtype == torch.float64
    assert CASES["tokens"]().to(torch.float32).inputs.dtype == torch.int64


def test_a_model_without_an_answer_cannot_be_calibrated():
    class Constant(SkipNet):
        def forward(self, x):
            return self.head(torch.ones(len(x), 6, dtype=x.dtype))

    with pytest.raises(ValueError, match="constant: only 1 of 192 inputs can be told apart|constant: only 0"):
        calibrated("constant", Constant, zoo.drawn(2, 8, 8), Traits.image())
