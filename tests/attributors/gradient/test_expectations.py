"""Expected gradients: captum's numbers where the same is drawn, its distribution where not, and sums that come out."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai.attributors
from pnpxai.attributors import GradientShap, IntegratedGradients, LayerGradientShap
from pnpxai.attributors.gradient.noisy_copies import drawn_rows, noisy_copies
from pnpxai.engine.running.batching import Block
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.tensors import as_tuple
from pnpxai.testing.audit import audit
from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import agree, drawn, flat, mended
from tests.attributors.gradient.expecting import LAYERS, NAMES, made, rows_for
from tests.on_demand import CAPTUM

pytestmark = pytest.mark.usefixtures("captum_may_warn")


@contextlib.contextmanager
def as_we_draw(monkeypatch, case, n_samples, rows, seed=0):
    """Let captum draw what this package draws: places between the ends, and rows of the baselines (but no noise)."""
    stream, size = RandomStream(seed).of_examples(as_tuple(case.inputs)), len(case)
    blends = stream.draws("blend").at(range(n_samples)).uniform().flatten()
    picks = drawn_rows(rows, stream, Block(range(size), range(n_samples)))
    by_example = [k * size + e for e in range(size) for k in range(n_samples)]
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(np.random, "uniform", lambda *given: blends[by_example].numpy().astype(np.float64))
        patch.setattr(np.random, "choice", lambda *given, **more: picks[by_example].numpy())
        yield


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_draws_give_captums_numbers(name, case, count, monkeypatch):
    it, rows = CASES[case](), rows_for(case, count)
    given = {"n_samples": 4, "target": it.targets, "return_convergence_delta": True}
    ours = made(pnpxai.attributors, name, case).attribute(it.inputs, rows, **given)
    with as_we_draw(monkeypatch, it, 4, count):
        captums = made(CAPTUM, name, case).attribute(it.inputs, rows, **given)
    agree(ours, captums)


@pytest.mark.parametrize(
    "given", [{"target": 1}, {"target": torch.tensor([3, 0, 1])}, {"n_samples": 1}, {"stdevs": (0.0,)}], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_forms_of_arguments(name, given, monkeypatch):
    it, rows = CASES["cnn"](), rows_for("cnn", 3)
    given = {"target": it.targets, "n_samples": 3} | given
    ours = made(pnpxai.attributors, name, "cnn").attribute(it.inputs, rows, **given)
    with as_we_draw(monkeypatch, it, given["n_samples"], 3):
        captums = made(CAPTUM, name, "cnn").attribute(it.inputs, rows, **given)
    agree(ours, captums)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_product(name, monkeypatch):
    it, rows = CASES["cnn"](), rows_for("cnn", 3)
    ours = made(pnpxai.attributors, name, "cnn", False)
    assert not ours.multiplies_by_inputs
    found = ours.attribute(it.inputs, rows, target=it.targets)
    with as_we_draw(monkeypatch, it, 5, 3):
        captums = made(CAPTUM, name, "cnn", False).attribute(it.inputs, rows, target=it.targets)
    agree(found, captums)


@pytest.mark.parametrize("to_input", [False, True])
def test_sides_of_a_layer(to_input, monkeypatch):
    it, rows = CASES["cnn"](), rows_for("cnn", 3)
    given = {"target": it.targets, "attribute_to_layer_input": to_input}
    ours = made(pnpxai.attributors, "LayerGradientShap", "cnn").attribute(it.inputs, rows, **given)
    with as_we_draw(monkeypatch, it, 5, 3):
        agree(ours, made(CAPTUM, "LayerGradientShap", "cnn").attribute(it.inputs, rows, **given))


@pytest.mark.parametrize("name", NAMES)
def test_baselines_may_come_from_a_function(name):
    it, rows = CASES["mlp"](), rows_for("mlp", 3)
    method = made(pnpxai.attributors, name, "mlp")
    found = method.attribute(it.inputs, rows, target=0)
    assert torch.equal(method.attribute(it.inputs, lambda: rows, target=0), found)
    given = []
    assert torch.equal(method.attribute(it.inputs, lambda x: given.append(x) or rows, target=0), found)
    assert given[0] is it.inputs


@pytest.mark.parametrize("name", NAMES)
def test_noise_has_captums_distribution(name):
    it, rows = CASES["mlp"](), rows_for("mlp", 4)
    given = {"target": it.targets, "n_samples": 1500, "stdevs": 0.5}
    found = [made(library, name, "mlp").attribute(it.inputs, rows, **given) for library in (pnpxai.attributors, CAPTUM)]
    method = made(pnpxai.attributors, name, "mlp")
    few = [method.attribute(it.inputs, rows, seed=k, **given | {"n_samples": 20}) for k in range(40)]
    error = torch.stack(few).std(0) * (20 / 1500) ** 0.5
    # five standard errors of the difference of two means
    assert ((found[0] - found[1].detach()).abs() <= 5 * 2**0.5 * error + 1e-9).all()


# identities


@pytest.mark.parametrize("case", ["mlp", "cnn", "two_inputs"])
def test_many_samples_of_one_baseline_come_near_integrated_gradients(case):
    it, rows = CASES[case](), rows_for(case, 1)
    found = made(pnpxai.attributors, "GradientShap", case).attribute(it.inputs, rows, n_samples=3000, target=it.targets)
    expected = IntegratedGradients(it.model).attribute(it.inputs, rows, it.targets, n_steps=300)
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert (a - b).abs().max() < 0.1 * b.abs().max()


@pytest.mark.parametrize("stdevs", [0.0, 0.7])
@pytest.mark.parametrize("name", NAMES)
def test_a_linear_model_is_explained_by_its_weight(name, stdevs):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    x, rows = drawn(3, 4), drawn(5, 4, seed=1)
    stream = RandomStream(11).of_examples((x,))
    picks = drawn_rows(5, stream, Block(range(3), range(6)))
    noisy = noisy_copies((x,), [stdevs], stream, Block(range(3), range(6)))[0]
    change = (noisy - rows[picks]).reshape(6, 3, 4).mean(0)
    weight = (model[1].weight @ model[0].weight)[1].detach()
    given = {"n_samples": 6, "stdevs": stdevs, "target": 1, "seed": 11, "return_convergence_delta": True}
    if name == "GradientShap":
        found, delta = GradientShap(model).attribute(x, rows, **given)
        expected = weight * change
    else:
        found, delta = LayerGradientShap(model, "0").attribute(x, rows, **given)
        expected = model[1].weight[1].detach() * (change @ model[0].weight.T.detach())
    assert torch.allclose(found, expected)
    assert delta.shape == (18,)
    assert delta.abs().max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_deltas_of_an_example_stand_side_by_side(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 3)
    method = made(pnpxai.attributors, name, "cnn")
    found, deltas = method.attribute(it.inputs, rows, 4, 0.2, it.targets, None, True)
    stream, model = RandomStream(0).of_examples((it.inputs,)), it.model
    block = Block(range(3), range(4))
    ends = noisy_copies((it.inputs,), [0.2], stream, block)[0]
    starts = rows[drawn_rows(3, stream, block)]
    targets = torch.tensor(it.targets).repeat(4)
    rise = (model(ends) - model(starts))[torch.arange(12), targets].detach().reshape(4, 3).T
    gap = found.flatten(1).sum(1) - rise.mean(1)
    assert torch.allclose(deltas.reshape(3, 4).mean(1), gap)
    for k in range(3):
        one = it.take(slice(k, k + 1))
        alone = method.attribute(one.inputs, rows, 4, 0.2, one.targets, None, True)[1]
        assert torch.allclose(alone, deltas[4 * k : 4 * k + 4])


@pytest.mark.parametrize("name", NAMES)
def test_the_gap_is_one_number_for_each_example(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 3)
    detailed = made(pnpxai.attributors, name, "cnn").attribute_detailed(it.inputs, baselines=rows, target=it.targets)
    found, gap = detailed.attributions, detailed.gap
    assert gap.shape == (3,)
    assert found.shape[0] == 3


# draws


@pytest.mark.parametrize("stdevs", [0.0, 0.4])
@pytest.mark.parametrize("case", ["cnn", "two_inputs"])
@pytest.mark.parametrize("name", NAMES)
def test_an_example_alone_is_the_same_as_in_a_batch(name, case, stdevs):
    it, rows = CASES[case](), rows_for(case, 4)
    method = made(pnpxai.attributors, name, case)
    whole = flat(method.attribute(it.inputs, rows, 4, stdevs, it.targets, seed=3))
    for k in range(3):
        one = it.take(slice(k, k + 1))
        for a, b in zip(flat(method.attribute(one.inputs, rows, 4, stdevs, one.targets, seed=3)), whole, strict=True):
            assert torch.allclose(a[0], b[k], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_examples_with_ids_have_draws_of_their_own(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 4)
    method = made(pnpxai.attributors, name, "cnn")
    whole = method.attribute(it.inputs, rows, 4, 0.3, it.targets, seed=RandomStream(3, ("a", "b", "c")))
    one = it.take(slice(1, 2))
    alone = method.attribute(one.inputs, rows, 4, 0.3, one.targets, seed=RandomStream(3, ("b",)))
    assert torch.allclose(alone[0], whole[1], atol=1e-12)
    assert not torch.allclose(whole, method.attribute(it.inputs, rows, 4, 0.3, it.targets, seed=3))


@pytest.mark.parametrize("rows_per_pass", [1, 2, 5])
@pytest.mark.parametrize("stdevs", [0.0, 0.4])
@pytest.mark.parametrize("name", NAMES)
def test_parts_make_no_difference(name, stdevs, rows_per_pass, monkeypatch):
    it, rows = CASES["cnn"](), rows_for("cnn", 4)
    method = made(pnpxai.attributors, name, "cnn")
    whole = method.attribute(it.inputs, rows, 6, stdevs, it.targets, None, True)
    monkeypatch.setattr("pnpxai.engine.running.batching._CPU_ROWS", (rows_per_pass, rows_per_pass))
    for a, b in zip(method.attribute(it.inputs, rows, 6, stdevs, it.targets, None, True), whole, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


@mended()
def test_rows_of_several_inputs_belong_together(library):
    class Product(nn.Module):
        def forward(self, a, b):
            return (a * b).sum(1)

    # in every row of the baselines one of the two is zero, so their product never counts
    rows = (torch.tensor([[1.0], [0.0]]).repeat(8, 1), torch.tensor([[0.0], [1.0]]).repeat(8, 1))
    x = (torch.zeros(2, 1), torch.zeros(2, 1))
    _, delta = library.GradientShap(Product()).attribute(x, rows, n_samples=200, return_convergence_delta=True)
    # from (1, 0) or (0, 1) to the origin: the attributions of each sample sum to the difference of scores, which is 0,
    # up to the place on the way: r * (1 - r) at most
    assert delta.abs().max() < 1e-6


@mended()
@pytest.mark.parametrize("name", NAMES)
def test_global_random_states_are_not_used(library, name):
    it, rows = CASES["cnn"](), rows_for("cnn", 4)
    with audit(it.model, it.inputs):
        made(library, name, "cnn").attribute(it.inputs, rows, stdevs=0.1, target=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_repeats_the_draws(name):
    it, rows = CASES["cnn"](), rows_for("cnn", 4)
    method = made(pnpxai.attributors, name, "cnn")
    first, again, other = (method.attribute(it.inputs, rows, 3, 0.1, it.targets, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
