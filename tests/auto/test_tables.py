"""Tables as people bring them: columns of numbers beside columns of categories, each read by its own embedding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.declare.registry import every
from pnpxai.errors import ArgumentError
from pnpxai.metrics.base import Metric
from pnpxai.modalities import ImageModality, SeveralModalities, TimeSeriesModality
from pnpxai.strategies.drawn_baselines import Background

NUMBERS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
ROOM = torch.tensor([0, 1, 2, 2, 4, 2, 1, 3, 2, 0, 4, 2])
FLOOR = torch.tensor([1, 1, 0, 1, 1, 2, 1, 0, 1, 2, 1, 1])
DATA = {"numbers": NUMBERS, "room": ROOM, "floor": FLOOR}


class Flat(nn.Module):
    """The score is the first number, three times, and what each category is worth."""

    def __init__(self):
        super().__init__()
        self.rooms, self.floors = nn.Embedding(5, 2), nn.Embedding(3, 4)
        self.head = nn.Linear(9, 1)
        with torch.no_grad():
            self.rooms.weight[:, 0] = torch.arange(5.0)
            self.head.weight.zero_()
            self.head.weight[0, [0, 3]] = torch.tensor([3.0, 2.0])

    def forward(self, numbers, room, floor):
        return self.head(torch.cat([numbers, self.rooms(room), self.floors(floor)], 1))


@pytest.fixture
def auto():
    return pnpxai.auto_explain(Flat(), DATA)


def test_numbers_and_categories_are_told(auto):
    assert [(one.modality, one.discrete) for one in auto.traits.each] == [("table", d) for d in (False, True, True)]
    assert "numbers, room, floor: table and table and table" in str(auto)
    room, floor = (Background(values) for values in (torch.tensor([2]), torch.tensor([1])))  # the most frequent ones
    assert auto.settings["baseline_fn"].strategies[1:] == (room, floor)


def test_every_explainer_gives_categories_what_they_are_worth(auto):
    """Against the mean and the most frequent category, of a linear score."""
    worth = 3 * (NUMBERS[:, 0] - NUMBERS[:, 0].mean()), 2.0 * (ROOM - 2), torch.zeros(12)
    for name in ("IntegratedGradients", "DeepLift", "FeatureAblation", "KernelShap", "ShapleyValueSampling"):
        maps = auto.explain(name, count=12).attributions
        of_each = [m.reshape(12, -1).sum(1) for m in maps]
        for found, expected in zip(of_each, worth, strict=True):
            assert torch.allclose(found, expected, atol=1e-3), name


def test_all_that_fit_run_and_are_compared_by_every_metric(auto):
    found = auto.explain(count=3)
    assert set(found) == {cls.__name__ for cls in auto.recommended}
    for name, one in found.items():
        assert [len(m) for m in one.attributions] == [3, 3, 3], name
        assert all(m.isfinite().all() for m in one.attributions), name
    metrics = [cls for cls in every(Metric, within="pnpxai.") if not cls.needs_masks]
    table = auto.compare(["GradientXInput", "KernelShap"], metrics, show_progress=False).table
    assert not table["reason"].fillna("").str.contains("Error").any()
    judged = table[(table["explainer"] == "GradientXInput") & table["value"].notna()]
    assert set(judged["metric"]) == {cls.__name__ for cls in metrics} - {"RandomLogit"}  # there is no other output


def test_what_is_drawn_has_the_names_of_columns(auto):
    one = auto.explain("KernelShap", count=2)
    assert one.plot(member=0).axes[0].get_yticklabels()[0].get_text().startswith("column")
    assert one.plot(member=1).axes[0].get_yticklabels()[0].get_text() == "room = 0"
    named = pnpxai.auto_explain(Flat(), DATA, feature_names=["size", "age", "rent", "kind", "storey"])
    one = named.explain("GradientXInput", count=2)
    assert one.plot(member=0).axes[0].get_yticklabels()[0].get_text().startswith(("size", "age", "rent"))
    assert one.plot(member=2).axes[0].get_yticklabels()[0].get_text().startswith("storey = 1")
    assert "<img" in one._repr_html_()


def test_a_tuple_and_a_single_column():
    model = Flat()
    by_position = pnpxai.auto_explain(model, (NUMBERS, ROOM, FLOOR), ("table", "table", "table"))
    by_name = pnpxai.auto_explain(model, DATA)
    maps = [auto.explain("GradientXInput").attributions for auto in (by_position, by_name)]
    assert all(map(torch.equal, *maps))
    alone = pnpxai.auto_explain(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)), ROOM)
    assert alone.modality.name == "table"
    assert alone.explain("FeatureAblation").attributions[0].shape == (8,)


def test_lengths_of_series_are_no_categories():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.head = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return self.head(self.cells(packed)[1][0][-1])

    auto = pnpxai.auto_explain(Reader(), {"x": torch.randn(3, 5, 2), "lengths": torch.tensor([5, 3, 4])})
    (found,) = auto.explain("Gradient").attributions
    assert found.shape == (3, 5, 2)
    assert found[1, 3:].abs().max() == 0


def test_channels_on_different_axes_are_refused_with_what_to_do():
    with pytest.raises(ArgumentError, match=r"image on axis 1 and series on axis 2; wrap the model in a module"):
        SeveralModalities((ImageModality(), TimeSeriesModality(channel_dim=2)))
