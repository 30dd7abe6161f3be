"""Schemas read from frames: what each column holds, which columns are one category, and the way back to the frame."""

from __future__ import annotations

import datetime
import itertools
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError
from pnpxai.metrics.selection import as_metric
from pnpxai.tables import Table
from tests.on_demand import OnDemand

preprocessing = OnDemand("sklearn.preprocessing")
N = 40


def mixed():
    """A column of each kind, some of them with missing values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 9, N),
            "n": pd.array(rng.integers(0, 5, N), "Int64"),
            "flag": rng.random(N) > 0.5,
            "city": rng.choice(["a", "b", "c"], N),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], N), categories=["s", "m", "l"], ordered=True),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 90, N), "h"),
            "zoned": pd.date_range("2021-03-01 10:00", periods=N, tz="Europe/Paris"),
            "arrow": pd.array(rng.choice(["x", "y"], N), pd.ArrowDtype(pa.string())),
            "sparse": pd.arrays.SparseArray(rng.integers(0, 2, N).astype(float)),
            "cut": pd.cut(rng.normal(size=N), 3),
            "grade": pd.Categorical(rng.choice([10, 20], N)),
        }
    )
    frame.loc[3, ["n", "city", "when", "size"]] = None
    return frame


def test_each_column_is_read_printed_and_turned_back():
    frame = mixed()
    table = Table.of(frame, units={"age": "years"})
    kinds = ["number", "number", "boolean", *["category"] * 2, "date", "date", *["category"], "number"]
    assert [column.kind for column in table.columns] == [*kinds, "category", "category"]
    numbers = table.numbers(frame, torch.float64)
    back = table.frame(numbers.numpy())
    dense = frame.assign(sparse=frame["sparse"].sparse.to_dense())
    same_type = back.astype({"arrow": dense["arrow"].dtype})  # whose name is that of pandas' own strings
    pd.testing.assert_frame_equal(same_type, dense)
    assert numbers[:, 10].unique().tolist() == [10, 20]  # numbers stand for themselves, words for their places
    assert numbers[0, 4] == ["s", "m", "l"].index(frame["size"][0])
    lines = repr(table).splitlines()
    assert len(lines) == 1 + len(frame.columns)
    assert lines[1].strip().startswith("age (years): number 1")
    assert lines[4].strip() == "city: category of 3: a, b, c, 1 missing"
    assert "when: date 2020-01-01 to 2020-01-0" in lines[6]


def test_a_table_goes_through_json():
    frame = mixed().drop(columns="cut")
    table = Table.of(frame, groups={"both": ["age", "n"]}, categories=["n"])
    assert Table.from_dict(json.loads(json.dumps(table.to_dict()))) == table
    with pytest.raises(ArgumentError, match="cannot be written to JSON"):
        Table.of(mixed()).to_dict()  # intervals


@pytest.mark.parametrize(
    ("column", "words"),
    [([datetime.timedelta(1)] * 3, "'x' holds timedelta"), (np.arange(3) * 1j, "'x' holds complex"),
     (pd.period_range("2020", periods=3), "'x' holds period")],
)  # fmt: skip
def test_what_has_no_place_among_numbers_is_refused(column, words):
    with pytest.raises(ArgumentError, match=words):
        Table.of(pd.DataFrame({"x": column}))


def test_a_level_that_is_not_known_is_refused():
    table = Table.of(pd.DataFrame({"city": list("abab")}))
    with pytest.raises(ArgumentError, match="column 'city' holds 'z', which is none of its levels 'a', 'b'"):
        table.numbers(pd.DataFrame({"city": ["a", "z"]}), torch.float32)


def one_hot(seed=0):
    """Cities whose names hold the mark of the prefix, colours without one, and two truths that are no category."""
    rng = np.random.default_rng(seed)
    raw = pd.DataFrame({"home_city": rng.choice(["new_york", "new_delhi", "oslo"], N), "c": rng.choice(["r", "g"], N)})
    made = pd.get_dummies(raw, prefix_sep={"home_city": "_", "c": "="}).assign(age=rng.normal(size=N))
    return made.assign(has_dog=rng.integers(0, 2, N), has_cat=rng.integers(0, 2, N))


def test_one_hot_columns_are_found_by_the_beginning_of_their_names():
    table = Table.of(one_hot())
    names = {name: [table.names[k] for k in places] for name, places in table.groups}
    assert names == {"home_city": [n for n in table.names if n.startswith("home_city")], "c": ["c=g", "c=r"]}
    assert Table.of(one_hot(), groups={}).groups == ()
    assert Table.of(one_hot().head(3)).groups == ()  # of three rows it may be chance
    with pytest.raises(ArgumentError, match="no column 'c=x'; did you mean 'c="):
        Table.of(one_hot(), groups={"c": ["c=x"]})


def net(columns):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, 8), nn.Tanh(), nn.Linear(8, 1)).double()


def interventional(score, x, rows, players):
    """Shapley values of one row by brute force over coalitions of players, which are groups of columns."""
    n = len(players)

    def worth(members):
        mixed = rows.clone()
        for player in members:
            mixed[:, players[player]] = x[players[player]]
        return float(score(mixed).detach().mean())

    values = []
    for k in range(n):
        others = [p for p in range(n) if p != k]
        values.append(
            sum(
                (worth((*s, k)) - worth(s)) / (n * math.comb(n - 1, size))
                for size in range(n)
                for s in itertools.combinations(others, size)
            )
        )
    return values


@pytest.mark.parametrize("name", ["ShapleyValues", "KernelShap"])
def test_shapley_values_of_categories_are_those_of_brute_force(name):
    """A category is one player, whether it is a code, or several columns; what is absent comes from the rows."""
    frame = one_hot().drop(columns=["has_dog"])
    model, rows = net(7), frame.iloc[20:26]
    auto = pnpxai.auto_explain(model, frame, background=rows[frame.columns[::-1]], table=Table.of(frame))
    explanation = auto.explain(name, count=3)
    values = torch.tensor(frame.astype(float).to_numpy())
    players = [[0, 1, 2], [3, 4], [5], [6]]
    right = [interventional(model, x, values[20:26], players) for x in values[:3]]
    made = explanation.to_frame()
    assert list(made.columns) == ["home_city", "c", "age", "has_cat", "score"]
    np.testing.assert_allclose(made.to_numpy()[:, :4].astype(float), right, atol=1e-8)
    expected = float(model(values[20:26]).detach().mean())
    np.testing.assert_allclose(explanation.base_value, expected, atol=1e-8)
    np.testing.assert_allclose(made.to_numpy()[:, :4].sum(1).astype(float) + expected, explanation.scores, atol=1e-8)
    assert f"base value {expected:.4g}" in repr(auto.summary(name, rows=3, target=0))


class Coded(nn.Module):
    """Reads the first column as codes of words, by an embedding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.out = nn.Embedding(3, 4).double(), net(6)

    def forward(self, x):
        return self.out(torch.cat([self.words(x[:, 0].long()), x[:, 1:]], 1))


