"""Areas and losses by hand: a model that adds up its pixels loses exactly what is removed."""

import pytest
import torch
from torch import nn

from pnpxai.engine.running.probes import is_probe
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.metrics.faithfulness.erasure import Comprehensiveness, Sufficiency
from pnpxai.metrics.faithfulness.flipping import LeRF, MoRF
from pnpxai.metrics.faithfulness.insertion import Deletion, Insertion, InsertionDeletion
from pnpxai.metrics.faithfulness.road import ROAD


class Share(nn.Module):
    """One output in 0 ... 1: the sum of the pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).sum(1, keepdim=True)


PIXELS = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).reshape(1, 1, 2, 2)


def _bumps(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_areas_are_those_worked_by_hand() -> None:
    removed = Deletion(Share(), n_steps=5).measure(PIXELS, None, PIXELS)
    assert removed.curves["deletion"].tolist()[0] == pytest.approx([1.0, 0.6, 0.3, 0.1, 0.0])
    assert removed.values.item() == pytest.approx((0.5 + 0.6 + 0.3 + 0.1 + 0) / 4)
    put_back = Insertion(Share(), n_steps=5, baseline_fn="zeros").measure(PIXELS, None, PIXELS)
    assert put_back.curves["insertion"].tolist()[0] == pytest.approx([0.0, 0.4, 0.7, 0.9, 1.0])
    assert put_back.values.item() == pytest.approx((0 + 0.4 + 0.7 + 0.9 + 0.5) / 4)
    both = InsertionDeletion(Share(), n_steps=5, insertion_fn="zeros").measure(PIXELS, None, PIXELS)
    assert both.values.item() == pytest.approx(put_back.values.item() - removed.values.item())
    assert set(both.curves) == {"insertion", "deletion"}


def test_the_area_hardly_depends_on_the_number_of_steps() -> None:
    x = _bumps()
    areas = [Deletion(Share(), n_steps=n).evaluate(x, None, x) for n in (5, 17, 65)]
    assert torch.allclose(areas[0], areas[2], rtol=0.05)
    assert torch.allclose(areas[1], areas[2], rtol=0.005)


def test_insertion_starts_from_a_blurred_picture_and_from_zeros_of_other_data() -> None:
    seen = []

    class Watch(Share):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            is_probe() or seen.append(x.clone())
            return super().forward(x)

    x = _bumps(1)
    Insertion(Watch(), n_steps=2).measure(x, None, x)
    start, end = torch.cat(seen)
    assert torch.equal(end, x[0])
    assert 0 < start.std() < 0.3 * x.std()
    assert start.mean().item() == pytest.approx(x.mean().item(), rel=0.1)
    seen.clear()
    Insertion(Watch(), n_steps=2).measure(x.flatten(1), None, x.flatten(1))
    assert torch.cat(seen)[0].abs().max() == 0


def test_losses_without_the_first_and_with_them_alone_are_those_worked_by_hand() -> None:
    without = Comprehensiveness(Share(), fractions=(0.25, 0.5)).measure(PIXELS, None, PIXELS)
    assert without.curves["comprehensiveness"].tolist()[0] == pytest.approx([0.4, 0.7])
    assert without.values.item() == pytest.approx(0.55)
    alone = Sufficiency(Share(), fractions=(0.25, 0.5)).measure(PIXELS, None, PIXELS)
    assert alone.curves["sufficiency"].tolist()[0] == pytest.approx([0.6, 0.3])
    assert alone.values.item() == pytest.approx(0.45)


def test_a_small_share_still_means_one_feature() -> None:
    assert Comprehensiveness(Share(), fractions=(0.01,)).evaluate(PIXELS, None, PIXELS).item() == pytest.approx(0.4)
    assert Sufficiency(Share(), fractions=(0.01,)).evaluate(PIXELS, None, PIXELS).item() == pytest.approx(0.6)
    road = ROAD(Share(), fractions=(0.01,), baseline_fn="zeros")
    assert road.evaluate(PIXELS, None, PIXELS).item() == pytest.approx(0.6)


def test_road_with_zeros_is_the_curve_of_morf() -> None:
    road = ROAD(Share(), fractions=(0.25, 0.5), baseline_fn="zeros").measure(PIXELS, None, PIXELS)
    assert road.curves["road"].tolist()[0] == pytest.approx([0.6, 0.3])
    assert road.values.item() == pytest.approx(0.45)


def test_road_hides_what_was_removed_where_zeros_show_it() -> None:
    """A model that reads dark holes is misled by zeros, not by what is filled in."""

    class Holes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x == 0).flatten(1).double().mean(1, keepdim=True)

    x = _bumps() + 1
    assert (MoRF(Holes()).evaluate(x, None, x) > 0.4).all()
    assert (ROAD(Holes()).evaluate(x, None, x) == 0).all()
    with pytest.raises(UnsuitableError, match="'linear' needs numbers with channels"):
        ROAD(Holes()).evaluate(x.flatten(1), None, x.flatten(1))


def test_deletion_and_lerf_of_the_turned_map_walk_the_same_way() -> None:
    x, maps = _bumps(), torch.randn(3, 1, 16, 16, dtype=torch.float64)
    deletion = Deletion(Share()).measure(x, None, maps).curves["deletion"]
    assert torch.equal(deletion, LeRF(Share()).measure(x, None, -maps).curves["lerf"])


def test_shares_out_of_range_are_refused() -> None:
    for metric in (Comprehensiveness, Sufficiency, ROAD):
        with pytest.raises(ArgumentError, match="fractions"):
            metric(Share(), fractions=(0.1, 1.0))
        with pytest.raises(ArgumentError, match="fractions"):
            metric(Share(), fractions=())
