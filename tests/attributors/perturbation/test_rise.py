"""Scores under smooth random masks."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pnpxai.attributors.perturbation.random_masks import RandomMasks
from pnpxai.attributors.perturbation.rise import RISE
from pnpxai.engine.running.probes import is_probe
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.testing.answers import linear_case
from pnpxai.testing.subject import Subject, counted
from pnpxai.testing.zoo import CASES
from tests.attributors.test_base import CHECKS

CNN, SERIES, TOKENS, TWO = (CASES[name]() for name in ("cnn", "series", "tokens", "two_inputs"))


def masks_of(x, n_masks, **settings):
    """Return the masks that a model sees when ones are shown before zeros: (masks, *positions)."""
    rows = []

    def watch(ones):
        if not is_probe():
            rows.append(ones.clone())
        return ones.flatten(1).sum(1)

    RISE(watch).attribute(torch.ones_like(x[:1]), n_masks=n_masks, **settings)
    return torch.cat(rows)[:n_masks]


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("case", [CNN, SERIES, CASES["mlp"]()], ids=lambda case: case.name)
def test_it_is_the_formula_of_the_paper(case, centred):
    settings = {"n_masks": 30, "grid_size": 3, "probability": 0.4, "seed": 5}
    baseline = torch.full_like(case.inputs, 0.25)
    names = tuple("abc"[: len(case.inputs)])
    found = RISE(case.model).attribute(
        case.inputs, 0.25, case.targets, centred=centred, **settings | {"seed": RandomStream(5, names)}
    )
    for k, target in enumerate(case.targets):
        masks = masks_of(case.inputs, **settings | {"seed": RandomStream(5, (names[k],))})
        x, total, scores = case.inputs[k], 0.0, []
        for mask in masks:
            with torch.no_grad():
                shown = mask * x + (1 - mask) * baseline[k]
                scores.append(float(case.model(shown[None])[0, target]))
        mean = sum(scores) / 30 if centred else 0.0
        for mask, score in zip(masks, scores, strict=True):
            total = total + (score - mean) * mask / (30 * 0.4)
        assert torch.allclose(found[k], total, atol=1e-10)


@pytest.mark.parametrize(("shape", "grid"), [((1, 9, 13), 4), ((3, 8, 8), 8), ((2, 17), 5), ((1, 4, 5, 6), 3)], ids=str)
def test_a_mask_is_an_enlarged_and_shifted_grid(shape, grid):
    """Each is found, cut at some place, in the enlargement of the grid that is drawn for it."""
    x = torch.zeros(1, *shape, dtype=torch.float64)
    masks = masks_of(x, 12, grid_size=grid, probability=0.3, seed=RandomStream(2, ("a",)))
    positions = shape[1:]
    cells = tuple(min(grid, n) for n in positions)
    sizes = [math.ceil(n / c) for n, c in zip(positions, cells, strict=True)]
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(positions)]
    grids = RandomStream(2, ("a",)).draws("masks", 0).at(range(12)).at(0).uniform(cells)[:, 0] < 0.3
    for step, mask in enumerate(masks):
        coarse = grids[step].double()
        large = F.interpolate(
            coarse[None, None], size=[(c + 1) * s for c, s in zip(cells, sizes, strict=True)], mode=mode
        )
        windows = large[0, 0]
        for axis, n in enumerate(positions):
            windows = windows.unfold(axis, n, 1)  # every place, at the front
        assert tuple(windows.shape[: len(sizes)]) >= tuple(sizes)
        windows = windows[tuple(slice(0, s) for s in sizes)].reshape(-1, *positions)
        assert (windows == mask[0]).flatten(1).all(1).any()
        assert torch.equal(mask, mask[:1].expand_as(mask))  # channels share it


def test_every_position_is_let_through_as_often():
    n, p = 2000, 0.3
    masks = masks_of(torch.zeros(1, 1, 11, 9), n, grid_size=4, probability=p)[:, 0]
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    error = (p * (1 - p) / n) ** 0.5  # of a mask of zeros and ones, the widest
    assert ((masks.mean(0) - p).abs() < 4.5 * error).all()
    assert float(masks.unique().numel()) > 10


def test_columns_and_ids_are_drawn_one_by_one():
    masks = masks_of(torch.zeros(1, 6), 400, probability=0.7)
    assert masks.unique().tolist() == [0, 1]
    counts = masks.mean(0)
    assert ((counts - 0.7).abs() < 4 * (0.21 / 400) ** 0.5).all()
    assert float(torch.corrcoef(masks.T).fill_diagonal_(0).abs().max()) < 0.2


def test_on_a_linear_model_it_is_the_weighted_difference():
    """The covariance of the score with a column's mask, over p, is (1 - p) w (x - b)."""
    case, n, p = linear_case(), 4000, 0.4
    found = RISE(case.model).attribute(case.inputs, 0.5, case.targets, n_masks=n, probability=p)
    shares = case.model.weight.detach()[case.targets] * (case.inputs - 0.5)
    expected = (1 - p) * shares
    spread = shares.norm(dim=1, keepdim=True) * ((1 - p) / n) ** 0.5
    assert ((found - expected).abs() < 4 * spread).all()
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.99