@pytest.mark.parametrize("name", ["ShapleyValues", "KernelShap"])
def test_shapley_values_of_codes_of_words_are_those_of_brute_force(name):
    rng = np.random.default_rng(0)
    words, numbers = rng.choice(["a", "b", "c"], 20), rng.normal(size=(2, 20))
    frame = pd.DataFrame({"city": words, "age": numbers[0], "mass": numbers[1]})
    table, model = Table.of(frame), Coded()
    explanation = pnpxai.auto_explain(model, frame, background=frame.tail(7), table=table).explain(name, count=3)
    values = table.numbers(frame, torch.float64)
    right = [interventional(model, x, values[-7:], [[0], [1], [2]]) for x in values[:3]]
    np.testing.assert_allclose(explanation.attributions[0], right, atol=1e-8)


def test_without_a_background_a_category_becomes_its_most_frequent_level():
    frame = one_hot()
    model = net(8)
    maps = pnpxai.auto_explain(model, frame, table=Table.of(frame)).explain("FeatureAblation", count=N).to_frame()
    values = torch.tensor(frame.astype(float).to_numpy())
    mode = values[:, :3].sum(0).argmax()
    other = values.clone()
    other[:, :3] = torch.eye(3, dtype=torch.float64)[mode]
    np.testing.assert_allclose(maps["home_city"], (model(values) - model(other)).detach()[:, 0], atol=1e-8)


