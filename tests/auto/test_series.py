"""Series: the axis of channels is found by running the model, sound is a series, forecasts ask which step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pnpxai
import pnpxai.explainers
import pnpxai.modalities
from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.pictures import View
from pnpxai.strategies import Grid, Patches


class Net(nn.Module):
    """A series classifier built of the parts in ``how``."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.how = how
        self.gru, self.conv = nn.GRU(3, 8, batch_first=True), nn.Conv1d(3, 8, 3)
        self.patch = nn.Linear(8, 8)
        self.o = nn.Linear(8, 2)
        keep = {"gru": "gru", "conv": "conv"}.get(how, "patch")
        for name in {"gru", "conv", "patch"} - {keep}:
            delattr(self, name)

    def forward(self, x):
        if self.how == "gru":
            return self.o(self.gru(x)[0][:, -1])
        if self.how == "conv":
            return self.o(self.conv(x).mean(2))
        if self.how == "patches of each channel, time first":  # runs on shorter series of as many channels as there are
            x = x.movedim(1, 2).unfold(2, 8, 8)
            assert x.shape[1] == 3
            return self.o(self.patch(x).relu().mean((1, 2)))
        x = x.unfold(2, 8, 8)
        assert x.shape[1] == 3
        return self.o(self.patch(x).relu().mean((1, 2)))


@pytest.mark.parametrize(
    ("how", "shape", "axis"),
    [
        ("gru", (2, 33, 3), 2),
        ("conv", (2, 3, 33), 1),
        ("patches of each channel, time first", (2, 33, 3), 2),
        ("patches of each channel", (2, 3, 33), 1),
    ],
)
def test_the_axis_of_channels_is_found(how, shape, axis):
    auto = pnpxai.auto_explain(Net(how).eval(), torch.randn(shape))
    assert auto.traits.channel_dim == axis
    assert f"channels on axis {axis}" in auto.assumed[0]


def test_a_configuration_names_the_number_of_channels():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = {"d_model": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 24, "num_targets": 3}
    config = transformers.PatchTSTConfig(
        num_input_channels=3, context_length=32, patch_length=8, patch_stride=8, **size
    )
    model, x = transformers.PatchTSTForClassification(config).eval(), torch.randn(2, 32, 3)
    auto = pnpxai.auto_explain(model, {"past_values": x}, target=1)
    assert auto.traits.channel_dim == 2

    def drop(*where):
        without = x.clone()
        without[where] = 0
        with torch.no_grad():
            return (model(x).prediction_logits - model(without).prediction_logits)[:, 1]

    found = auto.explain("FeatureAblation").attributions[0]  # each channel of a step is a feature of its own
    assert torch.allclose(found[:, 5, 2], drop(slice(None), 5, 2), atol=1e-6)
    steps = pnpxai.explainers.FeatureAblation(model, channel_dim=2).attribute({"past_values": x}, 1)
    assert torch.allclose(steps[:, 5, 2], drop(slice(None), 5), atol=1e-6)


def test_an_axis_that_cannot_be_told_is_asked_for():
    torch.manual_seed(0)

    class Any(nn.Module):
        def __init__(self):
            super().__init__()
            self.o = nn.Linear(5, 2)

        def forward(self, x):
            return self.o(x.flatten(1)[:, :5])

    with pytest.raises(ArgumentError, match=r"which axis of \(2, 7, 9\) holds channels .*channel_dim=1"):
        pnpxai.auto_explain(Any(), torch.randn(2, 7, 9)).explain("Gradient")
    layout = pnpxai.modalities.TimeSeriesModality(channel_dim=2)
    assert pnpxai.auto_explain(Any(), torch.randn(2, 7, 9), layout).traits.channel_dim == 2


class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.c, self.o = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        window = torch.ones(64)
        x = torch.stft(x, 64, return_complex=True, window=window).abs()[:, None]
        return self.o(self.c(x).relu().mean((2, 3)))


