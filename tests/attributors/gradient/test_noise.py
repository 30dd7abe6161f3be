"""Means over noisy copies: what the model sees, what is made of it, and that it agrees with captum."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from pnpxai.attributors import (
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    RelativeNoise,
    Saliency,
)
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError
from pnpxai.testing.answers import check_linear
from pnpxai.testing.subject import Subject
from pnpxai.testing.zoo import CASES
from tests.on_demand import CAPTUM

KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")
every_kind = pytest.mark.parametrize("kind", KINDS)
CASE = CASES["mlp"]()


def square(x):
    """Return a model's output whose gradient is twice its input."""
    return x.square().sum(1)


def seen_by(attribute):
    """Return the rows that the model saw while ``attribute(model)`` ran, each of the inputs on its own."""
    rows = []

    def model(x):
        if not is_probe():
            rows.append(x.detach().clone())
        return square(x)

    attribute(model)
    return torch.cat(rows)


@every_kind
def test_without_noise_it_is_the_wrapped_attributor_and_captums(kind):
    for name, arguments in (("Saliency", {}), ("IntegratedGradients", {"n_steps": 4}), ("InputXGradient", {})):
        given_arguments = {"nt_type": kind, "nt_samples": 3, "stdevs": 0.0, "target": CASE.targets} | arguments
        made = {"Saliency": Saliency, "IntegratedGradients": IntegratedGradients, "InputXGradient": InputXGradient}
        ours = NoiseTunnel(made[name](CASE.model)).attribute(CASE.inputs, **given_arguments)
        plain = made[name](CASE.model).attribute(CASE.inputs, target=CASE.targets, **arguments)
        expected = {"smoothgrad": plain, "smoothgrad_sq": plain**2, "vargrad": torch.zeros_like(plain)}[kind]
        assert torch.allclose(ours, expected, atol=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rival = CAPTUM.NoiseTunnel(getattr(CAPTUM, name)(CASE.model))
            theirs = rival.attribute(CASE.inputs.float().double(), **given_arguments)
        assert torch.allclose(ours, theirs, atol=1e-6)


@every_kind
def test_with_noise_it_agrees_with_captum_within_sampling_error(kind):
    n, level = 4000, 0.2
    settings = {"nt_type": kind, "nt_samples": n, "stdevs": level, "target": 1}
    ours = NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, **settings, abs=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        theirs = CAPTUM.NoiseTunnel(CAPTUM.Saliency(CASE.model)).attribute(CASE.inputs, **settings, abs=False)
    spread = (
        NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, **settings | {"nt_type": "vargrad"}, abs=False).sqrt()
    )
    # four standard errors of the difference of two means (of squares and variances, which scatter more: generously)
    width = {
        "smoothgrad": spread,
        "smoothgrad_sq": 2 * (theirs.sqrt() + spread) * spread if kind != "smoothgrad" else 0,
    }
    bound = 4 * (2 / n) ** 0.5 * width.get(kind, 10 * spread**2 + 1e-6) + 1e-6
    assert ((ours - theirs).abs() <= bound).all()


@every_kind
def test_it_is_the_plain_loop_over_what_the_model_saw(kind):
    x = torch.randn(2, 3, dtype=torch.float64)
    copies = []
    tunnel = lambda model: copies.append(  # noqa: E731
        NoiseTunnel(Saliency(model)).attribute(x, nt_type=kind, nt_samples=5, stdevs=0.5, abs=False)
    )
    gradients = 2 * seen_by(tunnel).reshape(5, 2, 3)
    expected = {
        "smoothgrad": gradients.mean(0),
        "smoothgrad_sq": (gradients**2).mean(0),
        "vargrad": gradients.var(0, correction=0),
    }
    assert torch.allclose(copies[0], expected[kind], atol=1e-12)