@pytest.mark.parametrize("name", ["AbPC", "MultiScaleCorrelation"])
def test_metrics_change_a_category_to_another_level_and_count_it_once(name):
    frame, seen = one_hot(), []
    model = net(8)
    auto = pnpxai.auto_explain(model, frame, table=Table.of(frame))
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    results = auto.compare(["FeatureAblation"], [name], controls=False, count=6, show_progress=False)
    rows = torch.cat(seen)
    for group in (rows[:, :3], rows[:, 3:5]):
        assert ((group == 0) | (group == 1)).all()
        assert (group.sum(1) == 1).all()
    once = results.maps["FeatureAblation"].clone()
    once[:, [1, 2, 4]] = 0  # the value of a category at its first column alone
    metric = as_metric(name, model, auto.settings)
    x = torch.tensor(frame.head(6).astype(float).to_numpy())
    torch.testing.assert_close(metric.evaluate(x, 0, once), metric.evaluate(x, 0, results.maps["FeatureAblation"]))


def test_gradients_count_a_category_once_in_pictures_too():
    frame = one_hot()
    explanation = pnpxai.auto_explain(net(8), frame).explain("IntegratedGradients", count=4)
    total = explanation.attributions[0][:, :3].sum(1)
    np.testing.assert_allclose(explanation.to_frame()["home_city"], total)
    for style in ("bars", "waterfall"):
        axes = explanation[0].plot(style=style).axes[0]
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert len(labels) == 5
        level = frame.columns[int(frame.iloc[0, :3].to_numpy().argmax())].removeprefix("home_city_")
        assert f"home_city = {level}" in labels


def test_values_are_shown_in_their_original_units():
    rng = np.random.default_rng(0)
    raw = pd.DataFrame({"mass": rng.normal(4000, 800, N), "length": rng.normal(40, 5, N)})
    scaler = preprocessing.StandardScaler().fit(raw)
    scaled = pd.DataFrame(scaler.transform(raw), columns=raw.columns)
    table = Table.of(scaled, scaler=scaler, units={"mass": "g"})
    auto = pnpxai.auto_explain(net(2), scaled, table=table)
    assert f"mass (g): number {raw['mass'].min():.4g} to {raw['mass'].max():.4g}" in str(auto)
    explanation = auto.explain("FeatureAblation")
    labels = {label.get_text() for label in explanation[0].plot().axes[0].get_yticklabels()}
    assert labels == {f"mass (g) = {raw['mass'][0]:.0f}", f"length = {raw['length'][0]:.3g}"}
    with pytest.raises(ArgumentError, match="expected one that shifts and stretches each column"):
        Table.of(scaled, scaler=preprocessing.QuantileTransformer(n_quantiles=5).fit(raw))


def test_words_and_dates_go_to_a_network_by_a_table_that_is_given():
    frame = mixed()[["age", "size", "zoned"]].drop(index=3)
    table = Table.of(frame)
    explanation = pnpxai.auto_explain(net(3), frame, table=table).explain("FeatureAblation", count=2)
    torch.testing.assert_close(explanation.inputs[0], table.numbers(frame.head(2), torch.float64))
    labels = [label.get_text() for label in explanation[0].plot().axes[0].get_yticklabels()]
    assert {f"size = {frame['size'].iloc[0]}", "zoned = 2021-03-01"} < set(labels)


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_frames_of_other_libraries(library):
    frame = pd.DataFrame({"a": np.arange(12.0), "b": np.arange(12)})
    other = pa.Table.from_pandas(frame) if library == "pyarrow" else pytest.importorskip("polars").DataFrame(frame)
    maps = [pnpxai.auto_explain(net(2), one).explain("FeatureAblation") for one in (frame, other)]
    assert torch.equal(maps[0].attributions[0], maps[1].attributions[0])
    assert maps[1].views[0].names == ("a", "b")