class Frames(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.f, self.o = nn.Linear(40, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.o(self.f(x.unfold(1, 40, 20)).relu().mean(1))


@pytest.mark.parametrize("model", [Spectrum(), Frames()], ids=["spectrum", "frames"])
def test_raw_sound_is_a_series(model):
    auto = pnpxai.auto_explain(model.eval(), torch.randn(2, 400))
    assert auto.modality.name == "series"
    assert auto.explain("Gradient").views[0].kind == "series"


def test_rows_are_a_table():
    for first in (nn.Identity(), nn.BatchNorm1d(100), nn.LayerNorm(100)):
        model = nn.Sequential(first, nn.Linear(100, 2)).eval()
        assert pnpxai.auto_explain(model, torch.randn(3, 100)).modality.name == "table"


@pytest.mark.parametrize("conv", [nn.Conv1d(2, 4, 3), nn.Conv2d(2, 4, 3), nn.GRU(8, 4)], ids=["series", "image", "gru"])
def test_columns_beside_another_input_are_a_table(conv):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.columns = conv, nn.Linear(5, 4)

        def forward(self, other, columns):
            seen = self.conv(other)
            seen = seen[0].mean(1) if isinstance(seen, tuple) else seen.flatten(2).mean(2)
            return seen * self.columns(columns)

    other = torch.randn(3, 2, 8, 8) if isinstance(conv, nn.Conv2d) else torch.randn(3, 2, 8)
    auto = pnpxai.auto_explain(Both().eval(), [((other, torch.randn(3, 5)), torch.zeros(3).long())])
    kinds = [view.kind for view in auto.explain("Gradient").views]
    assert kinds == ["image" if isinstance(conv, nn.Conv2d) else "series", "table"]


def test_time_first_is_named_where_there_are_as_many_steps_as_examples():
    class Last(nn.Module):
        def __init__(self, batch_first):
            super().__init__()
            self.gru = nn.GRU(3, 2, batch_first=batch_first)

        def forward(self, x):
            states = self.gru(x)[0]
            return states[:, -1] if self.gru.batch_first else states[-1]

    x = torch.randn(6, 6, 3)
    with pytest.raises(ArgumentError, match="with the examples on axis 1"):
        pnpxai.auto_explain(Last(False).eval(), x).explain("Gradient")
    assert pnpxai.auto_explain(Last(True).eval(), x).explain("Gradient").attributions[0].shape == x.shape


def test_time_first_is_named():
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.r, self.o = nn.GRU(3, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.o(self.r(x)[0][-1])

    with pytest.raises(ArgumentError, match=r"\(time, examples, channels\), with the examples on axis 1; give data"):
        pnpxai.auto_explain(TimeFirst(), torch.randn(20, 4, 3)).explain("Gradient")


class Forecaster(nn.Module):
    def __init__(self, **names):
        super().__init__()
        torch.manual_seed(0)
        self.r, self.o = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 12)
        for name, value in names.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.o(self.r(x)[0][:, -1])


@pytest.mark.parametrize("names", [{}, {"horizon": 12}, {"pred_len": 12}], ids=["class", "horizon", "pred_len"])
def test_a_forecast_asks_for_a_step(names):
    x = torch.randn(2, 20, 3)
    with pytest.raises(ArgumentError, match=r"forecasts \(12,\) numbers .* horizon"):
        pnpxai.auto_explain(Forecaster(**names), x).explain("Gradient")
    model = Forecaster(**names).eval()
    from pnpxai.targets import Horizon

    explanation = pnpxai.auto_explain(model, x, target=Horizon(2, 4)).explain("Gradient")
    torch.testing.assert_close(explanation.scores, model(x)[:, 2:4].mean(1).detach())


@pytest.mark.parametrize(
    ("settings", "players"),
    [
        ({}, 24),
        ({"each_channel": False}, 8),
        ({"each_channel": False, "feature_mask_fn": Patches(size=4)}, 2),
        ({"feature_mask_fn": Grid(cells=1)}, 3),
    ],
    ids=["cells", "events", "windows", "sensors"],
)
def test_cells_events_windows_and_sensors_are_players(settings, players):
    """Of a sum of squares, a player is worth the squares that it holds, whatever else is gone."""
    model = lambda x: (x**2).sum((1, 2))[:, None]  # noqa: E731
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    auto = pnpxai.auto_explain(model, x, pnpxai.modalities.TimeSeriesModality(), settings=settings)
    explanation = auto.explain("KernelShap")
    (ids,) = explanation.feature_mask if explanation.feature_mask is not None else (torch.arange(24).reshape(1, 3, 8),)
    assert len(ids.unique()) == players
    for label in ids.unique():
        held = (ids == label).expand(2, 3, 8)
        right = torch.where(held, x**2, 0.0).sum((1, 2))
        got = torch.where(held, explanation.attributions[0], -torch.inf).amax((1, 2))
        torch.testing.assert_close(got, right, atol=1e-3, rtol=1e-3)


def test_long_series_are_drawn_pooled_with_values():
    x = torch.sin(torch.linspace(0, 60, 10_000)).expand(1, 2, -1).clone()
    x[0, 1, 5000] = 7.5
    explanation = Explanation("A", {}, (x,), (x,), None, torch.zeros(1), None, 0.1, views=(View("series", 1),))
    (axes,) = explanation.plot().axes
    assert axes.images[0].get_array().shape[1] <= 1000
    assert all(len(line.get_xdata()) <= 1000 for line in axes.lines)
    height = np.asarray(axes.lines[1].get_ydata()).min()
    assert height == pytest.approx(1.1)  # the single peak is still drawn at the top of its channel
    assert [text.get_text().strip() for text in axes.texts][2] == "7.5"


class Positions(nn.Module):
    """Learns a vector for each of 12 steps of 3 channels."""

    def __init__(self):
        super().__init__()
        self.steps, self.into, self.out = nn.Parameter(torch.rand(1, 12, 4)), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.out((self.into(x) + self.steps).tanh().mean(1))


@pytest.mark.parametrize(
    ("shape", "mend"),
    [
        ((12, 5, 3), r"if time stands first, data.movedim\(0, 1\)"),
        ((5, 20, 3), "cut or fill each series"),
        ((5, 3, 12), r"its last two axes stand in the other order: data.movedim\(-1, 1\)"),
    ],
)
def test_series_of_another_length_than_the_model_takes_are_refused(shape, mend):
    with pytest.raises(ArgumentError, match=rf"expected \(examples, 12, 3\), on which the model runs, got .*{mend}"):
        pnpxai.auto_explain(Positions().eval(), torch.randn(shape)).explain("Occlusion")
