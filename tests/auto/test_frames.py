"""Frames with columns of any type, labels in words, estimators and pipelines, missing values, codes among numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn

import pnpxai
from pnpxai.errors import ArgumentError, NonFiniteError
from tests.on_demand import OnDemand

compose, preprocessing = OnDemand("sklearn.compose"), OnDemand("sklearn.preprocessing")
ensemble, pipelines = OnDemand("sklearn.ensemble"), OnDemand("sklearn.pipeline")
linear_model = OnDemand("sklearn.linear_model")
RNG = np.random.default_rng(0)
N = 40


def linear(columns, outputs=1):
    torch.manual_seed(0)
    return nn.Linear(columns, outputs)


def expected(model, frame):
    """Against the mean, of categories the most frequent level."""
    values = torch.tensor(frame.astype(float).to_numpy()).float()
    center = torch.stack(
        [
            values[:, k].mode().values if frame.dtypes.iloc[k] == "category" else values[:, k].mean()
            for k in range(values.shape[1])
        ]
    )
    return (model.weight[0] * (values - center)).detach()


def frames():
    numbers = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.integers(0, 9, N)})
    yield "int beside float", numbers
    yield "bool beside float", numbers.assign(c=RNG.random(N) > 0.5)
    yield "nullable", numbers.astype({"a": "Float64", "b": "Int64"}).assign(c=pd.array(RNG.random(N) > 0.5, "boolean"))
    arrow = {"a": pd.ArrowDtype(pa.float64()), "b": pd.ArrowDtype(pa.int8())}
    yield "pyarrow", numbers.astype(arrow).assign(c=pd.array(RNG.random(N) > 0.5, pd.ArrowDtype(pa.bool_())))
    yield "objects", numbers.astype(object)
    yield "categories of numbers", numbers.astype({"b": "category"})
    yield "all whole numbers", pd.DataFrame({"a": RNG.integers(0, 9, N), "b": RNG.integers(0, 5, N)})
    yield "half", numbers.astype({"a": np.float16, "b": np.uint8})


@pytest.mark.parametrize(("kind", "frame"), list(frames()), ids=lambda of: of if isinstance(of, str) else "")
def test_columns_of_any_type_are_numbers(kind, frame):
    model = linear(len(frame.columns))
    explanation = pnpxai.auto_explain(model, frame).explain("FeatureAblation", count=N)
    right = expected(model, frame)
    torch.testing.assert_close(explanation.attributions[0], right, rtol=1e-4, atol=1e-4)
    assert explanation.views[0].names == tuple(frame.columns)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (list("abab"), "others: c .*'a', 'b'"),
        (pd.Series(list("abab"), dtype="category"), "others: c .*'a', 'b'"),
        (pd.Series(list("abab"), dtype="string"), "others: c .*'a', 'b'"),
        (pd.date_range("2020", periods=4), "others: c "),
        ([1 + 2j] * 4, "others: c "),
    ],
    ids=["words", "categories", "strings", "dates", "complex"],
)
def test_what_is_no_number_is_named(values, words):
    with pytest.raises(ArgumentError, match=f"data: expected columns of numbers, got {words}"):
        pnpxai.auto_explain(linear(2), pd.DataFrame({"a": np.arange(4.0), "c": values}))


@pytest.mark.parametrize("form", [list, np.array, pd.Series, lambda w: pd.Series(w, dtype="category")])
@pytest.mark.parametrize("names", [(), ("yes", "no")])
def test_labels_in_words(form, names):
    words, x = ["no", "yes", "yes"] * 4, RNG.normal(size=(12, 3)).astype(np.float32)
    auto = pnpxai.auto_explain(linear(3, 2), (x, form(words)), target_labels=True, class_names=names)
    codes = [list(names or ("no", "yes")).index(word) for word in words]
    assert torch.as_tensor(auto.explain("Gradient", count=12).targets).tolist() == codes


def test_labels_in_words_that_are_no_classes():
    with pytest.raises(ArgumentError, match="class_names: the label 'maybe' is none of them"):
        pnpxai.auto_explain(linear(3, 2), (torch.rand(2, 3), ["maybe", "no"]), class_names=["yes", "no"])
    loader = [(torch.rand(2, 3), ["no", "yes"])]
    with pytest.raises(ArgumentError, match="class_names: labels such as 'no' need the names"):
        pnpxai.auto_explain(linear(3, 2), loader)
    auto = pnpxai.auto_explain(linear(3, 2), loader, target_labels=True, class_names=["yes", "no"])
    assert torch.as_tensor(auto.explain("Gradient").targets).tolist() == [1, 0]


def people():
    frame = pd.DataFrame(
        {"age": RNG.normal(40, 9, 200), "city": RNG.choice(["a", "b", "c"], 200), "n": RNG.integers(0, 5, 200)}
    )
    return frame, np.where((frame["city"] == "b") | (frame["age"] > 45), "yes", "no")


def test_a_pipeline_is_explained_in_its_raw_columns():
    frame, labels = people()
    scaled, coded = preprocessing.StandardScaler(), preprocessing.OneHotEncoder()
    steps = compose.ColumnTransformer([("n", scaled, ["age", "n"]), ("c", coded, ["city"])])
    pipeline = pipelines.make_pipeline(steps, linear_model.LogisticRegression()).fit(frame, labels)
    auto = pnpxai.auto_explain(pipeline, (frame, labels))
    assert auto.class_names == ("no", "yes")
    explanation = auto.explain("FeatureAblation", count=20)
    before = pipeline.predict_proba(frame[:20])
    picks = before.argmax(1)
    assert torch.as_tensor(explanation.targets).tolist() == picks.tolist()
    for k, (name, value) in enumerate({"age": frame["age"].mean(), "city": frame["city"].mode()[0]}.items()):
        after = pipeline.predict_proba(frame[:20].assign(**{name: value}))
        right = (before - after)[np.arange(20), picks]
        np.testing.assert_allclose(explanation.attributions[0][:, k], right, atol=1e-5)
    assert explanation.views[0].names == ("age", "city", "n")
    labels = [label.get_text() for label in explanation[0].plot().axes[0].get_yticklabels()]
    assert f"city = {frame['city'][0]}" in labels
    assert explanation.to_frame().columns.tolist()[:3] == ["age", "city", "n"]


def test_explainers_that_need_gradients_say_so():
    frame, labels = people()
    model = ensemble.HistGradientBoostingClassifier(max_iter=5).fit(frame[["age", "n"]], labels)
    auto = pnpxai.auto_explain(model, frame[["age", "n"]])
    assert {"KernelShap", "FeatureAblation", "ShapleyValueSampling"} <= {cls.__name__ for cls in auto.recommended}
    assert auto.recommended.reasons["IntegratedGradients"] == (
        "needs gradients, which HistGradientBoostingClassifier does not have"
    )
    with pytest.raises(ArgumentError, match="predicts without gradients"):
        auto.explain("IntegratedGradients")


@pytest.mark.parametrize("name", ["Ridge", "RandomForestRegressor"])
def test_regressors_have_one_output(name):
    estimator = linear_model.Ridge() if name == "Ridge" else ensemble.RandomForestRegressor(5, random_state=0)
    x = RNG.normal(size=(50, 3))
    estimator.fit(x, x @ [1.0, 2.0, 3.0])
    explanation = pnpxai.auto_explain(estimator, x).explain("FeatureAblation")
    np.testing.assert_allclose(explanation.scores, estimator.predict(x[:8]), rtol=1e-5)
    for k in range(3):
        other = x[:8].astype(np.float32).copy()
        other[:, k] = x.astype(np.float32).mean(0)[k]
        right = estimator.predict(x[:8].astype(np.float32)) - estimator.predict(other)
        np.testing.assert_allclose(explanation.attributions[0][:, k], right, atol=1e-4)


def test_missing_values_go_to_models_that_take_them():
    x = RNG.normal(size=(200, 3))
    x[::3, 1] = np.nan
    labels = (np.nan_to_num(x[:, 1], nan=2.0) > 0.5).astype(int)
    model = ensemble.HistGradientBoostingClassifier(max_iter=20).fit(x, labels)
    for data in (x, pd.DataFrame(x, columns=list("abc"))):
        auto = pnpxai.auto_explain(ensemble.HistGradientBoostingClassifier(max_iter=20).fit(data, labels), data)
        for name in ("FeatureAblation", "KernelShap"):
            values = auto.explain(name).attributions[0]
            assert values.isfinite().all()
            assert values[0].abs().argmax() == 1
    assert model.predict_proba(x[:1]).max() > 0.5
    with pytest.raises(NonFiniteError, match="inputs: expected finite numbers"):
        pnpxai.auto_explain(linear(3, 2), x).explain("FeatureAblation")


def test_a_schema_turns_numbers_back_into_rows():
    frame, _ = people()
    frame = frame.assign(kind=pd.Categorical(RNG.choice(["x", "y"], 200)), flag=frame["n"] > 2).astype({"n": "Int64"})
    frame.loc[3, ["city", "n"]] = None
    schema = pnpxai.Table.of(frame)
    numbers = schema.numbers(frame, torch.float64)
    pd.testing.assert_frame_equal(schema.frame(numbers.numpy()), frame)
    assert schema.categories == (1, 3)


class Cast(nn.Module):
    """A model whose last column passes no gradient, in several ways."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.e, self.o = how, nn.Embedding(5, 4), nn.Linear(7, 2)

    def forward(self, x):
        read = {
            "embedding": lambda: self.e(x[:, 3].long()),
            "one hot": lambda: nn.functional.one_hot(x[:, 3].long(), 5)[:, :4].to(x.dtype),
            "rounded": lambda: x[:, 3:].round().expand(-1, 4),
            "compared": lambda: (x[:, 3:] > 2).to(x.dtype).expand(-1, 4),
        }
        return self.o(torch.cat([x[:, :3], read[self.how]()], 1))


