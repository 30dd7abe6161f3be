"""Maps against masks: numbers by hand, chance for maps without order, and what is undefined."""

import pytest
import torch
from torch import Tensor, nn

from pnpxai.errors import ArgumentError, ShapeError, UnsuitableError
from pnpxai.metrics.localisation import (
    AUROC,
    AveragePrecision,
    PointingGame,
    RelevanceMassAccuracy,
    RelevanceRankAccuracy,
)

ALL = [RelevanceRankAccuracy, RelevanceMassAccuracy, PointingGame, AUROC, AveragePrecision]
MODEL = nn.Flatten()
X = torch.ones(1, 1, 2, 3, dtype=torch.float64)
MASK = torch.tensor([[[1, 1, 0], [0, 0, 0]]], dtype=torch.bool)


def _value(metric: type, values: list[float], mask: Tensor = MASK) -> float:
    maps = torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 3)
    return metric(MODEL).evaluate(X, None, maps, masks=mask).item()


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        (RelevanceRankAccuracy, 1 / 2),  # 5 and 4 rank first, one of them inside
        (RelevanceMassAccuracy, 6 / 12),  # 5 + 1 of 5 + 1 + 4 + 2
        (PointingGame, 1.0),
        (AUROC, (4 + 2) / 8),  # of eight pairs, 5 is above four and 1 above two
        (AveragePrecision, (1 / 1 + 2 / 4) / 2),  # found first and fourth
    ],
)
def test_numbers_are_those_worked_by_hand(metric: type, wanted: float) -> None:
    assert _value(metric, [5.0, 1.0, 4.0, 2.0, -3.0, -3.0]) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", ALL)
def test_a_map_without_order_gets_chance(metric: type) -> None:
    wanted = 0.5 if metric is AUROC else 2 / 6
    assert _value(metric, [1.0] * 6) == pytest.approx(wanted)
    if metric is not RelevanceMassAccuracy:
        assert _value(metric, [0.0] * 6) == pytest.approx(wanted)
        assert _value(metric, [-2.0] * 6) == pytest.approx(wanted)


def test_ties_share_their_places() -> None:
    assert _value(RelevanceRankAccuracy, [5.0, 1.0, 1.0, 1.0, 1.0, 0.0]) == pytest.approx((1 + 1 / 4) / 2)
    assert _value(PointingGame, [5.0, 1.0, 5.0, 0.0, 0.0, 5.0]) == pytest.approx(1 / 3)
    assert _value(AUROC, [5.0, 1.0, 1.0, 1.0, 0.0, 0.0]) == pytest.approx((4 + 2 + 0.5 * 2) / 8)


def test_negative_mass_does_not_count_and_no_mass_gives_no_number() -> None:
    assert _value(RelevanceMassAccuracy, [3.0, -9.0, 1.0, -9.0, 0.0, 0.0]) == pytest.approx(3 / 4)
    maps = -torch.ones(1, 1, 2, 3, dtype=torch.float64)
    found = RelevanceMassAccuracy(MODEL).measure(X, None, maps, masks=MASK)
    assert found.reasons == ("the map gives no number",)
    assert found.values.isnan().all()


@pytest.mark.parametrize("metric", ALL)
def test_empty_and_full_masks_say_nothing(metric: type) -> None:
    x, maps = X.expand(3, 1, 2, 3), torch.rand(3, 1, 2, 3, dtype=torch.float64)
    masks = torch.cat([MASK & False, MASK, MASK | True])
    found = metric(MODEL).measure(x, None, maps, masks=masks)
    assert found.values.isnan().tolist() == [True, False, True]
    assert "the mask is empty, or covers all positions" in str(found.reasons[0])


@pytest.mark.parametrize("metric", ALL)
def test_only_what_counts_and_what_is_known_is_looked_at(metric: type) -> None:
    """Padding, and an input without a mask, change nothing."""
    maps = torch.randn(2, 6, dtype=torch.float64)
    masks = torch.tensor([[1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0]])
    alone = metric(MODEL).evaluate(maps, None, maps, masks=masks)
    wide, further = (
        torch.cat([maps, torch.full((2, 2), 99.0)], 1),
        torch.cat([masks, torch.tensor([[1, 0], [0, 1]])], 1),
    )
    counted = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0]] * 2)
    padded = metric(MODEL).evaluate(wide, None, wide, masks=further, attention_mask=counted)
    assert torch.equal(padded, alone)
    two = metric(nn.Module()).evaluate((maps, maps), lambda out: out, (maps, 5 + maps), masks=(masks, None))
    assert torch.equal(two, alone)
    both = metric(nn.Module()).evaluate((maps, maps), lambda out: out, (maps, 5 + maps), masks=(masks, 0 * masks))
    assert (both <= alone).all()


@pytest.mark.parametrize("metric", ALL)
def test_masks_come_in_any_form_that_fits(metric: type) -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    masks = torch.rand(2, 4, 4) > 0.7
    wanted = metric(MODEL).evaluate(maps, None, maps, masks=masks)
    assert torch.equal(metric(MODEL).evaluate(maps, None, maps, masks=masks[:, None].float()), wanted)
    assert torch.equal(metric(MODEL).evaluate(maps, None, maps.sum(1), masks=masks.int()), wanted)


@pytest.mark.parametrize("metric", ALL)
def test_what_does_not_fit_is_refused(metric: type) -> None:
    judge = metric(MODEL)
    with pytest.raises(UnsuitableError, match=r"measure\(..., masks=\) is needed"):
        judge.measure(X, None, X)
    with pytest.raises(ShapeError, match=r"masks: expected shape \(1, 2, 3\)"):
        judge.measure(X, None, X, masks=torch.ones(1, 3, 2))
    with pytest.raises(ArgumentError, match="masks: expected truth values, or 0 and 1"):
        judge.measure(X, None, X, masks=0.5 * torch.ones(1, 2, 3))
    with pytest.raises(ArgumentError, match="masks: expected a tensor of truth values, got list"):
        judge.measure(X, None, X, masks=([[1]],))
    with pytest.raises(ArgumentError, match="got ndarray; torch.from_numpy makes a tensor of it"):
        judge.measure(X, None, X, masks=MASK.numpy())
