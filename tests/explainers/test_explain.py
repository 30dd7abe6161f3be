"""``explain``: the scale of a gap, more steps where a path misses its sum, and no map where there is none."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from pnpxai.attributors.base import Attributor, Outcome, prepared
from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.testing.subject import counted


class Steep(nn.Module):
    """A step between 0 and the inputs that few points of a path hit; with several outputs."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        rise = torch.sigmoid(self.slope * (x.sum(1, keepdim=True) - 0.3)) - torch.sigmoid(
            torch.tensor(-0.3 * self.slope)
        )
        return torch.cat([rise, 0 * rise], 1)


X = torch.tensor([[0.5, 0.5], [0.1, 0.1], [0.7, 0.9]], dtype=torch.float64)


def test_more_steps_are_taken_where_a_path_misses_its_sum_and_their_number_is_told():
    model = Steep(60.0).double()
    few = IntegratedGradients(model, n_steps=5)
    explanation = few.explain(X, 0)
    used = explanation.used["n_steps"].tolist()
    assert set(used) <= {5, 20, 80, 320}
    assert max(used) > 5
    assert explanation.settings["n_steps"] == 5
    assert float((explanation.gap.abs() / explanation.scale).max()) <= 0.01
    for k, n in enumerate(used):
        alone = few.explain(X[k : k + 1], 0)
        assert torch.allclose(alone.attributions[0], few.replace(n_steps=n).attribute(X[k : k + 1], 0), atol=1e-12)
        assert torch.allclose(explanation.attributions[0][k : k + 1], alone.attributions[0], atol=1e-12)
    assert str(explanation).splitlines()[0].startswith("IntegratedGradients(n_steps=5")
    assert f"n_steps       {', '.join(map(str, used))}" in str(explanation)
    assert not explanation.warnings


def test_attribute_takes_the_number_of_steps_it_is_given():
    model = Steep(60.0).double()
    with counted(model) as counter:
        IntegratedGradients(model, n_steps=5).attribute(X, 0)
    assert counter.rows == 5 * len(X)


def test_where_steps_do_not_help_the_first_line_says_which_examples_miss():
    explanation = IntegratedGradients(Steep(1e4).double(), n_steps=20).explain(X, 0)
    assert explanation.used["n_steps"].max() == 320
    first, *rest = str(explanation).splitlines()
    assert re.fullmatch(
        r"gap: examples? [02](, 2)? of 3 miss what IntegratedGradients should add up to by more than 1% of the score's "
        r"scale \(at most [\d.]+\)",
        first,
    )
    assert rest[0].startswith("IntegratedGradients(n_steps=20")
    assert any("a larger n_steps (here 320) narrows it" in told for told in explanation.warnings)
    assert "gap: " not in str(explanation[1]).splitlines()[0]  # of one that does not miss


class _Off(Attributor):
    """Attributions that miss their sum by a multiple of the score in some examples."""

    _has_convergence_delta = True

    def __init__(self, forward_func, factors):
        super().__init__(forward_func)
        self.factors = torch.tensor(factors, dtype=torch.float64)

    def attribute(self, inputs, **arguments):
        return self.attribute_detailed(inputs, **arguments).attributions

    def attribute_detailed(self, inputs, target=None, additional_forward_args=None):
        score = prepared(self.forward_func, inputs, target, None)[1](inputs)
        off = self.factors * score
        share = ((score + off) / inputs[0].shape[1])[:, None].expand_as(inputs[0])
        return Outcome((share,), gap=off)


def off_by(*factors):
    class Off(Explainer):
        """Attributions with a known gap."""

        needs_gradient = False

        def attributor(self):
            return _Off(self.forward_func, factors)

    return Off


def test_an_example_whose_gap_exceeds_its_scale_has_no_map_and_is_named():
    model = nn.Linear(2, 2).double()
    explanation = off_by(0.0, 3.0, 0.005)(model).explain(X, [0, 1, 0])
    (maps,) = explanation.attributions
    outputs = model(X).detach()
    hopeless = 3 * outputs[1, 1].abs() > outputs[1].abs().max()
    assert bool(hopeless)
    assert maps[1].isnan().all()
    assert not maps[[0, 2]].isnan().any()
    assert any(told.startswith("gap: the attributions of example 1 are NaN") for told in explanation.warnings)
    assert str(explanation).startswith("gap: example 1 of 3 miss")


def test_where_no_example_has_a_map_that_is_an_error():
    model = nn.Linear(2, 2).double()
    with pytest.raises(UnsuitableError, match="Off: no map: the attributions of each example miss the sum"):
        off_by(500.0, -300.0, 1e9)(model).explain(X, 0)
    assert off_by(500.0, -300.0, 1e9)(model).attribute(X, 0).isfinite().all()  # what is asked for is what is given


def test_the_scale_is_the_largest_of_score_difference_and_outputs():
    model = nn.Linear(2, 3).double()
    explanation = IntegratedGradients(model).explain(X, 1)
    outputs, base = model(X).detach(), model(torch.zeros_like(X)).detach()[:, 1]
    assert torch.allclose(explanation.base_value, base)
    expected = torch.maximum(outputs.abs().amax(1), (outputs[:, 1] - base).abs())
    assert torch.allclose(explanation.scale, expected)
    plain = Gradient(model).explain(X, 1)
    assert plain.gap is plain.scale is plain.base_value is None


def test_where_examples_depend_on_each_other_all_are_run_again():
    class Centred(nn.Module):
        """The step of each example beside the batch's mean."""

        def forward(self, x):
            return torch.sigmoid(60 * (x.sum(1, keepdim=True) - x.mean() - 0.3)).repeat(1, 2)

    explanation = IntegratedGradients(Centred(), n_steps=5).explain(X, 0)
    assert len(set(explanation.used["n_steps"].tolist())) == 1