@pytest.mark.parametrize("how", ["embedding", "one hot", "rounded", "compared"])
def test_columns_without_gradients_are_refused_by_name_and_not_recommended(how):
    frame = pd.DataFrame(RNG.normal(size=(20, 3)), columns=list("abc")).assign(city=np.tile([1.0, 2, 3, 4], 5))
    auto = pnpxai.auto_explain(Cast(how).eval(), frame, target=0)
    for name in ("Gradient", "IntegratedGradients", "LRP", "DeepLift"):
        with pytest.raises(ArgumentError, match=f"{name}: needs gradients, and none pass through city"):
            auto.explain(name)
    assert "Gradient" not in {cls.__name__ for cls in auto.recommended}
    assert "city" in auto.recommended.reasons["Gradient"]
    assert (auto.explain("FeatureAblation").attributions[0][:, 3] != 0).any()
    with pytest.raises(ArgumentError, match="city"):
        auto.compare(["Gradient"], ["AbPC"])


def test_a_column_that_nothing_reads_is_no_code():
    torch.manual_seed(0)
    model = linear(3, 2)
    model.weight.data[:, 1] = 0
    assert (pnpxai.auto_explain(model, torch.rand(10, 3)).explain("Gradient").attributions[0][:, 1] == 0).all()


class Columns(nn.Module):
    """Numbers, and codes that are read by one embedding for each column, or by one after a shift."""

    def __init__(self, shifted):
        super().__init__()
        torch.manual_seed(0)
        self.shifted, self.one = shifted, nn.Embedding(8, 4)
        self.each, self.o = nn.ModuleList([nn.Embedding(5, 4), nn.Embedding(3, 4)]), nn.Linear(11, 2)
        self.register_buffer("starts", torch.tensor([0, 5]))

    def forward(self, num, cat):
        if self.shifted:
            codes = self.one(cat + self.starts).flatten(1)
        else:
            codes = torch.cat([e(cat[:, k]) for k, e in enumerate(self.each)], 1)
        return self.o(torch.cat([num, codes], 1))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("form", ["tensors", "frames", "mapping"])