def test_the_noise_has_the_given_deviation_and_is_each_examples_own():
    x = torch.stack([torch.zeros(5000), torch.ones(5000)])
    rows = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=2, stdevs=0.3))
    noise = rows - x.repeat(2, 1)
    assert float(torch.corrcoef(noise).fill_diagonal_(0).abs().max()) < 0.05
    assert float(noise.std()) == pytest.approx(0.3, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)


def test_examples_with_ids_have_noise_of_their_own():
    x = torch.zeros(2, 50)
    stream = RandomStream(0, ("one", "two"))
    rows = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=1, seed=stream))
    assert not torch.equal(rows[0], rows[1])
    alone = seen_by(
        lambda model: NoiseTunnel(Saliency(model)).attribute(x[1:], nt_samples=1, seed=RandomStream(0, ("two",)))
    )
    assert torch.equal(rows[1:], alone)


def test_relative_noise_is_a_fraction_of_each_examples_range():
    x = torch.stack([torch.linspace(0, 1, 4000), torch.linspace(-5, 5, 4000)])
    assert torch.allclose(RelativeNoise(0.2)(x), torch.tensor([[0.2], [2.0]]))
    rows = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=1, stdevs=RelativeNoise(0.2)))
    deviation = (rows - x).std(1)
    assert deviation[0].item() == pytest.approx(0.2, rel=0.05)
    assert deviation[1].item() == pytest.approx(2.0, rel=0.05)
    assert RelativeNoise(0.2)(torch.ones(3)).tolist() == [0, 0, 0]


def test_each_input_has_its_own_deviation():
    case = CASES["two_inputs"]()
    seen = []
    hook = case.model.register_forward_pre_hook(
        lambda module, args: None if is_probe() else seen.append([a.detach().clone() for a in args])
    )
    NoiseTunnel(Saliency(case.model)).attribute(case.inputs, target=1, nt_samples=1, stdevs=(0.0, 1))
    hook.remove()
    assert torch.equal(seen[0][0], case.inputs[0])
    assert (seen[0][1] - case.inputs[1]).abs().min() > 0


def test_the_last_copy_may_be_clean():
    x = torch.randn(2, 3)
    rows = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=4, last_clean=True))
    assert torch.equal(rows[-2:], x)
    assert (rows[:-2] - x.repeat(3, 1)).abs().min() > 0


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 100])
def test_the_size_of_a_pass_does_not_change_the_result(at_a_time):
    settings = {"target": CASE.targets, "nt_samples": 5, "stdevs": 0.2}
    whole = NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, **settings)
    found = NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, **settings, nt_samples_batch_size=at_a_time)
    assert torch.allclose(found, whole, atol=1e-12)


def test_the_first_draws_do_not_depend_on_how_many_follow():
    x = torch.randn(2, 3)
    few = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=2))
    many = seen_by(lambda model: NoiseTunnel(Saliency(model)).attribute(x, nt_samples=6))
    assert torch.equal(many[:4], few)


def test_arguments_of_the_wrapped_attributor_follow_their_examples():
    tunnel = NoiseTunnel(IntegratedGradients(CASE.model))
    settings = {"nt_samples": 3, "stdevs": 0.0, "n_steps": 3}
    found = tunnel.attribute(CASE.inputs, target=torch.tensor(CASE.targets), baselines=CASE.inputs.flip(0), **settings)
    plain = IntegratedGradients(CASE.model).attribute(CASE.inputs, CASE.inputs.flip(0), CASE.targets, n_steps=3)
    assert torch.allclose(found, plain)