def test_what_is_planted_is_found():
    def looks(x):
        return x[:, :, 20:28, 4:12].mean((1, 2, 3)) + 5

    x = torch.ones(2, 3, 32, 32)
    found = RISE(looks).attribute(x, n_masks=400)[:, 0]
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[20:28, 4:12] = True
    for one in found:
        top = torch.zeros(32 * 32, dtype=torch.bool)
        top[one.flatten().topk(64).indices] = True
        assert float((top.reshape(32, 32) & inside).sum()) > 48
        assert one[inside].mean() > 5 * one[~inside].abs().mean()


def test_without_the_mean_score_a_map_is_less_noisy():
    def looks(x):
        return x[:, :, :4].mean((1, 2, 3)) + 5

    x = torch.ones(1, 1, 16, 16)
    truth = torch.zeros(16, 16)
    truth[:4] = 1

    def agreement(centred):
        found = RISE(looks).attribute(x, n_masks=100, centred=centred)[0, 0]
        return float(torch.corrcoef(torch.stack([found.flatten(), truth.flatten()]))[0, 1])

    assert agreement(True) > 0.8 > agreement(False)


def test_masks_are_never_kept(monkeypatch):
    drawn = []
    of_steps = RandomMasks.of_steps

    def noting(self, examples, steps):
        drawn.append(len(examples) * len(steps))
        return of_steps(self, examples, steps)

    monkeypatch.setattr(RandomMasks, "of_steps", noting)
    found = RISE(CNN.model).attribute(CNN.inputs, target=1, n_masks=700)
    assert max(drawn) <= 256
    assert sum(drawn) == 2 * 700 * len(CNN.inputs)
    monkeypatch.setattr("pnpxai.attributors.perturbation.rise.row_limit", lambda *_: 7)
    assert torch.allclose(RISE(CNN.model).attribute(CNN.inputs, target=1, n_masks=700), found, atol=1e-12)


def test_inputs_are_masked_independently_and_at_once():
    rows = []

    def watch(image, table):
        if not is_probe():
            rows.append((image.clone(), table.clone()))
        return image.flatten(1).sum(1) + table.sum(1)

    RISE(watch).attribute((torch.ones(1, 1, 6, 6), torch.ones(1, 6)), n_masks=200)
    image, table = (torch.cat(part) for part in zip(*rows, strict=True))
    crossed = torch.corrcoef(torch.cat([image.flatten(1)[:, ::7], table], 1).T)[6:, :6]
    assert float(crossed.abs().max()) < 0.3
    two = RISE(TWO.model).attribute(TWO.inputs, target=TWO.targets, n_masks=20)
    assert [m.shape for m in two] == [(3, 1, 6, 6), (3, 4)]


def test_ids_are_exchanged_whole():
    seen = []

    def watch(ids):
        if not is_probe():
            seen.append(ids.clone())
        return ids.double().sum(1)

    found = RISE(watch).attribute(torch.tensor([[1, 2, 3, 4]]), 9, n_masks=3000)
    ids = torch.cat(seen)
    assert all(set(ids[:, k].tolist()) == {k + 1, 9} for k in range(4))
    assert found.dtype == torch.float64
    assert found[0].argsort().tolist() == [0, 1, 2, 3]


def test_the_channels_may_be_last():
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    mask = masks_of(x, 4, channel_axes=(2,))
    assert torch.equal(mask, mask[:, :, :1].expand_as(mask))
    assert not torch.equal(mask[:, :1].expand_as(mask), mask)


def test_examples_with_ids_have_masks_of_their_own():
    stream = RandomStream(0, ("one", "two"))
    x = CNN.inputs[:1].expand(2, -1, -1, -1)
    found = RISE(CNN.model).attribute(x, target=1, n_masks=10, seed=stream)
    assert not torch.allclose(found[0], found[1])
    alone = RISE(CNN.model).attribute(x[1:], target=1, n_masks=10, seed=stream.take([1]))
    assert torch.allclose(alone, found[1:], atol=1e-12)


def test_a_model_with_one_value_for_its_batch_is_explained_as_a_whole():
    found = RISE(lambda x: x.sum()).attribute(torch.ones(3, 4), n_masks=20)
    assert found.shape == (1, 4)


@pytest.mark.parametrize("case", [CNN, TWO, TOKENS], ids=lambda case: case.name)
def test_cost_is_what_is_run(case):
    with counted(case.model) as counter:
        RISE(case.model).attribute(case.inputs, target=case.targets, n_masks=13)
    assert RISE(case.model).cost(case.inputs, n_masks=13) == counter.rows


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(Subject.of_attributor(RISE, n_masks=12), CASES["skip_cnn"]())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_masks": 0}, ArgumentError, "n_masks: expected a whole number >= 1, got 0"),
        ({"grid_size": 2.5}, ArgumentError, "grid_size: expected a whole number >= 1, got 2.5"),
        ({"probability": 1.0}, ArgumentError, "probability: expected a number between 0 and 1, got 1.0"),
        ({"channel_axes": (1, 1)}, ArgumentError, "channel_axes: expected one for each of 1 inputs"),
        ({"channel_axes": (0,)}, ShapeError, r"channel_axes: expected an axis of \(3, 2, 8, 8\), not the first, got 0"),
    ],
)
def test_wrong_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        RISE(CNN.model).attribute(CNN.inputs, target=0, **settings)