def test_codes_beside_numbers_are_a_table(shifted, form):
    num, cat = torch.randn(40, 3), torch.stack([torch.arange(40) % 5, torch.arange(40) % 3], 1)
    data = {
        "tensors": (num, cat),
        "frames": (pd.DataFrame(num.numpy()), pd.DataFrame(cat.numpy())),
        "mapping": {"num": num, "cat": cat},
    }[form]
    auto = pnpxai.auto_explain(Columns(shifted).eval(), data, target=0)
    explanation = auto.explain("FeatureAblation")
    assert [view.kind for view in explanation.views] == ["table", "table"]
    assert [tuple(a.shape) for a in explanation.attributions] == [(8, 3), (8, 2)]
    at_embeddings = auto.explain("IntegratedGradients").to_frame().to_numpy()[:, :5]
    of_each = torch.cat(explanation.attributions, 1)  # of a linear model
    np.testing.assert_allclose(at_embeddings.astype(float), of_each, atol=1e-5)


def test_a_background_of_rows_of_a_frame_or_of_a_loader():
    model, x = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), torch.randn(20, 3)
    rows = torch.randn(12, 3) + 2
    frame = pd.DataFrame(rows.numpy(), columns=list("abc"))
    right = model(x[:8])[:, 0] - model(rows)[:, 0].mean()
    for background in (rows, rows.numpy(), frame, torch.utils.data.DataLoader(rows, batch_size=5)):
        auto = pnpxai.auto_explain(model, x, target=0, background=background)
        values = auto.explain("DeepLiftShap").attributions[0]
        torch.testing.assert_close(values.sum(1), right.detach(), atol=1e-4, rtol=1e-4)
        assert "background: all its 12 rows" in auto.assumed
    many = pnpxai.auto_explain(model, x, background=torch.randn(300, 3))
    assert "background: 256 of its 300 rows, drawn at random" in many.assumed
    with pytest.raises(ArgumentError, match="background: expected at least one row"):
        pnpxai.auto_explain(model, x, background=[]).explain("Gradient")