def test_baselines_can_be_drawn_jointly_from_a_distribution():
    pool = (
        torch.arange(4.0)[:, None, None, None].expand(4, 1, 6, 6).double(),
        torch.arange(4.0)[:, None].expand(4, 4).double(),
    )
    seen = []
    case = CASES["two_inputs"]()
    hook = case.model.register_forward_pre_hook(
        lambda module, args: None if is_probe() else seen.append([a.detach().clone() for a in args])
    )
    NoiseTunnel(IntegratedGradients(case.model)).attribute(
        case.inputs, target=1, nt_samples=12, stdevs=0.0, baselines=pool, draw_baseline_from_distrib=True,
        n_steps=1, method="riemann_left",
    )  # fmt: skip
    hook.remove()
    images, tables = (torch.cat(column) for column in zip(*seen, strict=True))
    assert torch.equal(images[:, 0, 0, 0], tables[:, 0]), "rows of one draw belong together"
    assert set(tables[:, 0].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("wrapped", ["layer", "occlusion"])
def test_any_attributor_can_be_wrapped(wrapped):
    case = CASES["cnn"]()
    inner, more = {
        "layer": (LayerGradCam(case.model, "3"), {}),
        "occlusion": (Occlusion(case.model), {"sliding_window_shapes": (2, 4, 4), "strides": (2, 4, 4)}),
    }[wrapped]
    found = NoiseTunnel(inner).attribute(case.inputs, target=1, nt_samples=2, stdevs=0.0, **more)
    assert torch.allclose(found, inner.attribute(case.inputs, target=1, **more), atol=1e-12)


@pytest.mark.parametrize(("kind", "answer"), [("smoothgrad", lambda w, x: w), ("smoothgrad_sq", lambda w, x: w**2)])
def test_of_a_linear_model(kind, answer):
    subject = Subject.of_attributor(
        NoiseTunnel, made_of=lambda model: Saliency(model).configured(abs=False), nt_type=kind, nt_samples=3
    )
    check_linear(subject, answer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nt_type": "mean"}, "nt_type: expected 'smoothgrad', 'smoothgrad_sq' or 'vargrad', got 'mean'"),
        ({"nt_samples": 0}, "nt_samples: expected a whole number >= 1, got 0"),
        ({"nt_samples": 2.0}, "nt_samples: expected a whole number >= 1, got 2.0"),
        ({"nt_samples_batch_size": 0}, "nt_samples_batch_size: expected a whole number >= 1, got 0"),
        ({"stdevs": -1.0}, "stdevs: expected a number >= 0, got -1.0"),
        ({"stdevs": float("nan")}, "stdevs: expected a number >= 0, got nan"),
        ({"stdevs": "0.1"}, "stdevs: expected a number >= 0, got '0.1'"),
        ({"stdevs": True}, "stdevs: expected a number >= 0, got True"),
        ({"stdevs": (0.1, 0.1)}, "stdevs: expected one for each of 1 inputs, got 2"),
        ({"seed": 0.5}, "seed: expected a whole number, got 0.5"),
        ({"target": 9}, "expected an index from 0 to 3"),
    ],
)
def test_wrong_calls_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, **{"target": 1} | arguments)


def test_what_is_no_attributor_is_refused():
    with pytest.raises(ArgumentError, match="attribution_method: expected an attributor, got Perceptron"):
        NoiseTunnel(CASE.model)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_step'"):
        NoiseTunnel(IntegratedGradients(CASE.model)).attribute(CASE.inputs, target=1, n_step=3)


def test_numpy_numbers_are_deviations():
    found = NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, target=1, stdevs=np.float32(0.25))
    assert torch.equal(found, NoiseTunnel(Saliency(CASE.model)).attribute(CASE.inputs, target=1, stdevs=0.25))


def test_noise_of_a_table_follows_each_column_where_its_spread_is_known():
    spread = torch.tensor([0.01, 100.0], dtype=torch.float64)
    rows = torch.zeros(3, 2, dtype=torch.float64)
    assert torch.equal(RelativeNoise(0.1, spread)(rows), (0.1 * spread).expand(3, 2))
    picture = torch.rand(3, 2, 4, 4, dtype=torch.float64)  # what is no table keeps each example's range
    assert torch.equal(RelativeNoise(0.1, spread)(picture), RelativeNoise(0.1)(picture))
