"""Games that are played for Shapley values: backgrounds, positions that are not seen, standard errors, independence."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import nn

from pnpxai.attributors import RISE, FeatureAblation, KernelShap, Lime, Occlusion, ShapleyValues, ShapleyValueSampling
from pnpxai.attributors.perturbation.designs import every_coalition
from pnpxai.attributors.perturbation.estimates import weighted_gains
from pnpxai.attributors.perturbation.stand_ins import Rows
from pnpxai.engine.running.padding import padding_masks

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)).double().eval()
X, ROWS = torch.randn(3, 6).double(), torch.randn(9, 6).double() * 2 + 1


@torch.no_grad()
def by_brute_force(x, rows):
    """Return interventional Shapley values: what is absent comes from each row, and scores are averaged."""
    present = every_coalition(x.shape[1])
    scores = torch.stack([torch.stack([NET(torch.where(present, e, b))[:, 1] for b in rows]).mean(0) for e in x])
    return weighted_gains(present, scores)


@pytest.mark.parametrize("method", [ShapleyValues, KernelShap, ShapleyValueSampling])
def test_backgrounds_are_averaged_over(method):
    outcome = method(NET).attribute_detailed(X, baselines=Rows((ROWS[:, None],)), target=1)
    assert torch.allclose(outcome.attributions, by_brute_force(X, ROWS), atol=1e-10)
    assert torch.allclose(outcome.base_value, NET(ROWS)[:, 1].mean().expand(3), atol=1e-10)
    assert outcome.standard_error is None


@pytest.mark.parametrize("estimator", ["permutation", "leverage", "odd"])
def test_sums_are_the_gain_over_the_mean_score_of_all_rows(estimator):
    wide = nn.Sequential(nn.Linear(30, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    x, rows = torch.randn(2, 30).double(), torch.randn(700, 30).double()
    values = KernelShap(wide).attribute(x, Rows((rows[:, None],)), 0, n_samples=256, estimator=estimator)
    assert torch.allclose(values.sum(1), wide(x)[:, 0] - wide(rows).mean(), atol=1e-8)


@pytest.mark.parametrize(("method", "settings"), [(FeatureAblation, {}), (Occlusion, {"sliding_window_shapes": (1,)})])
def test_losses_are_averaged_over_a_background(method, settings):
    values = method(NET).attribute(X, baselines=Rows((ROWS[:, None],)), target=1, **settings)
    for k in range(6):
        without = X[:, None].repeat(1, 9, 1)
        without[..., k] = ROWS[:, k]
        assert torch.allclose(values[:, k], NET(X)[:, 1] - NET(without)[..., 1].mean(1), atol=1e-10)


def test_a_linear_fit_and_masks_take_a_background_too():
    rows = Rows((ROWS[:, None],))
    assert Lime(NET).cost(X, baselines=rows, n_samples=20) == RISE(NET).cost(X, baselines=rows, n_masks=20) == 540
    same = Rows((ROWS[:1, None].expand(4, 1, 6),))  # four times the same row
    for method, settings in ((Lime(NET), {"n_samples": 20}), (RISE(NET), {"n_masks": 20})):
        averaged = method.attribute(X, same, 1, **settings)
        assert torch.allclose(averaged, method.attribute(X, ROWS[:1], 1, **settings), atol=1e-8)


class Reader(nn.Module):
    """The mean embedding of the tokens that the mask leaves in."""

    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(20, 6), nn.Linear(6, 2)

    def forward(self, ids, attention_mask):
        seen = attention_mask[..., None]
        return self.out(torch.tanh((self.embedding(ids) * seen).sum(1) / seen.sum(1)))


READER = Reader().double().eval()
IDS = torch.tensor([[3, 5, 7, 2, 9, 4], [6, 8, 11, 0, 0, 0], [3, 5, 7, 2, 0, 0]])
SEEN = (IDS > 0).long()
METHODS = [
    (KernelShap, {"n_samples": 12}), (ShapleyValueSampling, {"n_samples": 2}), (FeatureAblation, {}),
    (Lime, {"n_samples": 30}), (RISE, {"n_masks": 70}), (Occlusion, {"sliding_window_shapes": (1,)}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "settings"), METHODS)
def test_padding_is_no_player_and_changes_nothing(method, settings):
    together = method(READER).attribute(IDS, baselines=1, target=1, additional_forward_args=SEEN, **settings)
    assert (together[SEEN == 0] == 0).all()
    for row, length in enumerate(SEEN.sum(1).tolist()):
        alone = method(READER).attribute(
            IDS[row : row + 1, :length], baselines=1, target=1, additional_forward_args=SEEN[row : row + 1, :length],
            **settings,
        )  # fmt: skip
        assert torch.allclose(together[row, :length], alone[0], atol=1e-10)


class Renamed(nn.Module):
    """The same reader; a mask by another name, true where a token is seen, or padding; or how many are seen."""

    def __init__(self, reads):
        super().__init__()
        self.reads, self.inner = reads, READER

    def forward(self, ids, mask):
        return self.inner(ids, self.reads(mask))


def _of_lengths(lengths):
    return (torch.arange(6) < lengths[:, None]).long()


@pytest.mark.parametrize(
    ("reads", "given"),
    [
        (lambda m: m.long(), SEEN.bool()), (lambda m: m, SEEN), (lambda m: (~m).long(), SEEN == 0),
        (_of_lengths, SEEN.sum(1)),
    ],
    ids=["seen", "ones", "padding", "lengths"],
)  # fmt: skip
def test_padding_is_found_whatever_its_mask_is_called(reads, given):
    settings = {"baselines": 1, "target": 1, "n_samples": 8, "estimator": "permutation"}
    known = KernelShap(READER).attribute(IDS, additional_forward_args=SEEN, **settings)
    for extra in (given, (given,)):
        values = KernelShap(Renamed(reads)).attribute(IDS, additional_forward_args=extra, **settings)
        assert torch.equal(values, known)
        assert (values[SEEN == 0] == 0).all()


def test_a_mask_that_marks_what_the_model_sees_hides_nothing():
    def weighs(ids, mask):
        return READER(ids, torch.where(mask, 2, 1))

    hidden = padding_masks(weighs, (IDS,), SEEN.bool())
    assert list(hidden) == []


def test_what_is_held_is_no_player():
    held = (torch.tensor([[True, False, False, False, False, True]]).expand(3, 6),)
    values = ShapleyValues(NET).attribute(X, target=1, held=held)
    assert (values[:, [0, 5]] == 0).all()
    kept = X.clone()
    kept[:, 1:5] = 0
    assert torch.allclose(values.sum(1), (NET(X) - NET(kept))[:, 1], atol=1e-10)


@pytest.mark.parametrize(("estimator", "calls"), [("permutation", 160), ("leverage", 80), ("leverage", 320)])
def test_standard_errors_cover_the_exact_values(estimator, calls):
    deep = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1)).double().eval()
    x = torch.randn(1, 10).double()
    exact = ShapleyValues(deep).attribute(x, target=0)
    covered = []
    for seed in range(150):
        outcome = KernelShap(deep).attribute_detailed(x, target=0, n_samples=calls, estimator=estimator, seed=seed)
        bound = stats.t.ppf(0.975, outcome.degrees_of_freedom) * outcome.standard_error
        covered.append(((outcome.attributions - exact).abs() <= bound).double().mean())
    assert 0.91 <= float(torch.stack(covered).mean()) <= 0.98


def test_a_run_that_is_noise_says_so():
    noise = lambda rows: torch.sin(1e4 * rows.sum(1))  # noqa: E731
    few = KernelShap(noise).attribute_detailed(torch.randn(1, 40), n_samples=20)
    assert "80 coalitions are the least" in few.notes[0]
    many = KernelShap(noise).attribute_detailed(torch.randn(1, 40), n_samples=200)
    assert int((many.needed_draws > 0).sum()) == len(many.needed_draws)
    orders = ShapleyValueSampling(noise).attribute_detailed(torch.randn(1, 40), n_samples=4)
    assert "236 coalitions (6 orders) have one" in orders.notes[0]
